from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt import checkpoint
from neural.text.clone import Clones, pairs
from neural.train.data import batch, mixtures
from neural.train.loop import train
from tests.neural import small_run
from tests.neural.refusal import message
from tests.strategies import seeded


@st.composite
def clones(draw):
    vocabulary = draw(st.integers(1, 60))
    special = draw(st.sets(st.integers(0, vocabulary - 1), max_size=4))
    return Clones(
        vocabulary,
        draw(st.integers(1, 10)),
        tuple(sorted(special)),
        draw(st.floats(0, 1)),
        draw(st.integers(0, 5)),
        draw(st.integers(1, 7)),
    )


@seeded
@given(clones(), st.data())
def test_decoding_inverts_encoding(family, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    ids = rng.integers(family.vocabulary, size=data.draw(st.sampled_from([(0,), (5,), (3, 17)])))
    for language in range(family.languages):
        encoded = family.encode(ids, language)
        assert (family.decode(encoded, language) == ids).all()
        assert encoded.max(initial=0) < family.total


@seeded
@given(clones())
def test_ids_are_cloned_but_for_special_ones_and_anchors(family):
    free = family.vocabulary - len(family.special)
    assert family.cloned.sum() == round(family.fraction * free)
    assert not family.cloned[list(family.special)].any()
    every = np.arange(family.vocabulary)
    for language in range(family.languages):
        table = family.table(language)
        assert (table[~family.cloned] == every[~family.cloned]).all()
        assert (table[family.cloned] == every[family.cloned] + language * family.vocabulary).all()
    tables = [set(family.table(language)[family.cloned]) for language in range(family.languages)]
    assert len(set().union(*tables)) == sum(map(len, tables))


def test_anchors_of_more_clones_are_anchors_of_fewer():
    few, more = (Clones(1000, 2, (0,), fraction).cloned for fraction in (0.3, 0.7))
    assert (more[few]).all()
    assert not (Clones(1000, 2, (0,), 0.3, seed=1).cloned == few).all()


def test_another_order_of_words_moves_them_within_blocks():
    family = Clones(100, 3, shuffled=4)
    ids = np.arange(11)
    assert family.encode(ids, 0).tolist() == ids.tolist()
    moved = family.encode(ids, 1) - 100
    assert sorted(moved[:4]) == [0, 1, 2, 3]
    assert (moved[4:8] == moved[:4] + 4).all()  # one permutation for all blocks
    assert moved[8:].tolist() == [8, 9, 10]
    assert moved.tolist() != ids.tolist()
    assert (family.encode(ids, 2) - 200).tolist() != moved.tolist()


def test_a_pair_is_an_id_and_its_clone():
    family = Clones(5, 3, (4,))
    assert pairs(family, 2).tolist() == [[0, 10], [1, 11], [2, 12], [3, 13]]
    assert pairs(family, 1, [2]).tolist() == [[2, 7]]


def cloned_data(family):
    text = small_run.data()
    stream = text.train["a"]
    return small_run.Data(
        text.tokenizer,
        family.total,
        dict.fromkeys(family.names, stream),
        {name: family.encode(stream[:500], i) for i, name in enumerate(family.names)},
        dict.fromkeys(family.names, 1.0),
        "clones",
        family.encoders(),
    )


def cloned_config(family):
    whole = replace(small_run.MODEL, vocabulary=family.total)
    return small_run.config(model=whole, languages=("c0:0.75,c1:0.25",), batch=8)


def test_every_sequence_is_read_in_one_language_only_in_exact_shares():
    """An epoch of windows of one text: each once, three quarters of a block as themselves, a quarter as clones."""
    family = Clones(264, 2, (256,))
    data = cloned_data(family)
    windows = len(data.train["c0"]) // 16
    config = cloned_config(family)
    (mixture,) = mixtures(config, data)
    seen, languages = [], []
    for step in range(12):
        tokens = batch(config, (mixture,), step, data.encode)[0, 0]
        language = tokens.max(axis=1) // family.vocabulary
        assert (tokens // family.vocabulary == language[:, None]).all()
        languages += language.tolist()
        seen += [tuple(row) for row in tokens % family.vocabulary]
        plain = mixture.batch(0, step)[0]
        assert (tokens % family.vocabulary == plain).all()
    assert len(seen) < windows
    assert [Counter(languages[i : i + 4])[1] for i in range(0, len(languages), 4)] == [1] * 24


def test_a_model_learns_the_clones(tmp_path):
    family = Clones(264, 2, (256,))
    run = train(cloned_config(family), tmp_path / "run", data=cloned_data(family))
    losses = {
        (line["language"], line["step"]): line["loss"]
        for line in small_run.lines(run.folder)
        if line["kind"] == "valid"
    }
    for name in family.names:
        assert losses[name, 12] < losses[name, 0] - 0.5
    assert checkpoint.load(run.folder).tokens == {"c0": 1152, "c1": 384}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocabulary": 0}, "vocabulary = 0"),
        ({"languages": 0}, "languages = 0"),
        ({"fraction": 1.5}, "fraction 1.5 of ids cloned"),
        ({"special": (300,)}, "special id 300 of a vocabulary of 264"),
        ({"shuffled": 0}, "shuffled = 0"),
    ],
)
def test_impossible_clones_are_refused(options, words):
    assert words in message(Clones(**{"vocabulary": 264, "languages": 2} | options).check)
