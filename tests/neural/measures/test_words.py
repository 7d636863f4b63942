"""Words among subwords: exact to the byte for any tokenizer, contractions and context's end included; their states."""

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt.config import ModelConfig
from neural.gpt.model import states
from neural.measures.words import (
    NONE,
    encoded,
    encoded_words,
    subwords,
    word_features,
    word_means,
    word_states,
)
from neural.text import corpus
from neural.text.tokenizer import ByteTokenizer, Tokenizer, train
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

CONFIG = ModelConfig(layers=1, width=16, heads=2, context=12, vocabulary=257)


@dataclass(frozen=True)
class Text:
    text: str
    spans: tuple[tuple[int, int], ...]


@lru_cache
def pairs() -> Tokenizer:
    """Byte pairs of another language than that of the sentences: it cuts characters and joins parts of them."""
    return train(corpus.load(["synthetic:sentences=2000,held_out=100"]), 400)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Words of any script, with one space, more or none between them; some are contracted into one span."""
    words = draw(st.lists(st.text("ab'cé中𐍈ό", min_size=1, max_size=5), min_size=1, max_size=6))
    text, spans = "", []
    for word in words:
        text += " " * draw(st.integers(0, 2))
        spans += [(len(text), len(text) + len(word))] * draw(st.integers(1, 2))
        text += word
    return Text(text, tuple(spans))


@seeded
@given(texts(), st.booleans())
def test_subwords_of_a_word_are_those_that_share_a_byte_with_it(text: Text, by_pairs: bool) -> None:
    tokenizer = pairs() if by_pairs else ByteTokenizer()
    sizes = tokenizer.sizes[tokenizer.encode(text.text)]
    assert sizes.min() > 0
    ends = list(accumulate(sizes.tolist()))
    for (start, end), subword_range in zip(text.spans, subwords(text, sizes), strict=True):
        low, high = len(text.text[:start].encode()), len(text.text[:end].encode())
        sharing = [
            place
            for place, (size, stop) in enumerate(zip(sizes, ends, strict=True))
            if stop - size < high and stop > low
        ]
        assert list(range(*subword_range)) == sharing


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), "pairs"])
def test_sizes_are_the_bytes_of_each_id(tokenizer: Tokenizer | str) -> None:
    made = pairs() if isinstance(tokenizer, str) else tokenizer
    assert made.sizes.shape == (made.vocabulary,)
    assert made.sizes[made.end_of_text] == 0
    whole = [n for n in range(made.vocabulary) if "\ufffd" not in made.decode([n])]
    whole.remove(made.end_of_text)
    assert [made.sizes[n] for n in whole] == [len(made.decode([n]).encode()) for n in whole]


def test_words_stand_behind_an_end_of_text_and_within_the_context() -> None:
    """French du is de and le: both have its bytes. ό is two bytes. What the context cuts is lost."""
    items = [
        Text("a du όb", ((0, 1), (2, 4), (2, 4), (5, 7))),
        Text("ab cdefghijk l", ((0, 2), (3, 12), (13, 14))),
    ]
    encoding = encoded_words(items, ByteTokenizer(), 12)
    assert encoding.ids.tolist() == [
        [256, *"a du όb".encode(), 256, 256, 256],
        [256, *b"ab cdefghij"],
    ]
    assert encoding.first.tolist() == [[1, 3, 3, 6], [1, 0, 0, 0]]
    assert encoding.end.tolist() == [[2, 5, 5, 9], [3, 0, 0, 0]]
    assert (encoding.truncated, encoding.lost, len(encoding)) == (1, 2, 2)
    assert encoding.labels([[4, 5, 6, 7], [8, 9, 10]]).tolist() == [
        [4, 5, 6, 7],
        [8, NONE, NONE, NONE],
    ]
    wider = encoding.padded(5)
    assert wider.there.tolist() == [[True] * 4 + [False], [True] + [False] * 4]
    assert encoded([item.text for item in items], ByteTokenizer(), 12).lengths.tolist() == [8, 11]


def test_the_mean_of_a_word_is_that_of_its_subwords() -> None:
    x = np.arange(10, dtype=np.float32).reshape(1, 5, 2)
    means = word_means(x, np.array([[1, 2, 0]]), np.array([[2, 5, 0]]))
    assert means.tolist() == [[[2, 3], [6, 7], [0, 0]]]


def test_features_are_means_of_every_layer_word_by_word() -> None:
    """Five sentences in batches of two, so that the last is filled up."""
    words = ((0, 2), (2, 3), (4, 7))
    items = [Text("abc def", words[:count]) for count in (3, 1, 3, 2, 3)]
    data = encoded_words(items, ByteTokenizer(), 12)
    parameters = random_parameters(CONFIG)
    features = word_features(parameters, CONFIG, data, batch=2)
    stream = np.asarray(jax.jit(partial(states, config=CONFIG))(parameters, data.ids))
    parts = [stream[:, :, 1:3], stream[:, :, 3:4], stream[:, :, 5:8]]
    expected = np.stack([part.mean(axis=2) for part in parts], axis=2)
    # Sums of float32 in another order.
    np.testing.assert_allclose(features, expected[:, data.there], rtol=1e-5, atol=1e-5)
    program = jax.jit(partial(word_states, config=CONFIG))
    normed = np.asarray(program(parameters, data.ids, data.first, data.end))
    last = stream[-1] - stream[-1].mean(axis=-1, keepdims=True)
    last = last / np.sqrt(last.var(axis=-1, keepdims=True) + 1e-5)
    last = last * parameters["ln_f.weight"] + parameters["ln_f.bias"]
    np.testing.assert_allclose(normed[:, 0], last[:, 1:3].mean(axis=1), rtol=1e-4, atol=1e-5)


def test_a_tokenizer_that_alters_text_is_refused() -> None:
    assert "stand for 2 bytes, not 3" in message(subwords, Text("abc", ((0, 3),)), np.array([1, 1]))
    assert "no sentences" in message(encoded_words, [], ByteTokenizer(), 12)
