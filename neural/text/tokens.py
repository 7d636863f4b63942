"""Token ids on disk: for each language and split one array, read-only and mapped into memory.

A language is kept in a folder named by its text and the tokenizer, so it is encoded once for all runs that read it.
The folder is made under another name and renamed when whole: a kill leaves nothing that passes for tokens, and of two
processes at the same language one comes first and the other takes its result.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from neural.text.corpora import cache_folder
from neural.text.corpus import Corpus
from neural.text.documents import SPLITS, Document
from neural.text.tokenizer import Tokenizer
from sim.runs.errors import UserError
from sim.runs.identity import parsed
from theory.command.progress import progress

Ids = NDArray[np.unsignedinteger[Any]]
INDEX = "index.json"
AT_ONCE = 2**22
"""UTF-8 bytes encoded in one go."""
PASSAGE = 4
"""Windows' lengths in a passage of held-out text."""
STALE = 24 * 3600
"""Seconds after which a half-made folder belongs to a process that was killed."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """One split of a language. ids (n,): documents, each followed by the end-of-text id.

    ends (documents,): where each ends in ids, its end-of-text included. sizes (documents,): its UTF-8 bytes, which the
    end of text does not count in. bytes_of (vocabulary,): those of each id, where they are the same in every place.
    altered: where the ids stand for another text, so that their probability is not that of these bytes.
    """

    ids: Ids
    ends: NDArray[np.int64]
    sizes: NDArray[np.int64]
    bytes_of: NDArray[np.int64] | None = None
    altered: str | None = None

    def document(self, index: int) -> Ids:
        """The ids of one document with its end-of-text."""
        return self.ids[self.ends[index - 1] if index else 0 : self.ends[index]]

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of all documents."""
        return int(self.sizes.sum())

    def bytes_before(self, places: Any) -> NDArray[np.int64]:
        """Bytes of the ids before each place, rising, of the text: in proportion where only documents' are known."""
        if self.bytes_of is None:
            return np.rint(self.bytes * (np.asarray(places) / len(self.ids))).astype(np.int64)
        return np.append(0, np.cumsum(self.bytes_of[self.ids]))[places]


def encoded(texts: Sequence[str], tokenizer: Tokenizer) -> Tokens:
    """Documents as tokens, each closed by its end-of-text."""
    parts = tokenizer.encode_all(texts)
    ids = [np.append(part, tokenizer.end_of_text) for part in parts]
    return Tokens(
        np.concatenate(ids),
        np.cumsum([len(part) for part in ids]),
        np.array([len(text.encode()) for text in texts], dtype=np.int64),
        bytes_of_ids(tokenizer),
        alteration(texts, parts, tokenizer),
    )


def bytes_of_ids(tokenizer: Tokenizer) -> NDArray[np.int64] | None:
    """Bytes of each id of a tokenizer; None where they depend on the place."""
    try:
        return tokenizer.sizes
    except UserError:
        return None


def alteration(
    texts: Sequence[str], ids: Sequence[NDArray[Any]], tokenizer: Tokenizer
) -> str | None:
    """Where the first text that does not come back from its ids differs, in words; None where all do."""
    if tokenizer.keeps_text:
        return None
    reasons = (tokenizer.alteration(text, part) for text, part in zip(texts, ids, strict=True))
    return next((reason for reason in reasons if reason), None)


@dataclass(frozen=True, eq=False)
class TokenStore:
    """The tokens of a corpus; store["el", "valid"] is those of one language and split."""

    tokens: Mapping[tuple[str, str], Tokens]
    languages: tuple[str, ...]
    fingerprint: str

    def __getitem__(self, key: tuple[str, str]) -> Tokens:
        language, split = key
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: choose from {', '.join(SPLITS)}")
        if language not in self.languages:
            raise UserError(
                f"unknown language {language!r}: these tokens are of {', '.join(self.languages)}"
            )
        return self.tokens[key]

    def streams(self, split: str = "train") -> dict[str, Ids]:
        """The ids of every language, what a mixture draws from."""
        return {language: self[language, split].ids for language in self.languages}


def store(corpus: Corpus, tokenizer: Tokenizer, folder: Path | None = None) -> TokenStore:
    """The tokens of a corpus, read from the folder or encoded and kept there (default: the user's cache).

    Raises UserError where the folder cannot be written, or holds damaged tokens.
    """
    folder = cache_folder() / "tokens" if folder is None else folder
    tokens = {}
    for language, text in corpus.fingerprints.items():
        form = "" if tokenizer.keeps_text else "-plain"  # others' were once read with templates
        made = folder / f"{text[:16]}-{tokenizer.fingerprint[:16]}{form}"
        if not made.exists():
            _make(made, corpus.texts[language], tokenizer, language)
        for split in SPLITS:
            tokens[language, split] = _open(made, split, bytes_of_ids(tokenizer))
    return TokenStore(tokens, corpus.languages, f"{corpus.fingerprint}-{tokenizer.fingerprint}")


def _make(
    made: Path, splits: Mapping[str, Sequence[Document]], tokenizer: Tokenizer, language: str
) -> None:
    temporary = None
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        _sweep(made.parent)
        temporary = made.with_name(f".{uuid4().hex}.tmp")
        temporary.mkdir()
        dtype = "uint16" if tokenizer.vocabulary <= 2**16 else "uint32"
        altered = {
            split: _encode(temporary, split, splits[split], tokenizer, dtype, f"{language} {split}")
            for split in SPLITS
        }
        index = {"dtype": dtype, "vocabulary": tokenizer.vocabulary, "altered": altered}
        (temporary / INDEX).write_text(json.dumps(index) + "\n")
        for path in temporary.iterdir():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        _publish(temporary, made)
    except OSError as error:
        raise UserError(
            f"cannot write tokens to {made.parent} ({error.strerror or error}): free space there, or choose another"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, made: Path) -> None:
    """Rename, unless another process made the same meanwhile."""
    try:
        temporary.rename(made)
    except OSError:
        if not made.exists():
            raise


def _sweep(folder: Path) -> None:
    """Delete what killed processes left."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True)


def _encode(
    folder: Path,
    split: str,
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    dtype: str,
    what: str,
) -> str | None:
    """Write a split; where its tokens stand for another text, in words."""
    sizes = np.array([len(item.text.encode()) for item in documents], dtype=np.int64)
    lengths: list[int] = []
    altered = None
    end = np.array([tokenizer.end_of_text], dtype=dtype)
    with (
        (folder / f"{split}.ids").open("wb") as stream,
        progress(int(sizes.sum()), unit="bytes", scaled=True, description=what) as bar,
    ):
        batches = np.split(np.arange(len(documents)), _cuts(sizes))
        for batch in batches:
            texts = [documents[index].text for index in batch]
            encodings = tokenizer.encode_all(texts)
            altered = altered or alteration(texts, encodings, tokenizer)
            for ids in encodings:
                stream.write(np.concatenate([ids.astype(dtype), end]).tobytes())
                lengths.append(len(ids) + 1)
            bar.update(int(sizes[batch].sum()))
    np.save(folder / f"{split}.ends.npy", np.cumsum(lengths, dtype=np.int64))
    np.save(folder / f"{split}.sizes.npy", sizes)
    return altered


def _cuts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to cut documents into batches of about AT_ONCE bytes."""
    return 1 + np.flatnonzero(np.diff(np.cumsum(sizes) // AT_ONCE))


def _open(made: Path, split: str, bytes_of: NDArray[np.int64] | None) -> Tokens:
    try:
        index = parsed((made / INDEX).read_text())
        dtype, altered = np.dtype(index["dtype"]), index.get("altered", {}).get(split)
        ends = np.load(made / f"{split}.ends.npy", allow_pickle=False)
        sizes = np.load(made / f"{split}.sizes.npy", allow_pickle=False)
        path = made / f"{split}.ids"
        count = int(ends[-1]) if len(ends) else 0
        if path.stat().st_size != count * dtype.itemsize or len(ends) != len(sizes):
            raise ValueError(f"{path.name} holds {path.stat().st_size} bytes for {count} ids")
        ids = np.memmap(path, dtype=dtype, mode="r") if count else np.zeros(0, dtype=dtype)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{made} holds damaged tokens ({error}): delete that folder, and they are made again"
        ) from None
    return Tokens(ids, ends, sizes, bytes_of, altered)


def passages(tokens: Tokens, size: int, window: int, end_of_text: int) -> Tokens:
    """Evenly spaced passages of a text, PASSAGE windows long and closed by an end-of-text: at most `size` tokens.

    One shorter passage, if text or size have no more. Bytes are those of its ids, or in proportion to the text's.
    """
    n = len(tokens.ids)
    length = min(PASSAGE * window, size, n) - 1
    count = min(size, n) // (length + 1)
    starts = np.linspace(0, n - length, count).astype(np.int64)
    ids = tokens.ids[starts[:, None] + np.arange(length)]
    closed = np.concatenate([ids, np.full((count, 1), end_of_text, ids.dtype)], axis=1)
    if tokens.bytes_of is None:
        sizes = np.full(count, round(tokens.bytes * length / n), dtype=np.int64)
    else:
        sizes = tokens.bytes_of[ids].sum(axis=1)
    ends = (length + 1) * np.arange(1, count + 1)
    return Tokens(closed.reshape(-1), ends, sizes, tokens.bytes_of, tokens.altered)


def windows(tokens: Tokens, count: int, context: int) -> NDArray[np.int64]:
    """Windows (count, context + 1), evenly spaced in a text. Raises UserError for a text shorter than one."""
    last = len(tokens.ids) - context - 1
    if last < 0:
        raise UserError(
            f"a text of {len(tokens.ids)} tokens, for windows of {context} and the next: give more"
        )
    starts = np.linspace(0, last, count).astype(np.int64)
    return tokens.ids[starts[:, None] + np.arange(context + 1)].astype(np.int64)
