"""Documents and their division into training, validation and test text that never overlaps.

A document is what a language model reads without interruption and what a split keeps whole: a chapter, a file of a
folder, a block of neighbouring paragraphs where a file does not say where its documents end. It consists of passages
(verses, paragraphs, sentences); those of aligned corpora have ids, and a passage and its translation have the same one.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sim.runs.errors import UserError

SPLITS = ("train", "valid", "test")
BLOCK_BYTES = 4096
"""Least size of a block, in UTF-8 bytes: some tens of paragraphs, of which two at most touch another split's."""


@dataclass(frozen=True)
class Document:
    """Passages in order, with their ids if they are aligned with those of other languages."""

    name: str
    passages: tuple[str, ...]
    ids: tuple[str, ...] = ()
    separator: str = "\n"

    @property
    def text(self) -> str:
        """What a model reads."""
        return self.separator.join(self.passages)

    def within(self, source: str) -> "Document":
        """The same under names that say the source, unique when corpora are joined."""
        return replace(
            self, name=f"{source}:{self.name}", ids=tuple(f"{source}:{key}" for key in self.ids)
        )

    def keep(self, passage: Callable[[str], bool]) -> "Document":
        """The document without the passages that do not satisfy the condition."""
        kept = [index for index, text in enumerate(self.passages) if passage(text)]
        return replace(
            self,
            passages=tuple(self.passages[index] for index in kept),
            ids=tuple(self.ids[index] for index in kept) if self.ids else (),
        )


Splits = Mapping[str, Sequence[Document]]
"""The documents of one language by split; every split is there, possibly empty."""


def document(name: str, text: str) -> Document:
    """A text as a document: passages end at empty lines if there are any, else at line ends."""
    separator = "\n\n" if "\n\n" in text else "\n"
    return Document(name, tuple(text.split(separator)), separator=separator)


def blocks(text: str) -> Iterator[Document]:
    """Cuts a text without known documents into blocks of neighbouring passages, BLOCK_BYTES or a little more.

    Blocks joined by their separator give the text again.
    """
    whole = document("", text)
    passages: list[str] = []
    size, number = 0, 0
    for passage in whole.passages:
        passages.append(passage)
        size += len(passage.encode()) + len(whole.separator)
        if size >= BLOCK_BYTES:
            yield replace(whole, name=f"block {number}", passages=tuple(passages))
            passages, size, number = [], 0, number + 1
    if passages:
        yield replace(whole, name=f"block {number}", passages=tuple(passages))


def split(
    documents: Iterable[Document],
    held_out: float,
    where: str,
    key: Callable[[Document], str] = lambda item: item.name,
) -> Splits:
    """Divides documents by a hash of their key, so that documents added later move none of these.

    valid and test each get a fraction `held_out` <= 0.25 of the documents on average, and one at least. Raises
    UserError for fewer than three documents.
    """
    if not 0 < held_out <= 0.25:
        raise UserError(f"held-out fraction {held_out}: give a number above 0 and at most 0.25")
    documents = list(documents)
    ranked = sorted((_uniform(key(item)), index) for index, item in enumerate(documents))
    if len(ranked) < 3:
        raise UserError(
            f"{where}: {len(ranked)} documents do not make train, valid and test: give more text "
            f"(files are cut every {BLOCK_BYTES} bytes), or files named LANGUAGE.train.txt, .valid.txt, .test.txt"
        )
    tested = max(1, min(sum(u < held_out for u, _ in ranked), len(ranked) - 2))
    held = max(tested + 1, min(sum(u < 2 * held_out for u, _ in ranked), len(ranked) - 1))
    chosen = dict.fromkeys((index for _, index in ranked[:held]), "valid")
    chosen |= dict.fromkeys((index for _, index in ranked[:tested]), "test")
    splits: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for index, item in enumerate(documents):
        splits[chosen.get(index, "train")].append(item)
    return splits


def _uniform(key: str) -> float:
    """A number in [0, 1) that only the key decides."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def without_repeats(splits: Splits, where: str) -> Splits:
    """The splits less every passage of valid that stands verbatim in train, and of test that does in train or valid.

    Raises UserError if that leaves nothing of a split.
    """
    seen: set[str] = set()
    cleaned: dict[str, list[Document]] = {}
    for name in SPLITS:
        kept = splits[name]
        if name != "train":
            fresh = (
                item.keep(lambda text: not text.strip() or text not in seen)
                for item in splits[name]
            )
            kept = [item for item in fresh if item.text.strip()]
        if splits[name] and not kept:
            raise UserError(
                f"{where}: all of {name} stands in the training text too: give text that repeats itself less"
            )
        seen.update(passage for item in kept for passage in item.passages)
        cleaned[name] = list(kept)
    return cleaned
