"""Tokenizers: bytes, or byte-pair encoding learnt from the corpus; one for all languages of a study.

Both read any text and give it back unchanged, since both are made of bytes (those of others may alter it, and say so);
neither takes the words <|endoftext|> in a text for the mark between documents. On disk a tokenizer is one file,
tokenizer.json, which for byte pairs is that of Hugging Face tokenizers; its sha256 is the fingerprint.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neural.text.corpus import Corpus
from neural.text.subwords import END_OF_TEXT, SubwordTokenizer, of_bytes
from sim.runs.errors import UserError
from sim.runs.files import regular, replacing

Ids = NDArray[np.int32]

BYTES_FILE = json.dumps({"type": "bytes"}) + "\n"
SAMPLE = 4_000_000
"""Characters of each language that byte pairs are learnt from, at most."""


class Tokenizer(Protocol):
    """Text to ids below `vocabulary` and back."""

    @property
    def vocabulary(self) -> int: ...

    @property
    def holes(self) -> NDArray[np.int64]:
        """The ids below `vocabulary` that stand for nothing."""
        ...

    @property
    def end_of_text(self) -> int:
        """The id that ends a document."""
        ...

    def encode(self, text: str) -> Ids: ...

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        """Each text by itself, on several cores where that helps."""
        ...

    def decode(self, ids: Any) -> str:
        """The text of a sequence of ids, END_OF_TEXT for its id; bytes that are not UTF-8 become U+FFFD."""
        ...

    @property
    def keeps_text(self) -> bool:
        """Whether it is known to give every text back unchanged."""
        ...

    def alteration(self, text: str, ids: Any) -> str | None:
        """Where the text that these ids of a text stand for is another, in words; None where it is the same."""
        ...

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of UTF-8 that each id stands for, (vocabulary,): none for the end of a text.

        Raises UserError where that depends on the place, so that they would not sum to the bytes of a text.
        """
        ...

    def serialised(self) -> str:
        """The content of tokenizer.json."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of tokenizer.json."""
        ...


class ByteTokenizer:
    """The 256 bytes of UTF-8, and the end of a text."""

    vocabulary = 257
    end_of_text = 256
    keeps_text = True
    holes = np.zeros(0, dtype=np.int64)

    def encode(self, text: str) -> Ids:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Any) -> str:
        pieces = np.asarray(ids)
        ends = np.flatnonzero(pieces == self.end_of_text)
        parts = np.split(pieces, ends)
        texts = [part[part != self.end_of_text].astype(np.uint8).tobytes() for part in parts]
        return END_OF_TEXT.join(text.decode(errors="replace") for text in texts)

    def alteration(self, text: str, ids: Any) -> str | None:
        return None

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.array([1] * self.end_of_text + [0])

    def serialised(self) -> str:
        return BYTES_FILE

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.serialised().encode()).hexdigest()


def train(corpus: Corpus, vocabulary: int, *, sample: int = SAMPLE, seed: int = 0) -> Tokenizer:
    """Byte pairs learnt from the training text of all languages, equally many characters of each.

    Characters, since bytes would halve the share of Greek; a language with less text than others has it read again, so
    that none starves. The same corpus and seed give the same tokenizer. Raises UserError if the vocabulary is too
    small for the 256 bytes and the end of a text, or larger than the text can fill.
    """
    if vocabulary < ByteTokenizer.vocabulary:
        raise UserError(
            f"vocabulary of {vocabulary}: give at least {ByteTokenizer.vocabulary}, the bytes and the end of a text"
        )
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(balanced_sample(corpus, sample, seed), trainer)
    trained = SubwordTokenizer(inner)
    if trained.vocabulary < vocabulary:
        raise UserError(
            f"the text gives a vocabulary of {trained.vocabulary}, not {vocabulary}: "
            "ask for a smaller one, or give more text"
        )
    return trained


def balanced_sample(corpus: Corpus, characters: int, seed: int) -> Iterator[str]:
    """Training documents in a random order until each language gave the same number of characters.

    That is `characters`, or the length of the longest language's text if it is less.
    """
    texts = {
        language: [item.text for item in corpus.documents(language, "train")]
        for language in corpus.languages
    }
    lengths = {language: sum(map(len, text)) for language, text in texts.items()}
    for language, length in lengths.items():
        if not length:
            raise UserError(
                f"{language} has no training text: leave it out of the languages a tokenizer is learnt from"
            )
    wanted = min(characters, max(lengths.values()))
    for documents in texts.values():
        rng = np.random.default_rng(seed)
        left = wanted
        while left:
            for index in rng.permutation(len(documents)):
                piece = documents[index][:left]
                left -= len(piece)
                yield piece
                if not left:
                    break


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write tokenizer.json, whole or not at all."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(tokenizer.serialised(), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): free space there, or choose another folder"
        ) from None


def load(path: Path) -> Tokenizer:
    """The tokenizer of a file. Raises UserError if it is none, or none of ours."""
    try:
        content = regular(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path} ({reason}): give a tokenizer.json") from None
    if content == BYTES_FILE:
        return ByteTokenizer()
    import tokenizers

    try:
        inner = tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the package raises plain Exception
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a tokenizer ({reason}): give a tokenizer.json written here"
        ) from None
    tokenizer = SubwordTokenizer(inner, content)
    return ByteTokenizer() if tokenizer.serialised() == exported(ByteTokenizer()) else tokenizer


def exported(tokenizer: Tokenizer) -> str:
    """The content of a tokenizer.json that transformers reads to the same ids, and `load` to the same tokenizer."""
    if isinstance(tokenizer, ByteTokenizer):
        return SubwordTokenizer(of_bytes()).serialised()
    return tokenizer.serialised()
