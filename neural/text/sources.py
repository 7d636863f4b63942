"""Where text comes from: own files, the named corpora, Hugging Face datasets, invented languages.

A source has a name and knows its languages; `read` gives one of them, divided into train, valid and test. A folder
holds one file or folder a language, and its names say what is there:

    el.txt            one language; cut into blocks, which are divided at random
    el/               a folder of one language; each file is a document
    el.train.txt      one split of a language; also .valid and .test
    verses.txt        the verse of each line of the languages' files; a chapter is a document
    documents.txt     the document of each line of the languages' test files
    el-en.tsv         test pairs, a sentence and its translation a line

Every file may be packed (.gz, .xz). Named corpora are such folders below --data-dir.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from neural.text.documents import SPLITS, Document, Splits, blocks, document, split
from neural.text.files import is_text, lines, read, text_files
from neural.text.synthetic import Grammar, number_of
from neural.text.synthetic import read as read_synthetic
from sim.runs.errors import UserError

ALIGNED_LINES = 32
"""Lines a document of a line-aligned corpus that does not name its documents."""
KEYS = ("verses", "documents")
"""Files that say what the lines of the others are."""


class Source(Protocol):
    """Text of one or more languages under one name."""

    @property
    def name(self) -> str: ...

    def languages(self) -> tuple[str, ...]:
        """Those it has, in order of name; of invented ones, which have no end, the first two."""
        ...

    def has(self, language: str) -> bool: ...

    def read(self, language: str) -> Splits: ...


@dataclass(frozen=True)
class Files:
    """One language in a file, or in a folder whose files are its documents."""

    name: str
    language: str
    path: Path
    held_out: float

    def languages(self) -> tuple[str, ...]:
        return (self.language,)

    def has(self, language: str) -> bool:
        return language == self.language

    def read(self, language: str) -> Splits:
        return read_files(self.path, self.held_out)


@dataclass(frozen=True)
class Folder:
    """A folder laid out by language, as this module's first page says."""

    name: str
    path: Path
    held_out: float
    aligned: bool = False
    sentences: bool = False

    def languages(self) -> tuple[str, ...]:
        return tuple(sorted({language for language, _, _ in self._parts()}))

    def has(self, language: str) -> bool:
        return language in self.languages()

    def read(self, language: str) -> Splits:
        parts = {part: path for name, part, path in self._parts() if name == language}
        by_split: dict[str, list[Document]] = {name: [] for name in SPLITS}
        for part, path in parts.items():
            if part == "":
                if set(parts) & set(SPLITS):
                    raise UserError(
                        f"{path} has no split in its name and others of {language} have: name all of them alike"
                    )
                return self._unsplit(path)
            if part in SPLITS:
                by_split[part] += self._lines(path, part)
            else:
                by_split["test"] += _pairs(path, part, language)
        return by_split

    def _parts(self) -> Iterator[tuple[str, str, Path]]:
        """(language, split, path) of each file; split is "" for an undivided one, and el-en for a file of pairs."""
        for path in sorted(self.path.iterdir()):
            stem, *marks = path.name.split(".")
            if stem in KEYS or path.name.startswith("."):
                continue
            if path.is_dir():
                yield stem, "", path
            elif "tsv" in marks and stem.count("-") == 1:
                for language in stem.split("-"):
                    yield language, stem, path
            elif is_text(path):
                yield stem, next((mark for mark in marks if mark in SPLITS), ""), path

    def _unsplit(self, path: Path) -> Splits:
        verses = _key(self.path, "verses")
        if verses is None or path.is_dir():
            return read_files(path, self.held_out)
        ids = lines(verses)
        chapters = [verse.rpartition(":")[0] for verse in ids]
        return split(
            _runs(ids, chapters, _matching(path, lines(path), verses, ids)),
            self.held_out,
            str(path),
        )

    def _lines(self, path: Path, part: str) -> Iterable[Document]:
        """The documents of a file of one split, whose lines are passages."""
        if self.sentences:
            return [
                Document(f"line {number}", (line,))
                for number, line in enumerate(lines(path))
                if line
            ]
        documents = _key(self.path, "documents") if part == "test" else None
        if not (self.aligned or documents):
            return blocks(read(path))
        passages = lines(path)
        ids = [f"{part}:{number}" for number in range(len(passages))]
        if documents:
            names = lines(documents)
            _matching(path, passages, documents, names)
        else:
            names = [f"lines {number // ALIGNED_LINES}" for number in range(len(passages))]
        return _runs(ids, names, passages)


@dataclass(frozen=True)
class Synthetic:
    """Invented languages."""

    grammar: Grammar
    name: str = "synthetic"

    def languages(self) -> tuple[str, ...]:
        return ("s1", "s2")

    def has(self, language: str) -> bool:
        return number_of(language) > 0

    def read(self, language: str) -> Splits:
        return read_synthetic(self.grammar, language)


@dataclass(frozen=True)
class Hub:
    """The training part of a Hugging Face dataset, streamed until it gave so many UTF-8 bytes."""

    name: str
    dataset: str
    config: str | None
    language: str
    held_out: float
    limit: int

    def languages(self) -> tuple[str, ...]:
        return (self.language,)

    def has(self, language: str) -> bool:
        return language == self.language

    def read(self, language: str) -> Splits:
        where = f"hf:{self.dataset}" + (f":{self.config}" if self.config else "")
        documents = list(self._stream(where))
        return split(documents, self.held_out, where, key=lambda item: item.text)

    def _stream(self, where: str) -> Iterator[Document]:
        try:
            from datasets import load_dataset
        except ImportError:
            raise UserError(
                f"{where} needs the datasets package: pip install 'cognitive-reserve[text]'"
            ) from None
        size = 0
        try:
            rows: Iterable[dict[str, Any]] = load_dataset(
                self.dataset, self.config, split="train", streaming=True
            )
            for number, row in enumerate(rows):
                text = row.get("text")
                if not isinstance(text, str):
                    raise UserError(
                        f"{where} has no column of text called text (it has {', '.join(row)}): choose another dataset"
                    )
                if text.strip():
                    yield document(f"row {number}", text)
                    size += len(text.encode())
                if size >= self.limit:
                    return
        except UserError:
            raise
        except Exception as error:  # the package has many, of its own and of its transports
            reason = " ".join(str(error).split())
            raise UserError(
                f"cannot read {where} ({reason}): check the name, its configuration and the connection"
            ) from None


def read_files(path: Path, held_out: float) -> Splits:
    """One language: a file, cut into blocks, or a folder, each file a document, divided at random."""
    if path.is_dir():
        texts = {file.relative_to(path).as_posix(): read(file) for file in text_files(path)}
        return split([document(*item) for item in texts.items()], held_out, str(path))
    return split(blocks(read(path)), held_out, str(path), key=lambda item: item.text)


def _key(folder: Path, stem: str) -> Path | None:
    """The file verses.txt or documents.txt of a folder, packed or not."""
    return next((path for path in sorted(folder.glob(f"{stem}.*")) if is_text(path)), None)


def _runs(ids: list[str], names: list[str], passages: list[str]) -> list[Document]:
    """Documents of successive passages that share a name; empty passages are missing ones."""
    documents = []
    for name, rows in groupby(zip(names, ids, passages, strict=True), key=lambda row: row[0]):
        there = [(key, text) for _, key, text in rows if text]
        if there:
            keys, texts = zip(*there, strict=True)
            documents.append(Document(name, texts, keys))
    return documents


def _matching(path: Path, passages: list[str], other: Path, keys: list[str]) -> list[str]:
    """The passages, if there are as many as keys in the other file."""
    if len(passages) != len(keys):
        raise UserError(
            f"{path} has {len(passages)} lines and {other.name} {len(keys)}: give files of equal length"
        )
    return passages


def _pairs(path: Path, pair: str, language: str) -> list[Document]:
    """One side of a file of pairs; each sentence is a document, and its translation has the same id."""
    names = pair.split("-")
    side = names.index(language)
    documents = []
    for number, line in enumerate(lines(path)):
        cells = line.split("\t")
        if not number and [cell.strip().lower() for cell in cells] in (names, ["source", "target"]):
            raise UserError(f"{path}, line 1: these are names of columns: take that line out")
        if len(cells) != 2 or not all(cells):
            raise UserError(
                f"{path}, line {number + 1}: {len(cells)} columns: give a sentence, a tab and its translation"
            )
        documents.append(Document(f"{pair} {number}", (cells[side],), (f"{pair}:{number}",)))
    return documents
