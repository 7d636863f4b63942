"""Tokenizers of others: bytes and probabilities are those of the text at hand, or are refused with the reason."""

import json
import math
import sys
from functools import lru_cache

import jax
import numpy as np
import pytest

from neural.gpt import checkpoint, sample
from neural.gpt.config import ModelConfig
from neural.gpt.generate import Sampling, generate
from neural.gpt.model import logits, shapes
from neural.measures import evaluate
from neural.measures.evaluate import Arguments, rows
from neural.measures.scoring import Sliding, pieces, score
from neural.text.subwords import END_OF_TEXT, SubwordTokenizer, byte_alphabet
from neural.text.tokenizer import ByteTokenizer, exported, load, save
from neural.text.tokens import Tokens, encoded, passages, store
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.neural.tokenizers_of_others import KINDS, byte_pairs, holed, word_pieces

pytestmark = pytest.mark.usefixtures("soon_compiled")

PLAIN = "the king wrote a letter to the queen, a b ring."
"""47 bytes, of characters that all of the tokenizers know."""
RICH = "The ﬁne König ß é  x"
"""A ligature, an accent, capitals and two spaces."""
ALTERED = {
    PLAIN: {"replacing", "prepending", "stripping", "words"},
    RICH: {
        *("NFKC", "lower case", "no accents", "prepending", "word pieces", "words"),
        *("unigram always", "unigram first", "unigram never"),
    },
    " the": {"prefix", "prepending", "unigram always", "unigram first", "word pieces", "words"},
}
"""The kinds that read another text than this."""
BY_PLACE = {
    *("prefix", "NFC", "NFKC", "lower case", "no accents", "replacing", "prepending"),
    *("unigram always", "unigram first", "unigram never", "word pieces", "byte fallback", "words"),
}
"""The kinds whose ids have no bytes of their own."""


@lru_cache
def tokenizer(kind: str) -> SubwordTokenizer:
    return SubwordTokenizer(KINDS[kind]())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ALTERED)
def test_bytes_are_those_of_the_text_and_altered_text_is_seen(kind, text):
    made = encoded([text], tokenizer(kind))
    assert made.bytes == len(text.encode())
    assert (made.altered is not None) == (kind in ALTERED[text])
    if kind in BY_PLACE:
        assert made.bytes_of is None
        assert "other bytes in other places" in message(lambda: tokenizer(kind).sizes)
    elif kind not in ALTERED[text]:
        assert made.bytes_of[made.ids].sum() == len(text.encode())


def test_what_is_altered_is_shown():
    notice = encoded([PLAIN, "so ﬁne a text"], tokenizer("NFKC")).altered
    assert notice == "the tokenizer alters text: of 'so ﬁne a text' it keeps 'so fine a text'"


@pytest.mark.parametrize("kind", ["template", "cut and filled", "dropout", "mark as text"])
def test_a_text_is_read_whole_without_chance_or_tokens_that_are_none_of_it(kind):
    for text in (PLAIN, RICH):
        wanted = tokenizer("byte pairs").encode(text)
        for _ in range(3):
            np.testing.assert_array_equal(tokenizer(kind).encode(text), wanted)
        np.testing.assert_array_equal(tokenizer(kind).encode_all([text, "a"])[0], wanted)


@pytest.mark.parametrize("kind", ["template", "cut and filled", "dropout"])
def test_what_the_file_says_of_others_stays_in_it(kind, tmp_path):
    """So that transformers reads an export as before, and the fingerprint of a run stays."""
    made = tokenizer(kind)
    assert made.serialised() == KINDS[kind]().to_str(pretty=True) + "\n"
    save(made, tmp_path / "tokenizer.json")
    assert load(tmp_path / "tokenizer.json").fingerprint == made.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_fingerprint_stays_when_a_file_is_read_and_written_again(kind, tmp_path):
    """Scores of pieces too, whose last digit the package changes when it reads them."""
    path = tmp_path / "tokenizer.json"
    path.write_text(KINDS[kind]().to_str(pretty=False))
    for first in (load(path), SubwordTokenizer(KINDS[kind]())):
        save(first, path)
        for _ in range(2):
            again = load(path)
            assert again.fingerprint == first.fingerprint
            save(again, path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_spells_the_mark_is_not_cut_there(kind):
    text = f"the king{END_OF_TEXT}the queen"
    ids = tokenizer(kind).encode(text)
    if kind.startswith("unigram"):  # whose pieces are cut out of the text, the mark too
        assert "for its end" in tokenizer(kind).alteration(text, ids)
    else:
        assert tokenizer(kind).end_of_text not in ids


def test_added_tokens_are_decoded_as_they_are_spelt():
    """The package takes the ö of an added token for a byte."""
    made = tokenizer("added")
    ids = made.encode("König ß the king")
    assert made.decode(ids) == "König ß the king"
    assert made.sizes[ids].tolist() == [6, 4, 8]


def test_the_alphabet_of_bytes_is_that_of_gpt2():
    from tokenizers import pre_tokenizers

    assert set(byte_alphabet().values()) == set(pre_tokenizers.ByteLevel.alphabet())
    every = bytes(range(256)).decode("latin-1")
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ((spelt, _),) = cut.pre_tokenize_str(every)
    assert spelt == "".join(byte_alphabet()[byte] for byte in every.encode())


def test_text_that_cannot_be_read_is_refused():
    made = SubwordTokenizer(word_pieces(unknown=None))
    assert "cannot read the text" in message(made.encode, "König 語")


def test_ids_too_large_to_count_are_refused():
    about = json.loads(byte_pairs().to_str())
    about["model"]["vocab"]["zz"] = 4_000_000_000
    kind = type(byte_pairs())
    assert "number them anew" in message(SubwordTokenizer, kind.from_str(json.dumps(about)))


@pytest.mark.parametrize("token", ["a", "Ġ", "!"])
def test_a_mark_that_text_is_encoded_to_has_the_bytes_of_text(token):
    """As where a token of text serves as padding."""
    about = json.loads(byte_pairs().to_str())
    mark = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    mark |= {"id": about["model"]["vocab"][token], "content": token, "special": True}
    about["added_tokens"].append(mark)
    made = SubwordTokenizer(type(byte_pairs()).from_str(json.dumps(about)))
    text = "a cat! and a dog!"
    ids = made.encode(text)
    assert about["model"]["vocab"][token] in ids
    assert made.sizes[ids].sum() == len(text)
    assert made.sizes[made.end_of_text] == 0
    assert made.decode(ids) == text


def test_two_tokens_of_one_id_are_refused():
    about = json.loads(byte_pairs().to_str())
    vocabulary = about["model"]["vocab"]
    vocabulary["a"] = vocabulary["b"]
    doubled = type(byte_pairs()).from_str(json.dumps(about))
    assert f"the id {vocabulary['b']} for 'a' and 'b'" in message(SubwordTokenizer, doubled)


def test_bytes_are_read_back_from_the_form_of_others(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(exported(ByteTokenizer()))
    assert isinstance(load(path), ByteTokenizer)
    from tokenizers import Tokenizer

    inner = Tokenizer.from_file(str(path))
    inner.encode_special_tokens = True
    text = f"Ο βασιλιάς\n{END_OF_TEXT}\0"
    assert inner.encode(text).ids == ByteTokenizer().encode(text).tolist()
    assert inner.decode(list(text.encode())) == text
    assert inner.token_to_id(END_OF_TEXT) == ByteTokenizer.end_of_text


# Models whose rows are more than the tokenizer's ids


def model_of(reader, extra):
    return ModelConfig(layers=1, width=8, heads=2, context=8, vocabulary=reader.vocabulary + extra)


def run_of(folder, reader, parameters, config):
    """A run of one model, as an import leaves it."""
    save(reader, folder / checkpoint.TOKENIZER)
    checkpoint.save(
        checkpoint.file_of(folder / "seed-0", 0),
        parameters,
        config,
        step=0,
        seed=0,
        languages="",
        tokens={},
        fingerprint=reader.fingerprint,
        run="0",
    )
    return folder


def uniform(config):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}


@pytest.mark.parametrize("kind", ["prefix", "added", "unigram always", "words"])
def test_bits_per_byte_of_a_uniform_model(tmp_path, kind):
    """Every token costs log of the ids that there are: of 47 bytes, exactly, or refused; perplexity in any case."""
    reader = tokenizer(kind)
    config = model_of(reader, 7)
    folder = run_of(tmp_path, reader, uniform(config), config)
    (tmp_path / "own.txt").write_text(PLAIN)
    (row,) = rows(Arguments(str(folder), on=str(tmp_path / "own.txt")))
    ids = reader.vocabulary - len(reader.holes)
    tokens = len(reader.encode(PLAIN)) + 1
    assert (row["bytes"], row["tokens"]) == (47, tokens)
    assert row["perplexity"] == pytest.approx(ids, rel=1e-5)  # float32
    assert row["nats_per_token_of_all_ids"] == pytest.approx(math.log(ids + 7), rel=1e-5)
    if kind in ALTERED[PLAIN]:
        assert row["bits_per_byte"] is None
        assert row["notes"][0].startswith("no bits per byte: the tokenizer alters text: of ")
    else:
        assert row["bits_per_byte"] == pytest.approx(tokens * math.log2(ids) / 47, rel=1e-5)
    assert (
        f"7 ids that are none of the tokenizer's are left out of the softmax; with them {math.log(ids + 7):.4f}"
        in row["notes"][-1]
    )


def test_ids_without_a_token_are_holes():
    reader = SubwordTokenizer(holed())
    assert reader.holes.tolist() == [300, 303]
    assert reader.vocabulary == 332
    assert reader.decode(reader.encode(RICH)) == RICH
    assert len(byte_pairs().get_vocab()) == 330


def test_losses_without_ids_are_those_of_a_softmax_without_them():
    reader = SubwordTokenizer(holed())
    config = model_of(reader, 5)
    parameters = random_parameters(config, scale=1)
    text = encoded([PLAIN, RICH], reader)
    without = np.array([300, 303, *range(332, 337)])
    losses = score(parameters, config, text, Sliding(8, 8), without=without)
    assert losses.nats.shape == (2, 2)
    stream = np.concatenate([[reader.end_of_text], text.ids, np.zeros(8)]).astype(np.int32)
    program = jax.jit(logits, static_argnums=2)
    wanted = np.zeros((2, len(text.ids)))
    kept = np.setdiff1d(np.arange(337), without)
    for start in range(0, len(text.ids), 8):
        scores = np.asarray(program(parameters, stream[None, start : start + 8], config)[0])
        for place in range(start, min(start + 8, len(text.ids))):
            row = scores[place - start].astype(np.float64)
            target = row[text.ids[place]]
            wanted[:, place] = np.log(np.exp(row[kept]).sum()), np.log(np.exp(row).sum())
            wanted[:, place] -= target
    by_document = np.add.reduceat(wanted, [0, text.ends[0]], axis=1)
    np.testing.assert_allclose(losses.nats, by_document, rtol=1e-5)  # float32
    assert (losses.nats[1] - losses.nats[0] > 1e-3).all()
    np.testing.assert_allclose(
        score(parameters, config, text, Sliding(8, 8)).nats, losses.nats[1], rtol=1e-5
    )


def test_the_loss_with_all_ids_is_printed_where_it_differs(tmp_path, monkeypatch, capsys):
    """Rows that are far from every state take no probability: then only that they are left out is said."""
    reader = tokenizer("byte pairs")
    config = model_of(reader, 3)
    parameters = random_parameters(config, scale=0.5)
    (tmp_path / "own.txt").write_text(PLAIN)
    arguments = [str(tmp_path), "--on", str(tmp_path / "own.txt")]
    for bias, said in ((-50, False), (5, True)):
        parameters["ln_f.weight"] = 0 * parameters["ln_f.weight"]
        parameters["ln_f.bias"] = np.eye(8, dtype=np.float32)[0]
        parameters["wte.weight"][reader.vocabulary :, 0] = bias
        run_of(tmp_path, reader, parameters, config)
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
        assert evaluate.main() == 0
        table = capsys.readouterr().out
        assert "3 ids that are none of the tokenizer's are left out of the softmax" in table
        assert ("with them" in table) == said
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, "--json"])
        assert evaluate.main() == 0
        row = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert ("nats_per_token_of_all_ids" in row) == said
        assert row["bits_per_byte_low"] is None


def test_a_model_with_the_rows_of_its_tokenizer_has_no_notes(tmp_path):
    reader = tokenizer("byte pairs")
    config = model_of(reader, 0)
    folder = run_of(tmp_path, reader, uniform(config), config)
    (tmp_path / "own.txt").write_text(PLAIN)
    (row,) = rows(Arguments(str(folder), on=str(tmp_path / "own.txt")))
    assert row["notes"] == []
    assert "nats_per_token_of_all_ids" not in row


def test_ids_without_text_are_never_drawn(tmp_path, monkeypatch):
    """Neither rows beyond the tokenizer nor holes, though they are the likeliest."""
    reader = SubwordTokenizer(holed())
    config = model_of(reader, 5)
    parameters = random_parameters(config)
    parameters["ln_f.weight"] = np.zeros(8, np.float32)
    parameters["ln_f.bias"] = np.ones(8, np.float32)
    without = [300, 303, *range(332, 337)]
    parameters["wte.weight"][without] = 10
    folder = run_of(tmp_path, reader, parameters, config)
    assert checkpoint.load(folder).beyond.tolist() == without
    for options in (Sampling(temperature=0), Sampling(top_k=337)):
        made = generate(
            parameters, config, np.array([5]), samples=50, length=2, sampling=options,
            vocabulary=332, without=[300, 303],
        )  # fmt: skip
        assert not np.isin(np.array(list(made)), without).any()
    asked = {}

    def recorded(*_, **options):
        asked.update(options)
        return iter([])

    monkeypatch.setattr("neural.gpt.generate.generate", recorded)
    list(sample.write(sample.Arguments(str(folder))))
    assert (asked["vocabulary"], asked["without"]) == (332, [300, 303])


@pytest.mark.parametrize("kind", sorted(set(KINDS) - ALTERED[PLAIN]))
def test_what_is_sampled_goes_on_from_the_prompt(tmp_path, monkeypatch, kind):
    """With its spaces, which many tokenizers leave out before the first of the ids that they decode."""
    reader = tokenizer(kind)
    config = model_of(reader, 0)
    folder = run_of(tmp_path, reader, uniform(config), config)
    start = len(reader.encode("the king wrote"))
    ids = reader.encode(PLAIN)[start:]
    scripted = [np.array([number, number]) for number in (*ids, reader.end_of_text)]
    monkeypatch.setattr("neural.gpt.generate.generate", lambda *_, **__: iter(scripted))
    arguments = sample.Arguments(str(folder), prompt="the king wrote", samples=2)
    assert "".join(sample.write(arguments)) == f"{PLAIN}\n---\n{PLAIN}\n"


# Bytes of parts of a text


def test_parts_of_a_text_have_the_bytes_of_their_ids():
    """Ids of 1, 2 and 4 bytes in turn: windows that score the third alone score 4 bytes of 7."""
    bytes_of = np.array([1, 2, 4, 0])
    ids = np.append(np.tile([0, 1, 2], 1000), 3).astype(np.uint16)
    whole = Tokens(ids, np.array([3001]), np.array([7000]), bytes_of)
    parts = pieces(whole)
    assert len(parts.ends) == 46
    begins = np.append(0, parts.ends[:-1])
    wanted = [bytes_of[ids[a:b]].sum() for a, b in zip(begins, parts.ends, strict=True)]
    assert parts.sizes.tolist() == wanted
    assert parts.bytes == 7000
    excerpt = passages(whole, 64, 8, 3)
    assert excerpt.bytes == sum(
        bytes_of[excerpt.document(i)].sum() for i in range(len(excerpt.ends))
    )
    config = ModelConfig(layers=1, width=8, heads=2, context=3, vocabulary=4)
    third = score(uniform(config), config, parts, Sliding(3, 3, (2, 3)))
    assert third.scored.sum() == 1000
    assert third.scored_bytes.sum() == 4000
    bits = third.estimates()["bits_per_byte"].value
    assert bits == pytest.approx(1000 * 2 / 4000, rel=1e-6)  # log2 of 4 ids


def test_a_span_needs_the_bytes_of_ids(tmp_path):
    reader = tokenizer("unigram always")
    config = model_of(reader, 0)
    folder = run_of(tmp_path, reader, uniform(config), config)
    (tmp_path / "own.txt").write_text(PLAIN)
    options = {"on": str(tmp_path / "own.txt"), "span": (4, 8)}
    (row,) = rows(Arguments(str(folder), **options))
    assert row["bits_per_byte"] is None
    assert "leave out --span" in row["notes"][0]
    assert row["perplexity"] == pytest.approx(reader.vocabulary, rel=1e-5)


def test_a_store_knows_which_splits_are_altered(tmp_path):
    from neural.text import corpus

    source = tmp_path / "text"
    source.mkdir()
    for split, text in (("train", RICH), ("valid", PLAIN), ("test", RICH)):
        (source / f"en.{split}.txt").write_text(f"{split} {text}\n" * 3)
    read = corpus.load((str(source),), ("en",))
    for _ in range(2):  # encoded, then from the folder
        made = store(read, tokenizer("NFKC"), tmp_path / "tokens")
        assert made["en", "valid"].altered is None
        assert "'fine" in made["en", "train"].altered or "fine" in made["en", "train"].altered
        assert made["en", "valid"].bytes_of is None
        assert passages(made["en", "test"], 20, 8, 0).altered == made["en", "test"].altered
    own = store(read, ByteTokenizer(), tmp_path / "tokens")["en", "train"]
    assert own.altered is None
    assert own.bytes_of[own.ids].sum() == own.bytes
