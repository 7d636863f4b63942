"""XQuAD: words and sentences of several scripts, answers that are in the same sentence everywhere, and refusals."""

import json
from pathlib import Path

import pytest

from neural.text.xquad import answers, languages, sentences, words
from tests.neural.refusal import message
from tests.neural.text.test_treebank import DATA, needs_data, write


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's (6½) a-b.", ["It's", "(", "6½", ")", "a-b", "."]),
        ("«Ένα»;", ["«", "Ένα", "»", ";"]),
        ("黑豹 NFL24次。", ["黑", "豹", "NFL24", "次", "。"]),
        ("सैक में।", ["सैक", "में", "।"]),  # vowel signs are no letters to re's \w
        ("… !", ["…", "!"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("en", 'He said "no." Then he left! Why? e.g. so', 3),
        ("en", "It rose by 3.5 in 1999. J. Smith saw it... and left.", 2),
        ("de", "Am 7. Februar kam er. Er ging.", 2),
        ("en", "It was 7. Then it ended.", 2),
        ("el", "Πού; Εδώ.", 2),
        ("tr", "Bu; su. Evet.", 2),
        ("zh", "他来了。他走了！“好。”是3.5", 4),
        ("hi", "एक। दो।", 2),
    ],
)
def test_sentences(language: str, text: str, count: int) -> None:
    spans = sentences(text, language)
    assert len(spans) == count
    assert "".join(text[a:b] for a, b in spans).replace(" ", "") == text.replace(" ", "")


def paragraph(context: str, *given: str) -> str:
    qas = [
        {"id": f"q{n}", "question": "?", "answer": answer, "start": context.index(answer)}
        for n, answer in enumerate(given)
    ]
    return json.dumps({"context": context, "qas": qas})


def fill(folder: Path, **texts: list[str]) -> Path:
    for language, rows in texts.items():
        write(folder / f"qa/xquad/{language}.jsonl.xz", "\n".join(rows) + "\n")
    return folder


def test_answers_are_in_the_same_sentence_everywhere(tmp_path: Path) -> None:
    """The second answer is in another sentence, the third over two; the second paragraph has more sentences."""
    fill(
        tmp_path,
        en=[
            paragraph("Ann Lee won. Bob lost.", "Ann Lee", "Bob", "won. Bob"),
            paragraph("One. Two.", "One"),
        ],
        de=[
            paragraph("Bob sah: Ann LEE siegte. Wer verlor?", "Ann LEE", "Bob", "siegte. Wer"),
            paragraph("Eins und zwei.", "Eins"),
        ],
    )
    assert languages(tmp_path) == ("de", "en")
    (side,) = answers(["en", "de"], tmp_path)
    assert side["en"].text == "Ann Lee won."
    assert side["en"].answer == (0, 2)
    assert side["de"].text == "Bob sah: Ann LEE siegte."
    assert side["de"].answer == (3, 5)  # behind Bob, sah and the colon
    assert side["en"].form == side["de"].form == "ann lee"
    assert len(answers(["en"], tmp_path)) == 3


def test_what_is_not_there_or_damaged_is_refused(tmp_path: Path) -> None:
    assert f"xquad is not below {tmp_path}" in message(answers, ["en"], tmp_path)
    good = paragraph("One. Two.", "One")
    fill(tmp_path, en=[good], de=[good.replace("q0", "q7")], el=['{"qas": []'])
    assert "no xquad in 'fi'" in message(answers, ["en", "fi"], tmp_path)
    assert "xquad in de has not the questions of en" in message(answers, ["en", "de"], tmp_path)
    assert "el.jsonl.xz, line 1: " in message(answers, ["el"], tmp_path)
    fill(tmp_path, en=[good, good.replace('"start": 0', '"start": 1')])
    assert "line 2: question q0 has not its answer at 1" in message(answers, ["en"], tmp_path)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "least"), [("de", 700), ("el", 800), ("zh", 900), ("tr", 900), ("hi", 900)]
)
def test_most_answers_of_the_shared_files_are_placed(language: str, least: int) -> None:
    sides = answers(["en", language], DATA)
    assert least <= len(sides) < 1190
    for side in sides:
        for sentence in side.values():
            first, end = sentence.answer
            assert 0 <= first < end <= len(sentence.spans)
