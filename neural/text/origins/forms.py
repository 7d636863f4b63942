"""How the files of an origin become a file of a corpus: functions of their paths that give its bytes.

Text has Unicode normal form C, no control characters, white space folded to one space, a passage a line.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from neural.text.files import lines, normalise

Form = Callable[[Sequence[Path]], bytes]
Part = Literal["train", "dev", "test"]

KEPT = ("# newdoc id =", "# sent_id =", "# text =")
"""Comments of treebanks that are kept."""

ORDER = Path(__file__).with_name("zh_gsdsimp.parts")
"""Of each sentence of the Chinese treebank's dev and test parts the first letters of its part: tr, de, te."""


def table(columns: Sequence[Path]) -> bytes:
    """The lines of files side by side, normalised, without those that are empty in all of them."""
    rows = zip_longest(
        *([normalise(line) for line in lines(path)] for path in columns), fillvalue=""
    )
    return "".join("\t".join(row) + "\n" for row in rows if any(row)).encode()


def topics(files: Sequence[Path]) -> bytes:
    """The lines of one table without its head, its cells normalised."""
    (path,) = files
    rows = [map(normalise, line.split("\t")) for line in lines(path)[1:]]
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def paragraphs(files: Sequence[Path]) -> bytes:
    """Of one file in SQuAD's form a line a paragraph, each question with its one answer and where that starts."""
    (path,) = files
    rows = []
    for document in json.loads(path.read_bytes())["data"]:
        for item in document["paragraphs"]:
            questions = [
                {
                    "id": question["id"],
                    "question": question["question"],
                    "answer": question["answers"][0]["text"],
                    "start": question["answers"][0]["answer_start"],
                }
                for question in item["qas"]
            ]
            row = {"context": item["context"], "qas": questions}
            rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(rows).encode()


def treebank(files: Sequence[Path]) -> bytes:
    """All sentences of CoNLL-U files, without what is beyond basic dependencies.

    Kept are the comments newdoc id, sent_id and text, and of MISC SpaceAfter=No; empty nodes and DEPS go.
    """
    return "".join(map(_basic, _sentences(files))).encode()


def first_tenths(files: Sequence[Path]) -> bytes:
    """The same of the first nine tenths of the sentences."""
    sentences = list(_sentences(files))
    return "".join(map(_basic, sentences[: len(sentences) * 9 // 10])).encode()


def last_tenth(files: Sequence[Path]) -> bytes:
    """The same of the others."""
    sentences = list(_sentences(files))
    return "".join(map(_basic, sentences[len(sentences) * 9 // 10 :])).encode()


def pooled(bank: str, part: Part, before: str = "") -> Form:
    """A part of the pooled sentences of a treebank: some 70, 10 and 20 of a hundred, by the sha1 of its name and
    their identifiers; by document, where these begin with the document's, up to the last of the mark `before`.
    """

    def form(files: Sequence[Path]) -> bytes:
        chosen = [item for item in _sentences(files) if _part(bank, item, before) == part]
        return "".join(map(_basic, chosen)).encode()

    return form


def listed(part: Part) -> Form:
    """A part of the pooled sentences of the Chinese treebank, whose parts are on a list."""

    def form(files: Sequence[Path]) -> bytes:
        marks = ORDER.read_text().split()
        sentences = zip(_sentences(files), marks, strict=True)
        return "".join(_basic(item) for item, mark in sentences if part.startswith(mark)).encode()

    return form


def entities(files: Sequence[Path]) -> bytes:
    """Of an IOB2 file the sentences' identifiers, and of each word its number, form and tag."""
    blocks = []
    for block in _sentences(files):
        rows = [row for row in block if row.startswith("# sent_id") or not row.startswith("#")]
        cut = [row if row.startswith("#") else "\t".join(row.split("\t")[:3]) for row in rows]
        blocks.append("\n".join(cut) + "\n\n")
    return "".join(blocks).encode()


def _sentences(files: Sequence[Path]) -> Iterator[list[str]]:
    """Runs of lines that are not empty."""
    for path in files:
        block: list[str] = []
        for line in [*lines(path), ""]:
            if line.strip():
                block.append(line)
            elif block:
                yield block
                block = []


def _basic(sentence: Sequence[str]) -> str:
    rows = []
    for row in sentence:
        if row.startswith("#"):
            rows += [row] if row.startswith(KEPT) else []
            continue
        cells = row.split("\t")
        if "." not in cells[0]:
            space = "SpaceAfter=No" if "SpaceAfter=No" in cells[9].split("|") else "_"
            rows.append("\t".join([*cells[:8], "_", space]))
    return "\n".join(rows) + "\n\n"


def _part(bank: str, sentence: Sequence[str], before: str) -> Part:
    (name,) = [row.partition("= ")[2] for row in sentence if row.startswith("# sent_id =")]
    name = name.rpartition(before)[0] if before else name
    digest = hashlib.sha1((bank + name).encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:8], "big") % 10
    return "dev" if number == 0 else "test" if number < 3 else "train"
