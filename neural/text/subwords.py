"""Tokenizers in the format of Hugging Face tokenizers: what their ids stand for, and which texts they keep."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.runs.errors import UserError

if TYPE_CHECKING:
    import tokenizers

Ids = NDArray[np.int32]

END_OF_TEXT = "<|endoftext|>"
MOST = 2**24
"""Ids of a tokenizer, at most: some tens of times those of any language model."""
SHOWN = 16
"""Characters of a text that a message shows."""


class SubwordTokenizer:
    """A tokenizer.json as text is read with it: whole texts, the same way each time, and no token that stands for none.

    What the file says of truncation, padding, dropout and tokens to put around a text is kept in the file, for others.
    Tokens that are marks are not read out of a text that spells them.
    """

    def __init__(self, inner: "tokenizers.Tokenizer", content: str = "") -> None:
        """content: the file that inner was read from, which is kept if it was written here."""
        vocabulary = inner.get_vocab()
        if END_OF_TEXT not in vocabulary:
            raise UserError(f"this tokenizer has no {END_OF_TEXT}: train one here")
        self.vocabulary: int = 1 + max(vocabulary.values())
        if self.vocabulary > MOST:
            raise UserError(f"this tokenizer has ids up to {self.vocabulary - 1}: number them anew")
        written = inner.to_str(pretty=True) + "\n"  # counts up to the last id
        # The package reads the scores of pieces anew with another last digit: by its form a file of ours is known.
        self._serialised = content if content.count("\n") == written.count("\n") else written
        self._about = json.loads(self._serialised)
        self.end_of_text: int = vocabulary[END_OF_TEXT]
        if doubled := [
            number for number, count in Counter(vocabulary.values()).items() if count > 1
        ]:
            tokens = sorted(token for token, number in vocabulary.items() if number == doubled[0])
            raise UserError(
                f"this tokenizer has the id {doubled[0]} for {' and '.join(map(repr, tokens))}: number them anew"
            )
        self.holes = np.setdiff1d(np.arange(self.vocabulary), list(vocabulary.values()))
        self._tokens = {number: token for token, number in vocabulary.items()}
        plain = _plain(self._about)
        self._inner = inner if plain == self._about else type(inner).from_str(json.dumps(plain))
        self._inner.encode_special_tokens = True

    def encode(self, text: str) -> Ids:
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        try:
            read = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except Exception as error:  # the package raises plain Exception
            raise UserError(
                f"this tokenizer cannot read the text ({error}): give one that reads any, as those trained here do"
            ) from None
        return [np.array(encoding.ids, dtype=np.int32) for encoding in read]

    def decode(self, ids: Any) -> str:
        numbers = np.asarray(ids).tolist()
        if self._bytes is None:
            return self._inner.decode(numbers, skip_special_tokens=False)
        parts = (self._bytes.get(number, b"") for number in numbers)
        return b"".join(parts).decode(errors="replace")

    def alteration(self, text: str, ids: Any) -> str | None:
        """Where the text that these ids of a text stand for is another, in words; None where it is the same."""
        if self.keeps_text:
            return None
        if self.end_of_text in ids:
            return f"the tokenizer takes {END_OF_TEXT} in a text for its end"
        decoded = self.decode(ids)
        if self._prefixed:  # the space put before every text is none of its
            decoded = decoded.removeprefix(" ")
        if decoded == text:
            return None
        same = (
            place
            for place, pair in enumerate(zip(text, decoded, strict=False))
            if len(set(pair)) > 1
        )
        start = max(next(same, min(len(text), len(decoded))) - SHOWN // 2, 0)
        return (
            f"the tokenizer alters text: of {text[start : start + SHOWN]!r} "
            f"it keeps {decoded[start : start + SHOWN]!r}"
        )

    @cached_property
    def keeps_text(self) -> bool:
        """Whether every text comes back, as its form alone shows: bytes, cut without loss and joined without order."""
        about = self._about
        alphabet = set(byte_alphabet().values())
        return (
            self._bytes is not None
            and not self._prefixed
            and about["normalizer"] is None
            and about["pre_tokenizer"]["type"] == "ByteLevel"
            and about["model"]["type"] == "BPE"
            and not any(
                about["model"].get(part)
                for part in ("continuing_subword_prefix", "end_of_word_suffix")
            )
            and not about["model"].get("ignore_merges")
            and alphabet <= about["model"]["vocab"].keys()
            and all(
                item["special"] or item["content"] == END_OF_TEXT for item in about["added_tokens"]
            )
        )

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        if self._bytes is None or self._prefixed or self._about["normalizer"] is not None:
            raise UserError(
                "the ids of this tokenizer stand for other bytes in other places: give one trained here"
            )
        marks = {item["id"] for item in self._about["added_tokens"] if item["special"]}
        marks = marks - self._spelt | {self.end_of_text}
        return np.array(
            [
                0 if number in marks else len(self._bytes.get(number, b""))
                for number in range(self.vocabulary)
            ]
        )

    def serialised(self) -> str:
        return self._serialised

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.serialised().encode()).hexdigest()

    @cached_property
    def _prefixed(self) -> bool:
        """Whether a space is put before every text that begins with none, and left there by `decode`."""
        parts = _parts(self._about["pre_tokenizer"])
        return self._bytes is not None and any(part.get("add_prefix_space") for part in parts)

    @cached_property
    def _spelt(self) -> set[int]:
        """Marks that text is encoded to as well, as where a token of text (!) serves as padding."""
        byte = _byte_of()
        marks = {
            item["id"]: item["content"] for item in self._about["added_tokens"] if item["special"]
        }
        spelt = set()
        for number, content in marks.items():
            if set(content) <= byte.keys():
                text = bytes(byte[character] for character in content).decode(errors="replace")
                if self.encode(text).tolist() == [number]:
                    spelt.add(number)
        return spelt

    @cached_property
    def _bytes(self) -> Mapping[int, bytes] | None:
        """What each id stands for, where its token is spelt in the alphabet of bytes; None for other tokenizers.

        The package decodes added tokens by that alphabet too, which turns the ö of one into half a character.
        """
        pieces = {part["type"] for part in _parts(self._about["pre_tokenizer"])}
        joined = {part["type"] for part in _parts(self._about["decoder"])}
        if "ByteLevel" not in pieces or joined - {"ByteLevel"}:
            return None
        byte = _byte_of()
        added = {item["id"] for item in self._about["added_tokens"]} - self._spelt
        return {
            number: bytes(byte[character] for character in token)
            if number not in added and set(token) <= byte.keys()
            else token.encode()
            for number, token in self._tokens.items()
        }


def byte_alphabet() -> dict[int, str]:
    """The character that GPT-2 writes for each byte: itself if it is visible in Latin-1, else the next beyond it."""
    visible = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), 256),
    ]
    hidden = [byte for byte in range(256) if byte not in visible]
    characters = {byte: chr(byte) for byte in visible}
    return characters | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def _byte_of() -> dict[str, int]:
    """The byte that each character of GPT-2's alphabet stands for."""
    return {character: byte for byte, character in byte_alphabet().items()}


def of_bytes() -> "tokenizers.Tokenizer":
    """The 256 bytes as ids 0 to 255 and then the end of a text: what others read as tokenizer.ByteTokenizer."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    inner = tokenizers.Tokenizer(models.BPE(vocab=_byte_of(), merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([END_OF_TEXT])
    return inner


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json that reads whole texts the same way each time, adds nothing, and takes no text for an end."""
    added = [
        item | {"special": True} if item["content"] == END_OF_TEXT else item
        for item in about["added_tokens"]
    ]
    model = about["model"] | ({"dropout": None} if "dropout" in about["model"] else {})
    nothing = dict.fromkeys(("truncation", "padding", "post_processor"))
    return {**about, **nothing, "added_tokens": added, "model": model}


def _parts(component: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The parts of a normaliser, pre-tokenizer or decoder, which may be a sequence of others."""
    if component is None:
        return
    inside = [value for value in component.values() if isinstance(value, list)]
    if component["type"] != "Sequence" or not inside:
        yield component
        return
    for part in inside[0]:
        yield from _parts(part)
