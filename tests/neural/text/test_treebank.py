"""CoNLL-U: syntactic words placed in their text, the main clause's tense, and files that are refused by their line."""

import lzma
from pathlib import Path

import pytest

from neural.text.treebank import PARTS, TREEBANKS, Sentence, read, tense, treebank
from tests.neural.refusal import message
from tests.places import SHARED

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no treebanks in {DATA}")

Row = tuple[str, str, str, str, int, str, str]
"""id, form, upos, features, head, relation, misc."""

CONTRACTED = [
    ("1-2", "Don't", "_", "_", "_", "_", "_"),
    ("1", "Do", "AUX", "Mood=Imp|VerbForm=Fin", "3", "aux", "_"),
    ("2", "n't", "PART", "_", "3", "advmod", "_"),
    ("3", "go", "VERB", "VerbForm=Inf", "0", "root", "_"),
    ("3.1", "going", "VERB", "Tense=Past|VerbForm=Fin", "_", "_", "_"),
    ("4-5", "du", "_", "_", "_", "_", "_"),
    ("4", "de", "ADP", "_", "6", "case", "_"),
    ("5", "le", "DET", "Number[psor]=Sing", "6", "det", "_"),
    ("6", "20 000", "NUM", "_", "3", "obl:mod", "SpaceAfter=No"),
    ("7", ".", "PUNCT", "_", "3", "punct", "SpaceAfter=No"),
]


def conllu(rows: list[tuple[str, ...]], *comments: str) -> str:
    """Of rows (id, form, upos, features, head, relation, misc)."""
    lines = [
        "\t".join((number, form, "_", upos, "_", features, head, relation, "_", misc))
        for number, form, upos, features, head, relation, misc in rows
    ]
    return "\n".join([*comments, *lines]) + "\n\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


def only_sentence(tmp_path: Path, rows: list[tuple[str, ...]], *comments: str) -> Sentence:
    (sentence,) = read(write(tmp_path / "a.conllu", conllu(rows, *comments)))
    return sentence


@pytest.mark.parametrize("comments", [(), ("# newdoc", "# a note", "# text = Don't go du 20 000.")])
def test_words_are_syntactic_and_stand_in_their_text(
    tmp_path: Path, comments: tuple[str, ...]
) -> None:
    """Contractions, an empty node, a word with a space; with a text and without."""
    sentence = only_sentence(tmp_path, CONTRACTED, *comments)
    assert sentence.text == "Don't go du 20 000."
    assert sentence.words == ("Do", "n't", "go", "de", "le", "20 000", ".")
    assert [sentence.text[start:end] for start, end in sentence.spans] == [
        *("Do", "n't", "go", "du", "du", "20 000", ".")
    ]
    assert sentence.spans[:3] == ((0, 2), (2, 5), (6, 8))
    assert sentence.heads == (3, 3, 0, 6, 6, 3, 3)
    assert sentence.root == 2
    assert sentence.upos == ("AUX", "PART", "VERB", "ADP", "DET", "NUM", "PUNCT")
    assert sentence.relations[5] == "obl:mod"
    assert sentence.features[0] == {"Mood": "Imp", "VerbForm": "Fin"}
    assert sentence.features[4] == {"Number[psor]": "Sing"}
    assert len(sentence) == 7


def test_a_text_has_the_last_word_on_spaces(tmp_path: Path) -> None:
    """Two spaces, a space that does not break, and none where SpaceAfter says nothing."""
    text = "# text = Don't  go du\u00a020 000."
    sentence = only_sentence(tmp_path, CONTRACTED, text, "# sent_id = s1")
    assert sentence.name == "s1"
    assert [sentence.text[start:end] for start, end in sentence.spans[2:6]] == [
        "go",
        "du",
        "du",
        "20 000",
    ]
    assert sentence.spans[2] == (7, 9)


def test_sentences_are_divided_by_empty_lines(tmp_path: Path) -> None:
    text = "\n" + conllu(CONTRACTED, "# sent_id = a") + "\n\n" + conllu(CONTRACTED).rstrip()
    for name in ("a.conllu", "a.conllu.xz"):
        sentences = read(write(tmp_path / name, text))
        assert [item.name for item in sentences] == ["a", "line 16"]
        assert sentences[0].words == sentences[1].words


def clause(*words: tuple[str, str, str, str]) -> list[tuple[str, ...]]:
    """Rows of words (form, features, head, relation)."""
    return [
        (str(number), form, "X", features, head, relation, "_")
        for number, (form, features, head, relation) in enumerate(words, start=1)
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([("went", "Tense=Past|VerbForm=Fin", "0", "root")], "Past"),
        ([("iba", "Tense=Imp|VerbForm=Fin", "0", "root")], "Past"),
        ([("goes", "Tense=Pres|VerbForm=Fin", "0", "root")], "Pres"),
        ([("gidiyor", "Tense=Pres", "0", "root")], "Pres"),  # Turkish names no form
        ([("ira", "Tense=Fut|VerbForm=Fin", "0", "root")], None),
        ([("gone", "Tense=Past|VerbForm=Part", "0", "root")], None),
        ([("go", "VerbForm=Inf", "0", "root")], None),
        (
            [
                ("has", "Tense=Pres|VerbForm=Fin", "2", "aux"),
                ("gone", "Tense=Past|VerbForm=Part", "0", "root"),
            ],
            "Pres",
        ),
        (
            [
                ("do", "Tense=Pres|VerbForm=Fin", "2", "aux"),
                ("went", "Tense=Past|VerbForm=Fin", "0", "root"),
            ],
            "Past",
        ),
        (
            [
                ("was", "Tense=Past|VerbForm=Fin", "3", "cop"),
                ("is", "Tense=Pres|VerbForm=Fin", "3", "aux:pass"),
                ("good", "_", "0", "root"),
                ("goes", "Tense=Pres|VerbForm=Fin", "3", "advcl"),
            ],
            "Past",
        ),
        (
            [
                ("good", "_", "0", "root"),
                ("goes", "Tense=Pres|VerbForm=Fin", "1", "advcl"),
                ("had", "Tense=Past|VerbForm=Fin", "2", "aux"),
            ],
            None,
        ),
    ],
)
def test_the_tense_of_the_main_clause(
    tmp_path: Path, words: list[tuple[str, str, str, str]], expected: str | None
) -> None:
    assert tense(only_sentence(tmp_path, clause(*words))) == expected


GOOD = conllu(CONTRACTED, "# sent_id = a")
"""Eleven lines and an empty one."""


def broken(place: int, column: int, value: str) -> str:
    """A second sentence with another value in one of its rows."""
    lines = conllu(CONTRACTED).split("\n")
    cells = lines[place].split("\t")
    cells[column] = value
    lines[place] = "\t".join(cells)
    return GOOD + "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD + "1\tone\ttwo\n", 13, "3 columns"),
        (GOOD + conllu(CONTRACTED).replace("\t", " "), 13, "1 columns"),
        (broken(3, 6, "x"), 16, "Failed parsing field 'head'"),
        (broken(3, 6, "_"), 16, "a word without a head"),
        (broken(3, 0, "x3"), 16, "Failed parsing field 'id'"),
        (broken(8, 1, "20  000"), 21, "two spaces"),
        (broken(3, 0, "9"), 13, "not numbered 1, 2, 3"),
        (broken(3, 6, "1"), 13, "no word is the root"),
        (broken(3, 6, "8"), 13, "head outside"),
        (broken(0, 0, "1-9"), 13, "do not spell"),
        (GOOD + "# text = Do go\n" + conllu(CONTRACTED), 14, "do not spell"),
        (GOOD + "# text = Don't go du 20 000.!\n" + conllu(CONTRACTED), 14, "do not spell"),
        (GOOD + "# alone\n\n", 14, "not numbered"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = write(tmp_path / "b.conllu", text)
    refusal = message(read, path)
    assert f"{path}, line {line}: " in refusal
    assert reason in refusal
    assert "give CoNLL-U" in refusal


@pytest.mark.parametrize(
    "name",
    [
        "ud/UD_Greek-GUD/{}.conllu",
        "ud/UD_Greek-GUD_pooled/{}.conllu.xz",
        "UD_Greek-GUD/el_gud-ud-{}.conllu",
    ],
)
def test_parts_are_found_by_either_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / name.format("train"), GOOD)
    write(tmp_path / name.format("dev"), GOOD + GOOD)
    assert len(treebank("el", "train", tmp_path)) == 1
    assert len(treebank("el", "dev", tmp_path)) == 2
    refusal = message(treebank, "el", "test", tmp_path)
    assert "has no part test" in refusal
    assert str((tmp_path / name).parent) in refusal


def test_unknown_treebanks_are_refused(tmp_path: Path) -> None:
    assert "no treebank of 'xx': choose from en, el" in message(treebank, "xx", "dev", tmp_path)
    assert "unknown part 'valid'" in message(treebank, "el", "valid", tmp_path)
    refusal = message(treebank, "el", "dev", tmp_path)
    assert f"UD_Greek-GUD is not below {tmp_path}" in refusal
    assert "--data-dir" in refusal
    assert "no treebank of 'el'" in message(lambda: treebank("el", "test", tmp_path, parallel=True))


@needs_data
@pytest.mark.parametrize("language", sorted(set(TREEBANKS) - {"en", "zh"}))
def test_shared_treebanks_are_read_whole(language: str) -> None:
    """Every sentence's words spell its text, and both tenses are there; English takes seconds, Chinese has no tense."""
    for part in PARTS:
        sentences = treebank(language, part, DATA)
        labels = [tense(item) for item in sentences]
        assert min(labels.count("Past"), labels.count("Pres")) > 20
        assert all(
            item.text[start:end] == word or end - start > 1
            for item in sentences
            for word, (start, end) in zip(item.words, item.spans, strict=True)
        )
