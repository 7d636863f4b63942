"""Tokenizers: bytes, or byte-pair encoding learnt from the corpus; one for all languages of a study.

Both read any text and give it back unchanged, since both are made of bytes; neither takes the words <|endoftext|> in a
text for the mark between documents. On disk a tokenizer is one file, tokenizer.json, which for byte pairs is that of
Hugging Face tokenizers; its sha256 is the fingerprint.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neural.corpus import Corpus
from sim.runs.errors import UserError
from sim.runs.files import replacing

if TYPE_CHECKING:
    import tokenizers

Ids = NDArray[np.int32]

END_OF_TEXT = "<|endoftext|>"
BYTES_FILE = json.dumps({"type": "bytes"}) + "\n"
SAMPLE = 4_000_000
"""Characters of each language that byte pairs are learnt from, at most."""


class Tokenizer(Protocol):
    """Text to ids below `vocabulary` and back."""

    @property
    def vocabulary(self) -> int: ...

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
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of UTF-8 that each id stands for, (vocabulary,): none for the end of a text."""
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

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.array([1] * self.end_of_text + [0])

    def serialised(self) -> str:
        return BYTES_FILE

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.serialised().encode()).hexdigest()


class BytePairTokenizer:
    """Byte-pair encoding of GPT-2: words with their leading space, cut into frequent strings of bytes."""

    def __init__(self, inner: "tokenizers.Tokenizer") -> None:
        inner.encode_special_tokens = True  # <|endoftext|> in a text is text
        end = inner.token_to_id(END_OF_TEXT)
        if end is None:
            raise UserError(f"this tokenizer has no {END_OF_TEXT}: train one here")
        self._inner = inner
        self.vocabulary: int = inner.get_vocab_size()
        self.end_of_text: int = end

    def encode(self, text: str) -> Ids:
        return np.array(self._inner.encode(text).ids, dtype=np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        return [
            np.array(encoding.ids, dtype=np.int32)
            for encoding in self._inner.encode_batch_fast(list(texts))
        ]

    def decode(self, ids: Any) -> str:
        return self._inner.decode(np.asarray(ids).tolist(), skip_special_tokens=False)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        pieces = [self._inner.id_to_token(number) or "" for number in range(self.vocabulary)]
        sizes = np.array([len(piece) for piece in pieces])  # a character of its alphabet is a byte
        sizes[self.end_of_text] = 0
        return sizes

    def serialised(self) -> str:
        return self._inner.to_str(pretty=True) + "\n"

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
    trained = BytePairTokenizer(inner)
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
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path} ({reason}): give a tokenizer.json") from None
    if content == BYTES_FILE:
        return ByteTokenizer()
    import tokenizers

    try:
        inner = tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the package raises plain Exception
        raise UserError(
            f"{path} is not a tokenizer ({error}): give a tokenizer.json written here"
        ) from None
    return BytePairTokenizer(inner)
