"""Answers in XQuAD: the same words of the same sentences in several languages (Artetxe et al. 2020).

XQuAD's paragraphs, questions and answers were translated by people, so that an answer's words in one language stand for
those in another: a word alignment that is right sends them there. The paragraphs are not aligned by sentence. Here a
paragraph counts where all languages divide it into equally many sentences, and an answer where it lies within one, the
same, in all of them.

Files lie below --data-dir in qa/xquad (or xquad): el.jsonl, packed or not, a paragraph a line with `context` and `qas`,
each with `id`, `answer` and `start`, the same ids in the same order in every language.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural.text.corpora import NotThere
from neural.text.files import lines
from sim.runs.errors import UserError
from sim.runs.identity import parsed

Span = tuple[int, int]

CLOSING = "\"'”’»)]）」』"
"""What may stand between the end of a sentence and the white space behind it."""
HAN = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
"""Characters written without spaces: each is a word."""
ENDS = {"el": ".!?;…", "hi": ".!?।…", "ar": ".!?؟…", "zh": "。！？!?…"}
"""What ends a sentence, where it is not .!? as elsewhere."""


@dataclass(frozen=True)
class Answer:
    """A sentence, the characters start <= i < end of each of its words, and the words first <= w < end that answer."""

    text: str
    spans: tuple[Span, ...]
    answer: Span

    @property
    def form(self) -> str:
        """The answer as it is written, whatever the case of its letters."""
        first, end = self.answer
        return self.text[self.spans[first][0] : self.spans[end - 1][1]].casefold()


Side = Mapping[str, Answer]
"""One answer in every language."""


def answers(languages: Sequence[str], data_dir: Path) -> list[Side]:
    """The answers that lie in the same sentence in all of these languages, in order.

    Raises UserError for a language that is not there, and for damaged or different files.
    """
    texts = {language: _read(language, data_dir) for language in languages}
    _check_same(texts)
    shared: list[Side] = []
    for rows in zip(*texts.values(), strict=True):
        paragraphs = dict(zip(texts, rows, strict=True))
        cuts = {name: sentences(row["context"], name) for name, row in paragraphs.items()}
        if len({len(cut) for cut in cuts.values()}) > 1:
            continue
        for questions in zip(*(row["qas"] for row in rows), strict=True):
            sides = {
                name: _placed(paragraphs[name]["context"], cuts[name], item)
                for name, item in zip(texts, questions, strict=True)
            }
            if len({side[0] if side else None for side in sides.values()}) == 1:
                shared.append({name: side[1] for name, side in sides.items() if side})
    return [side for side in shared if side]


def _check_same(texts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    first, *_ = texts
    ids = {
        name: [item["id"] for row in rows for item in row["qas"]] for name, rows in texts.items()
    }
    for name, questions in ids.items():
        if questions != ids[first] or len(texts[name]) != len(texts[first]):
            raise UserError(
                f"xquad in {name} has not the questions of {first}, in their order: give files of one release"
            )


def languages(data_dir: Path) -> tuple[str, ...]:
    """Those that there are."""
    return tuple(sorted({path.name.split(".")[0] for path in _folder(data_dir).glob("*.jsonl*")}))


def sentences(text: str, language: str = "") -> list[Span]:
    """Where the sentences of a paragraph stand, without the white space around them.

    One ends with a full stop or the like and the brackets and quotes behind it, if white space follows and then no
    small letter; a full stop behind a single letter or (but in English) a number ends none. Chinese needs no space.
    """
    ends = ENDS.get(language, ".!?…")
    dense = language == "zh"
    spans, start = [], 0
    for match in re.finditer(f"[{re.escape(ends)}]+[{re.escape(CLOSING)}]*", text):
        rest = text[match.end() :]
        if rest.strip() and not dense:
            following = rest.lstrip()[0]
            if not rest[0].isspace() or following.islower() or following in ".,;:":
                continue
            before = re.search(r"(\S*)$", text[start : match.start()])
            last = before[1].lstrip("(\"'“„«") if before else ""
            letter = len(last) == 1 and last.isalpha()
            if match[0] == "." and (letter or (last.isdigit() and language != "en")):
                continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trimmed(text, span))]


def words(text: str) -> list[Span]:
    """Where words stand: what white space divides, its punctuation at either end apart, and Chinese characters each."""
    return [span for run in re.finditer(r"\S+", text) for span in _pieces(text, *run.span())]


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    first = start
    while first < end and _is_mark(text[first]):
        yield first, first + 1
        first += 1
    last = end
    while last > first and _is_mark(text[last - 1]):
        last -= 1
    place = first
    for match in HAN.finditer(text, first, last):
        if place < match.start():
            yield place, match.start()
        yield match.span()
        place = match.end()
    if place < last:
        yield place, last
    for mark in range(last, end):
        yield mark, mark + 1


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSC"


def _trimmed(text: str, span: Span) -> Span | None:
    start, end = span
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    end -= len(inside) - len(inside.rstrip())
    return (start, end) if start < end else None


def _placed(text: str, cuts: Sequence[Span], item: Mapping[str, Any]) -> tuple[int, Answer] | None:
    """The number of the sentence that an answer lies in, and both; None where it lies in none."""
    first, end = item["start"], item["start"] + len(item["answer"])
    for number, (start, stop) in enumerate(cuts):
        if start <= first and end <= stop:
            sentence = text[start:stop]
            spans = words(sentence)
            inside = [w for w, (a, b) in enumerate(spans) if a < end - start and b > first - start]
            if not inside:
                return None
            return number, Answer(sentence, tuple(spans), (inside[0], inside[-1] + 1))
    return None


def _folder(data_dir: Path) -> Path:
    folders = [data_dir / "qa" / "xquad", data_dir / "xquad"]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise NotThere(
        f"xquad is not below {data_dir}: put LANGUAGE.jsonl of https://github.com/google-deepmind/xquad, "
        f"a paragraph a line, into {folders[0]}, or `python -m neural.corpus fetch xquad`"
    )


def _read(language: str, data_dir: Path) -> list[dict[str, Any]]:
    folder = _folder(data_dir)
    known = languages(data_dir)
    if language not in known and (folder / f"xquad.{language}.json").is_file():
        raise UserError(
            f"{folder}/xquad.{language}.json is the official file, and xquad is read from a paragraph a line: make "
            f"{language}.jsonl of it by `python -m neural.corpus fetch xquad`"
        )
    if language not in known:
        raise UserError(f"no xquad in {language!r}: {folder} has {', '.join(known)}")
    path = next(
        path
        for packed in ("", ".gz", ".xz")
        if (path := folder / f"{language}.jsonl{packed}").is_file()
    )
    paragraphs = []
    for number, line in enumerate(lines(path, marks=True), start=1):
        try:
            row = parsed(line)
            for item in row["qas"]:
                start, answer = item["start"], item["answer"]
                if not answer or row["context"][start : start + len(answer)] != answer:
                    raise ValueError(f"question {item['id']} has not its answer at {start}")
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}, line {number}: {reason}: give a paragraph of XQuAD, with context, qas, id, answer and start"
            ) from None
        paragraphs.append(row)
    return paragraphs
