from dataclasses import replace

import jax
import numpy as np
import pytest

from neural.gpt.config import ModelConfig
from neural.gpt.model import continued_losses, states, token_losses
from neural.measures.alignment import (
    Patched,
    embedding_cosines,
    gradient_cosines,
    patched,
    state_cosines,
)
from neural.text.clone import Clones, pairs
from tests.neural.random_model import random_parameters

pytestmark = pytest.mark.usefixtures("soon_compiled")

CLONES = Clones(30, 2, (29,))
MODEL = ModelConfig(layers=2, width=16, heads=2, context=12, vocabulary=CLONES.total)
TEXT = np.random.default_rng(0).integers(29, size=(6, 13))
CLONE = CLONES.encode(TEXT, 1)
PARAMETERS = random_parameters(MODEL)
ROUNDING = 1e-5
"""Of float32 sums of some tens of numbers of the size of 1."""


def shared():
    """A model to which both languages are one: every clone has the embedding of what it is cloned from."""
    E = PARAMETERS["wte.weight"].copy()
    E[30:] = E[:30]
    return PARAMETERS | {"wte.weight": E}


def test_a_stream_continues_where_it_stood():
    @jax.jit
    def losses(parameters):
        stream = states(parameters, TEXT[:, :-1], MODEL)
        continued = [
            continued_losses(parameters, stream[layer], TEXT[:, 1:], layer, MODEL)
            for layer in range(3)
        ]
        return continued, token_losses(parameters, TEXT[:, :-1], TEXT[:, 1:], MODEL)

    continued, expected = losses(PARAMETERS)
    for losses in continued:
        np.testing.assert_allclose(losses, expected, atol=ROUNDING * 10)


def test_states_of_one_language_are_alike():
    cosines = state_cosines(shared(), MODEL, TEXT, CLONE)
    np.testing.assert_allclose(cosines.paired, 1, atol=ROUNDING)
    assert (cosines.unpaired < 0.99).all()
    apart = state_cosines(PARAMETERS, MODEL, TEXT, CLONE)
    assert (apart.paired < 0.99).all()


def test_states_by_their_definition():
    program = jax.jit(states, static_argnums=2)
    x, y = (np.asarray(program(PARAMETERS, t[:, :-1], MODEL)) for t in (TEXT, CLONE))
    unit = [s / np.linalg.norm(s, axis=-1, keepdims=True) for s in (x, y)]
    cosines = state_cosines(PARAMETERS, MODEL, TEXT, CLONE)
    np.testing.assert_allclose(cosines.paired, (unit[0] * unit[1]).sum(-1).mean((1, 2)), atol=1e-5)
    rolled = unit[1][:, [-1, 0, 1, 2, 3, 4]]
    np.testing.assert_allclose(cosines.unpaired, (unit[0] * rolled).sum(-1).mean((1, 2)), atol=1e-5)


def test_gradients_of_one_text_are_one():
    cosines = gradient_cosines(PARAMETERS, MODEL, TEXT, TEXT)
    assert cosines.keys() == PARAMETERS.keys()
    np.testing.assert_allclose(list(cosines.values()), 1, atol=ROUNDING * 10)
    apart = gradient_cosines(PARAMETERS, MODEL, TEXT, CLONE)
    assert max(apart.values()) < 0.99
    # Where the output is untied, languages that share no id have orthogonal gradients of their embeddings.
    untied = replace(MODEL, tied=False, layers=1)
    own = gradient_cosines(random_parameters(untied), untied, TEXT, CLONE)
    assert own["wte.weight"] == 0


def test_embeddings_by_their_definition():
    E = np.random.default_rng(1).standard_normal((60, 5))
    clone_pairs = pairs(CLONES, 1)
    cosines = embedding_cosines(E, clone_pairs)

    def cosine(i, j):
        return E[i] @ E[j] / np.linalg.norm(E[i]) / np.linalg.norm(E[j])

    assert cosines.paired[3] == pytest.approx(cosine(3, 33), rel=1e-12)
    mean = np.mean([cosine(3, j) for _, j in clone_pairs])
    assert cosines.unpaired[3] == pytest.approx(mean, rel=1e-9)
    assert (embedding_cosines(np.zeros((60, 5)), clone_pairs).paired == 0).all()


def test_patching_costs_nothing_where_languages_are_one():
    patching = patched(shared(), MODEL, TEXT, CLONE)
    np.testing.assert_allclose(patching.same, patching.plain, atol=ROUNDING * 10)
    assert patching.same.shape == patching.another.shape == (2,)
    apart = patched(PARAMETERS, MODEL, TEXT, CLONE)
    assert abs(apart.same[0] - apart.plain) > 1e-3


def test_patching_the_embeddings_is_reading_the_first_half_in_the_other_language():
    mixed = np.concatenate([TEXT[:, :6], CLONE[:, 6:]], axis=1)
    program = jax.jit(token_losses, static_argnums=3)
    expected = program(PARAMETERS, mixed[:, :-1], CLONE[:, 1:], MODEL)
    patching = patched(PARAMETERS, MODEL, TEXT, CLONE)
    assert patching.same[0] == pytest.approx(np.asarray(expected)[:, 6:].mean(), abs=ROUNDING * 10)


def test_kept_is_a_part_of_what_is_told():
    patching = Patched(np.array([2.0, 2.5, 3.0, 2.0]), np.array([3.0, 3.0, 3.0, 2.0]), 2.0)
    assert patching.kept[:3].tolist() == [1.0, 0.5, 0.0]
    assert np.isnan(patching.kept[3])


def test_texts_have_to_be_pairs():
    with pytest.raises(ValueError, match="row by row"):
        state_cosines(PARAMETERS, MODEL, TEXT, CLONE[:3])
    with pytest.raises(ValueError, match="two or more"):
        patched(PARAMETERS, MODEL, TEXT[:1], CLONE[:1])
