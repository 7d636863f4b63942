"""Tokenizers of every kind that Hugging Face's package makes, learnt from a few lines."""

import json
from collections.abc import Callable
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from neural.text.subwords import END_OF_TEXT

LINES = [
    "the king and the queen wrote a letter to the ring. It's fine, 12 km away!",
    "Ο βασιλιάς έγραψε ένα γράμμα. Der König schrieb.",
]


def byte_pairs(prefix: bool = False, **options: Any) -> Tokenizer:
    inner = Tokenizer(models.BPE(dropout=options.get("dropout")))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    inner.decoder = decoders.ByteLevel()
    if "normalizer" in options:
        inner.normalizer = options["normalizer"]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=[END_OF_TEXT, "<s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(LINES * 20, trainer)
    inner.add_tokens(options.get("added", []))
    return inner


def template() -> Tokenizer:
    inner = byte_pairs()
    mark = ("<s>", inner.token_to_id("<s>"))
    inner.post_processor = processors.TemplateProcessing("<s> $A <s>", special_tokens=[mark])
    return inner


def cut_and_filled() -> Tokenizer:
    inner = byte_pairs()
    inner.enable_truncation(5)
    inner.enable_padding(pad_id=1, pad_token="<s>", length=70)
    return inner


def without_decoder() -> Tokenizer:
    return Tokenizer.from_str(json.dumps(json.loads(byte_pairs().to_str()) | {"decoder": None}))


def mark_as_text() -> Tokenizer:
    """The end of a text is no special token in the file."""
    about = json.loads(byte_pairs().to_str())
    about["added_tokens"] = [item | {"special": False} for item in about["added_tokens"]]
    return Tokenizer.from_str(json.dumps(about))


def unigram(scheme: str) -> Tokenizer:
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    inner.decoder = decoders.Metaspace(prepend_scheme=scheme)
    marks = ["<unk>", END_OF_TEXT]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=marks, unk_token="<unk>", show_progress=False
    )
    inner.train_from_iterator(LINES * 20, trainer)
    return inner


def word_pieces(unknown: str | None = "[UNK]") -> Tokenizer:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    marks = [END_OF_TEXT, *([unknown] if unknown else [])]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=marks, show_progress=False)
    inner.train_from_iterator(LINES * 20, trainer)
    return inner


def byte_fallback() -> Tokenizer:
    """As Llama 2's: spaces are ▁, one is put before the text, and what has no piece is read byte by byte."""
    pieces = ["<unk>", END_OF_TEXT, *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [*"▁abcdefghijklmnopqrstuvwxyz,.", "th", "the", "▁the"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    inner = Tokenizer(model)
    spaces = normalizers.Replace(" ", "▁")
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    spaces_again = decoders.Replace("▁", " ")
    inner.decoder = decoders.Sequence(
        [spaces_again, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens(["<unk>", END_OF_TEXT])
    return inner


def words() -> Tokenizer:
    inner = Tokenizer(models.WordLevel(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = ["<unk>", END_OF_TEXT]
    inner.train_from_iterator(LINES, trainers.WordLevelTrainer(special_tokens=marks))
    return inner


def holed() -> Tokenizer:
    """Byte pairs with no token of id 300 and none of 303; the last id is 331."""
    about = json.loads(byte_pairs().to_str())
    vocabulary = about["model"]["vocab"]
    for number in (300, 303):
        vocabulary |= {token: n + 1 for token, n in vocabulary.items() if n >= number}
    return Tokenizer.from_str(json.dumps(about))


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte pairs": byte_pairs,
    "prefix": lambda: byte_pairs(prefix=True),
    "NFC": lambda: byte_pairs(normalizer=normalizers.NFC()),
    "NFKC": lambda: byte_pairs(normalizer=normalizers.NFKC()),
    "lower case": lambda: byte_pairs(normalizer=normalizers.Lowercase()),
    "no accents": lambda: byte_pairs(
        normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    ),
    "replacing": lambda: byte_pairs(normalizer=normalizers.Replace("king", "queen")),
    "prepending": lambda: byte_pairs(normalizer=normalizers.Prepend("x")),
    "template": template,
    "added": lambda: byte_pairs(added=["the king", "König", " ß "]),
    "stripping": lambda: byte_pairs(added=[AddedToken("queen", lstrip=True, rstrip=True)]),
    "added word": lambda: byte_pairs(added=[AddedToken("ring", single_word=True)]),
    "cut and filled": cut_and_filled,
    "dropout": lambda: byte_pairs(dropout=0.5),
    "no decoder": without_decoder,
    "mark as text": mark_as_text,
    "unigram always": lambda: unigram("always"),
    "unigram first": lambda: unigram("first"),
    "unigram never": lambda: unigram("never"),
    "word pieces": word_pieces,
    "byte fallback": byte_fallback,
    "words": words,
}
