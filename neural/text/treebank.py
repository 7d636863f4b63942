"""Treebanks of Universal Dependencies: sentences of CoNLL-U, words placed in their text, and the main clause's tense.

A treebank is a folder below --data-dir (or its folder ud), named as its repository and holding train, dev and test:
UD_Greek-GUD/train.conllu, or el_gud-ud-train.conllu as in its releases, packed (.gz, .xz) or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELDS, parse_comment_line, parse_line

from neural.text.corpora import NotThere
from neural.text.files import lines
from sim.runs.errors import UserError

PARTS = ("train", "dev", "test")

TREEBANKS = {
    "en": "UD_English-EWT",
    "el": "UD_Greek-GUD",
    "de": "UD_German-GSD",
    "fr": "UD_French-GSD",
    "es": "UD_Spanish-GSD",
    "fi": "UD_Finnish-TDT",
    "zh": "UD_Chinese-GSDSimp",
    "tr": "UD_Turkish-BOUN",
}
"""The treebank of each language whose licence lets it be used freely and that has something to train on."""

PARALLEL = {
    "en": "UD_English-PUD",
    "de": "UD_German-PUD",
    "fr": "UD_French-PUD",
    "es": "UD_Spanish-PUD",
    "fi": "UD_Finnish-PUD",
    "zh": "UD_Chinese-PUD",
    "ar": "UD_Arabic-PUD",
    "hi": "UD_Hindi-PUD",
    "tr": "UD_Turkish-PUD",
}
"""A thousand sentences, the same ones with the same name in every language; test only."""

POOLED = "_pooled"
"""Ends the name of a treebank whose parts are not the official ones."""

TENSES = {"Past": "Past", "Imp": "Past", "Pqp": "Past", "Pres": "Pres"}
"""Past or present, of UD's tenses; imperfect and pluperfect are kinds of past."""


@dataclass(frozen=True)
class Sentence:
    """The n syntactic words of a sentence, in order; empty nodes of enhanced graphs are left out.

    spans: the characters start <= i < end of `text` that each word stands in. Words that a multi-word token contracts
    have their own part of it if they spell it (do|n't), and otherwise all of it each (de, le: du): a word stands
    unchanged in the text where text[start:end] == word. heads: the number of each word's head, from 1; 0 is the root's.
    """

    name: str
    text: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    upos: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    features: tuple[Mapping[str, str], ...]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def root(self) -> int:
        """The place of the first word without a head, from 0."""
        return self.heads.index(0)


def tense(sentence: Sentence) -> str | None:
    """Past or Pres: of the finite verb of the main clause (Conneau et al. 2018, Tense); None where there is none.

    The finite verb is the root, or else the first auxiliary or copula of the root, that has a tense and is no
    participle, infinitive or converb: "has gone" is present, as "has" is. Other tenses (future) are None.
    """
    root = sentence.root
    others = [
        place
        for place, head in enumerate(sentence.heads)
        if head == root + 1 and sentence.relations[place].split(":")[0] in ("aux", "cop")
    ]
    for place in (root, *others):
        features = sentence.features[place]
        if "Tense" in features and features.get("VerbForm", "Fin") == "Fin":
            return TENSES.get(features["Tense"])
    return None


def treebank(language: str, part: str, data_dir: Path, *, parallel: bool = False) -> list[Sentence]:
    """A part (train, dev, test) of the treebank of a language, or of the parallel one.

    Raises UserError for a language, part or file that is not there, and for a damaged file.
    """
    return read(find(language, part, data_dir, parallel=parallel))


def find(language: str, part: str, data_dir: Path, *, parallel: bool = False) -> Path:
    """The file of a part of the treebank of a language. Raises as `treebank`: NotThere for what is not there."""
    names = PARALLEL if parallel else TREEBANKS
    if language not in names:
        raise NotThere(f"no treebank of {language!r}: choose from {', '.join(names)}")
    if part not in PARTS:
        raise UserError(f"unknown part {part!r} of a treebank: choose from {', '.join(PARTS)}")
    return _file(names[language], part, data_dir)


def read(path: Path) -> list[Sentence]:
    """The sentences of a CoNLL-U file, packed or not. Raises UserError with the line of what is none."""
    return [_sentence(path, first, block) for first, block in _blocks(lines(path))]


def _file(name: str, part: str, data_dir: Path) -> Path:
    """The file of a part: train.conllu or el_gud-ud-train.conllu, packed or not."""
    folders = [
        place / called
        for place in (data_dir / "ud", data_dir)
        for called in (name, name + POOLED)
        if (place / called).is_dir()
    ]
    if not folders:
        raise NotThere(
            f"treebank {name} is not below {data_dir}: give --data-dir the folder that holds it, "
            f"from https://github.com/UniversalDependencies/{name} or `python -m neural.corpus fetch ud`"
        )
    kinds = [
        f"{stem}{part}.conllu{packed}" for stem in ("", "*-ud-") for packed in ("", ".gz", ".xz")
    ]
    for folder in folders:
        for kind in kinds:
            for path in sorted(folder.glob(kind)):
                return path
    raise NotThere(
        f"{folders[0]} has no part {part}: give it a file {part}.conllu, or choose another"
    )


def _blocks(content: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not empty, with the number of the first, from 1."""
    block: list[str] = []
    for number, line in enumerate([*content, ""], start=1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _sentence(path: Path, first: int, block: Sequence[str]) -> Sentence:
    comments: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(block, start=first):
        if line.startswith("#"):
            comments |= {key: value for key, value in parse_comment_line(line) if value is not None}
        else:
            rows.append(_row(path, number, line))
    words = [row for row in rows if isinstance(row["id"], int)]
    where = first + len(block) - len(rows)
    if [row["id"] for row in words] != list(range(1, len(words) + 1)) or not words:
        _refuse(path, where, "words are not numbered 1, 2, 3, …")
    if any(not 0 <= row["head"] <= len(words) for row in words):
        _refuse(path, where, "a word has a head outside the sentence")
    if all(row["head"] for row in words):
        _refuse(path, where, "no word is the root, whose head is 0")
    tokens = _surface(rows)
    text = comments.get("text") or _joined(tokens)
    spans = _spans(text, tokens)
    if spans is None or len(spans) != len(words):
        _refuse(path, where, "its words do not spell its text")
    return Sentence(
        comments.get("sent_id", f"line {first}"),
        text,
        tuple(row["form"] for row in words),
        spans,
        tuple(row["upos"] for row in words),
        tuple(row["head"] for row in words),
        tuple(row["deprel"] for row in words),
        tuple(row["feats"] or {} for row in words),
    )


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    columns = line.count("\t") + 1
    if columns != len(DEFAULT_FIELDS):
        _refuse(path, number, f"{columns} columns")
    if "  " in line:  # which conllu takes for the end of a column
        _refuse(path, number, "two spaces in a row")
    try:
        row = parse_line(line, DEFAULT_FIELDS)
    except ParseException as error:
        _refuse(path, number, " ".join(str(error).split()))
    if isinstance(row["id"], int) and row["head"] is None:
        _refuse(path, number, "a word without a head")
    return row


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise UserError(
        f"{path}, line {number}: {what}: give CoNLL-U, {len(DEFAULT_FIELDS)} columns divided by tabs, "
        "as `validate.py` of Universal Dependencies accepts"
    )


def _surface(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """The tokens as written, each with the words that it contracts, or itself."""
    forms = {row["id"]: row["form"] for row in rows if isinstance(row["id"], int)}
    tokens, contracted = [], 0
    for row in rows:
        identity = row["id"]
        if isinstance(identity, int):
            if identity > contracted:
                tokens.append((row, [row["form"]]))
        elif identity is not None and identity[1] == "-":
            contracted = identity[2]
            inside = range(identity[0], contracted + 1)
            tokens.append((row, [forms[word] for word in inside if word in forms]))
    return tokens


def _joined(tokens: Sequence[tuple[Mapping[str, Any], list[str]]]) -> str:
    """The text, where no comment gives it."""
    pieces = [
        row["form"] + ("" if (row["misc"] or {}).get("SpaceAfter") == "No" else " ")
        for row, _ in tokens
    ]
    return "".join(pieces).strip()


def _spans(
    text: str, tokens: Sequence[tuple[Mapping[str, Any], list[str]]]
) -> tuple[tuple[int, int], ...] | None:
    """Where each word stands, or None if tokens and white space are not the text."""
    spans: list[tuple[int, int]] = []
    place = 0
    for row, words in tokens:
        while place < len(text) and text[place].isspace():
            place += 1
        form = row["form"]
        if not text.startswith(form, place):
            return None
        start, place = place, place + len(form)
        if "".join(words) != form:
            spans += [(start, place)] * len(words)
            continue
        for word in words:
            spans.append((start, start + len(word)))
            start += len(word)
    return None if text[place:].strip() else tuple(spans)
