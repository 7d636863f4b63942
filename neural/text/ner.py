"""Named entities: sentences of Universal NER in IOB2 (Mayhew et al. 2024), and the F1 of entities.

Files lie below --data-dir in ner/uner (or uner): en_ewt.dev.iob2, packed or not, or repositories as released
(UNER_English-EWT/en_ewt-ud-dev.iob2). A sentence is a run of lines of number, form and tag, divided by tabs; further
columns are not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from neural.text import treebank
from neural.text.corpora import NotThere
from neural.text.files import lines
from neural.text.treebank import PARTS
from sim.runs.errors import UserError

TYPES = ("LOC", "ORG", "PER")
TAGS = ("O", *(f"{place}-{kind}" for kind in TYPES for place in "BI"))

FILES = {
    "en": {"train": "en_ewt.dev", "dev": "en_ewt.dev", "test": "en_ewt.test"},
    "de": dict.fromkeys(PARTS, "de_pud"),
    "zh": {part: f"zh_gsdsimp.{part}" for part in PARTS},
}
"""Where the parts of each language are; a file of several parts is divided between them by document."""

PARALLEL = {"en": "en_pud", "de": "de_pud", "zh": "zh_pud"}
"""The thousand sentences of the parallel treebanks; test only. German has no others."""

TENTHS = {"dev": (9,), "test": (7, 8), "train": tuple(range(7))}
"""Of ten documents of a divided file, those of each part; train has those of parts that are in another file, too."""

Entity = tuple[int, int, str]
"""First word, end (the word after the last), type."""


@dataclass(frozen=True)
class Sentence:
    """The n words of a sentence, the characters start <= i < end of `text` of each, and their tags."""

    name: str
    text: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)


def ner(language: str, part: str, data_dir: Path, *, parallel: bool = False) -> list[Sentence]:
    """A part (train, dev, test) of the named entities of a language, or all sentences of its parallel treebank.

    Text, spans and name are those of the treebank's sentence of the same words below data_dir; where it has none (some
    sentences in a thousand, and most Chinese ones, whose text is their words) the words are joined. Raises UserError
    for a language, part, file or treebank that is not there, and for a damaged file.
    """
    tagged = read(find(language, part, data_dir, parallel=parallel))
    name = PARALLEL[language] if parallel else FILES[language][part]
    if not parallel:
        tagged = _divided(
            tagged, part, [key for key, file in FILES[language].items() if file == name]
        )
    of_treebank = name.rpartition(".")[2] if "." in name else "test"
    sentences = treebank.treebank(language, of_treebank, data_dir, parallel=name.endswith("_pud"))
    by_words = {item.words: item for item in reversed(sentences)}
    by_both = {(item.name, item.words): item for item in sentences}
    return [
        _placed(item, by_both.get((item.name, item.words)) or by_words.get(item.words))
        for item in tagged
    ]


def find(language: str, part: str, data_dir: Path, *, parallel: bool = False) -> Path:
    """The file with a part of the named entities of a language. Raises as `ner`: NotThere for what is not there."""
    known = PARALLEL if parallel else FILES
    if language not in known:
        raise NotThere(f"no named entities in {language!r}: choose from {', '.join(known)}")
    if part not in PARTS or (parallel and part != "test"):
        choice = "test" if parallel else ", ".join(PARTS)
        raise UserError(f"unknown part {part!r} of named entities: choose from {choice}")
    return _file(PARALLEL[language] if parallel else FILES[language][part], data_dir)


def read(path: Path) -> list[Sentence]:
    """The sentences of an IOB2 file, packed or not, their words joined.

    Raises UserError with the line of what is none.
    """
    return [_sentence(path, first, block) for first, block in _blocks(lines(path))]


def entities(tags: Sequence[str]) -> frozenset[Entity]:
    """The entities that tags mark. An I- that continues none of its type begins one, as conlleval has it."""
    spans: list[Entity] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, tag_kind = tag.partition("-")
        if prefix == "I" and tag_kind == kind:
            continue
        if kind:
            spans.append((start, place, kind))
        start, kind = place, tag_kind
    return frozenset(spans)


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Of the tags of sentences: the F1 of entities, all of them together, found where span and type are right.

    NaN where there are none and none was found.
    """
    right = all_ = 0
    for ours, theirs in zip(gold, predicted, strict=True):
        a, b = entities(ours), entities(theirs)
        right += len(a & b)
        all_ += len(a) + len(b)
    return 2 * right / all_ if all_ else float("nan")


def joined(words: Sequence[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A text of these words, with spaces between them unless one side is Chinese, and where each stands in it."""
    text, spans = "", []
    for word in words:
        if text and not (_is_chinese(text[-1]) or _is_chinese(word[0])):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, tuple(spans)


def _is_chinese(character: str) -> bool:
    """Of Chinese characters, their punctuation, and letters of full width."""
    return any(
        low <= character <= high
        for low, high in (("\u3000", "\u303f"), ("\u3400", "\u9fff"), ("\uff00", "\uffef"))
    )


def _placed(item: Sentence, same: treebank.Sentence | None) -> Sentence:
    if same is None:
        return item
    return Sentence(same.name, same.text, item.words, same.spans, item.tags)


def _divided(tagged: list[Sentence], part: str, parts: Sequence[str]) -> list[Sentence]:
    """The sentences of a part of a file that holds these parts. Those of one document stay together."""
    if len(parts) == 1:
        return tagged
    documents: dict[str, int] = {}
    for item in tagged:
        documents.setdefault(item.name.rpartition("-")[0], len(documents))
    others = [number for other in parts if other != "train" for number in TENTHS[other]]
    tenths = [n for n in range(10) if n not in others] if part == "train" else TENTHS[part]
    return [item for item in tagged if documents[item.name.rpartition("-")[0]] % 10 in tenths]


def _file(name: str, data_dir: Path) -> Path:
    folders = [data_dir / "ner" / "uner", data_dir / "uner"]
    bank, _, part = name.partition(".")
    for folder in folders:
        for stem in (name, f"UNER_*/{bank}-ud-{part or 'test'}"):
            for packed in ("", ".gz", ".xz"):
                for path in sorted(folder.glob(f"{stem}.iob2{packed}")):
                    return path
    raise NotThere(
        f"{name}.iob2 (nor .gz, .xz) is not below {data_dir}: put it, or its repository "
        f"of https://github.com/UniversalNER, into {folders[0]}, or `python -m neural.corpus fetch uner`"
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
    name = f"line {first}"
    words: list[str] = []
    tags = ["O"]
    for number, line in enumerate(block, start=first):
        if line.startswith("# "):
            key, _, value = line[2:].partition(" = ")
            name = value.strip() if key == "sent_id" else name
            continue
        cells = line.split("\t")
        if len(cells) < 3 or cells[0] != str(len(words) + 1) or not cells[1].strip():
            _refuse(path, number, f"no word {len(words) + 1} with its form and tag")
        if cells[2] not in TAGS:
            _refuse(path, number, f"unknown tag {cells[2]!r}, not of {', '.join(TAGS)}")
        if cells[2][0] == "I" and tags[-1][1:] != cells[2][1:]:
            _refuse(path, number, f"{cells[2]} after {tags[-1]} continues no entity")
        words.append(cells[1])
        tags.append(cells[2])
    if not words:
        _refuse(path, first, "no words")
    text, spans = joined(words)
    return Sentence(name, text, tuple(words), spans, tuple(tags[1:]))


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise UserError(
        f"{path}, line {number}: {what}: give IOB2, lines of number, form and tag divided by tabs, "
        "as Universal NER releases it"
    )
