"""Named entities: IOB2 read with the treebank's text, F1 by hand, parts that share no document, and refusals."""

from pathlib import Path

import pytest

from neural.text.ner import FILES, Sentence, entities, entity_f1, joined, ner, read
from neural.text.treebank import PARTS
from tests.neural.refusal import message
from tests.neural.text.test_treebank import DATA, conllu, needs_data, write

GOOD = "# sent_id = a-1\n1\tAnn\tB-PER\n2\tin\tO\n3\tNew\tB-LOC\n4\tYork\tI-LOC\n\n"


def test_tags_are_read_and_words_joined(tmp_path: Path) -> None:
    """Five columns, as Universal NER releases them, and three."""
    more = "1\t奥\tB-PER\t-\tme\n2\t巴马\tI-PER\t-\tme\n3\t2\tO\t-\tme\n4\tm\tO\t-\tme\n"
    first, second = read(write(tmp_path / "a.iob2.xz", "\n" + GOOD + more))
    assert first == Sentence(
        "a-1",
        "Ann in New York",
        ("Ann", "in", "New", "York"),
        ((0, 3), (4, 6), (7, 10), (11, 15)),
        ("B-PER", "O", "B-LOC", "I-LOC"),
    )
    assert (second.name, second.text, len(second)) == ("line 8", "奥巴马2 m", 4)
    assert second.spans == ((0, 1), (1, 3), (3, 4), (5, 6))
    assert joined(["a", "，", "b"])[0] == "a，b"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", set()),
        ("B-PER I-PER O B-LOC", {(0, 2, "PER"), (3, 4, "LOC")}),
        ("B-PER B-PER", {(0, 1, "PER"), (1, 2, "PER")}),
        ("I-ORG I-ORG I-LOC", {(0, 2, "ORG"), (2, 3, "LOC")}),  # as conlleval
        ("B-ORG O I-ORG", {(0, 1, "ORG"), (2, 3, "ORG")}),
    ],
)
def test_entities_of_tags(tags: str, expected: set[tuple[int, int, str]]) -> None:
    assert entities(tags.split()) == expected


def test_f1_counts_entities_right_in_span_and_type() -> None:
    """Of three entities one is right, one is too short, one has another type; one of four found is too many."""
    gold = ["B-PER I-PER O B-LOC I-LOC".split(), "B-ORG O".split()]
    predicted = ["B-PER I-PER O B-LOC O".split(), "B-PER B-ORG".split()]
    assert entity_f1(gold, predicted) == 2 * 1 / (3 + 4)
    assert entity_f1(gold, gold) == 1
    assert entity_f1(gold[:1], [["O"] * 5]) == 0
    assert entity_f1([["O"]], [["O"]]) != entity_f1([["O"]], [["O"]])  # NaN


def fill(folder: Path) -> None:
    """Twenty German documents of two sentences, the second of each without its match in the treebank."""
    rows = [("1-2", "im", *"_____"), ("1", "in", "ADP", "_", "0", "root", "_")]
    rows.append(("2", "dem", "DET", "_", "1", "det", "_"))
    tree, tags = "", ""
    for n in range(20):
        last = [("3", f"Haus{n}", "NOUN", "_", "1", "obl", "_")]
        tree += conllu([*rows, *last], f"# sent_id = t{n}", f"# text = im Haus{n}")
        tags += f"# sent_id = d{n}-1\n1\tin\tO\n2\tdem\tO\n3\tHaus{n}\tB-LOC\n\n"
        tags += f"# sent_id = d{n}-2\n1\tAnn\tB-PER\n2\tlacht\tO\n\n"
    write(folder / "ud/UD_German-PUD/test.conllu", tree)
    write(folder / "ner/uner/de_pud.iob2", tags)


def test_text_is_the_treebank_s_and_parts_share_no_document(tmp_path: Path) -> None:
    fill(tmp_path)
    parts = {part: ner("de", part, tmp_path) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [28, 4, 8]
    first, second = parts["dev"][:2]
    assert (first.name, first.text, first.spans) == ("t9", "im Haus9", ((0, 2), (0, 2), (3, 8)))
    assert (second.name, second.text) == ("d9-2", "Ann lacht")
    names = [{item.name.removeprefix("t") for item in parts[part]} for part in PARTS]
    assert len(set.union(*names)) == sum(map(len, names)) == 40
    assert {item.name for item in parts["test"]} == {
        *("t7", "d7-2", "t8", "d8-2", "t17", "d17-2", "t18", "d18-2")
    }
    assert len(ner("de", "test", tmp_path, parallel=True)) == 40


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD + "1\tone\n", 7, "no word 1 with its form and tag"),
        (GOOD + "1\tone\tO\n3\tx\tO\n", 8, "no word 2"),
        (GOOD + "1\tone\tB-DATE\n", 7, "unknown tag 'B-DATE'"),
        (GOOD + "1\tone\tB-PER\n2\tx\tI-LOC\n", 8, "I-LOC after B-PER continues no entity"),
        (GOOD + "1\tone\tI-PER\n", 7, "I-PER after O"),
        (GOOD + "# alone\n", 7, "no words"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = write(tmp_path / "b.iob2", text)
    refusal = message(read, path)
    assert f"{path}, line {line}: {reason}" in refusal
    assert "give IOB2" in refusal


def test_repositories_are_read_as_released(tmp_path: Path) -> None:
    fill(tmp_path)
    before = ner("de", "dev", tmp_path)
    released = tmp_path / "ner/uner/UNER_German-PUD"
    released.mkdir()
    (tmp_path / "ner/uner/de_pud.iob2").rename(released / "de_pud-ud-test.iob2")
    assert ner("de", "dev", tmp_path) == before


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no named entities in 'el': choose from en, de, zh" in message(
        ner, "el", "dev", tmp_path
    )
    assert "unknown part 'valid'" in message(ner, "de", "valid", tmp_path)
    assert "choose from test" in message(lambda: ner("de", "dev", tmp_path, parallel=True))
    assert f"de_pud.iob2 (nor .gz, .xz) is not below {tmp_path}" in message(
        ner, "de", "dev", tmp_path
    )
    fill(tmp_path)
    (tmp_path / "ud/UD_German-PUD/test.conllu").unlink()
    assert "has no part test" in message(ner, "de", "dev", tmp_path)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("language", sorted(FILES))
def test_shared_files_are_read_whole(language: str) -> None:
    """No sentence is in two parts; nearly all English and German ones have their treebank's text."""
    parts = [ner(language, part, DATA) for part in PARTS]
    assert sum(map(len, parts)) == {"en": 4078, "de": 1000, "zh": 4997}[language]
    names = [{(item.name, item.words) for item in part} for part in parts]
    assert len(set.union(*names)) == sum(map(len, parts))
    for part in parts:
        assert sum(len(entities(item.tags)) for item in part) > 50
        assert all(item.text[start:end].strip() for item in part for start, end in item.spans)
        if language == "de":
            assert sum(item.text == joined(item.words)[0] for item in part) < 0.01 * len(part)
