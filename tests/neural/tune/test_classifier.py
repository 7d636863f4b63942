"""Fine-tuned classifiers: they learn, stacks are what models alone are, and copies answer as each by itself."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from neural.gpt.config import ModelConfig
from neural.gpt.model import Parameters, normed, states
from neural.text.labelled import Labelled
from neural.text.tokenizer import ByteTokenizer
from neural.tune import classifier as tune
from neural.tune.classifier import FineTuning, Tuned, fine_tune
from neural.tune.examples import NONE, SHORTEST, Examples, examples, in_order, shuffled
from neural.tune.head import BIAS, HEAD, NO_CLASS, correct, logits, over_models, predict
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

pytestmark = pytest.mark.usefixtures("soon_compiled")

CONFIG = ModelConfig(layers=2, width=32, heads=2, context=32, vocabulary=264)
SHALLOW = replace(CONFIG, layers=1)
"""Half as much to compile, where a second layer is nothing new."""
TUNING = FineTuning(epochs=2, batch=16, peak=3e-3)


def marked(count: int, seed: int) -> Labelled:
    """Sentences of 4 to 15 one-letter words; one of them, anywhere, is x or y, and is the label."""
    rng = np.random.default_rng(seed)
    sentences, labels = [], []
    for label in rng.integers(2, size=count):
        words = rng.choice(list("abcdefgh"), size=rng.integers(4, 16))
        words[rng.integers(len(words))] = "xy"[label]
        sentences.append(" ".join(words))
        labels.append(int(label))
    return Labelled(tuple(sentences), tuple(labels), ("x", "y"))


def some(count: int, seed: int, config: ModelConfig = CONFIG) -> Examples:
    return examples(marked(count, seed), ByteTokenizer(), config)


def models(*seeds: int, config: ModelConfig = CONFIG) -> Parameters:
    """A stack of models as training begins with them: small weights, and norms near 1."""
    drawn = [random_parameters(config, seed, scale=0.02) for seed in seeds]
    stacks = {name: np.stack([model[name] for model in drawn]) for name in drawn[0]}
    norms = [name for name in stacks if "ln_" in name and name.endswith("weight")]
    return stacks | {name: stacks[name] + 1 for name in norms}


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    """Two models tuned on the marked sentences, every epoch kept."""
    tuning = replace(TUNING, epochs=8)
    return fine_tune(
        models(0, 1), CONFIG, some(480, 0), some(120, 1), tuning, seeds=(0, 1), keep=True
    )


def test_a_marker_is_learnt_from_chance(tuned: Tuned) -> None:
    untuned = np.zeros((2, CONFIG.width, 2)), np.zeros((2, 2))
    test = some(400, 2)
    chance = predict(models(0, 1), *untuned, CONFIG, test) == test.labels
    # 400 sentences, half of each class: the standard deviation is 0.025.
    assert np.all(abs(chance.mean(axis=1) - 0.5) < 0.1)
    assert np.all(correct(tuned.best, test).mean(axis=1) > 0.95)
    assert np.all(tuned.loss[-1] < 0.2)
    assert np.all(abs(tuned.loss[0] - np.log(2)) < 0.2)


def test_a_stack_is_what_its_models_are_alone() -> None:
    train, dev = some(60, 0), some(30, 1)
    together = fine_tune(models(0, 1, config=SHALLOW), SHALLOW, train, dev, TUNING, seeds=(5, 9))
    for place, seed in enumerate((5, 9)):
        model = models(place, config=SHALLOW)
        alone = fine_tune(model, SHALLOW, train, dev, TUNING, seeds=(seed,))
        assert alone.epoch[0] == together.epoch[place]
        np.testing.assert_array_equal(alone.accuracy[:, 0], together.accuracy[:, place])
        for name, value in alone.best.parameters.items():
            # AdamW divides by the gradient's size, so sums in another order (1e-7) move weights that have next to no
            # gradient by up to a part of the rate, 3e-3; models apart differ by some 1e-2.
            np.testing.assert_allclose(
                value[0], together.best.parameters[name][place], atol=3e-4, err_msg=name
            )
        np.testing.assert_allclose(alone.best.head[0], together.best.head[place], atol=3e-4)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    def head(seed: int, model: int = 3) -> NDArray[np.float32]:
        tuning = replace(TUNING, seed=seed)
        start = models(0, config=SHALLOW)
        fitted = fine_tune(start, SHALLOW, some(60, 0), some(30, 1), tuning, seeds=(model,))
        return np.asarray(fitted.best.head)

    np.testing.assert_array_equal(head(0), head(0))
    assert np.abs(head(0) - head(1)).max() > 1e-3
    assert np.abs(head(0) - head(0, model=4)).max() > 1e-3


def test_rows_without_a_sentence_count_for_nothing() -> None:
    """The loss of a first batch of 16, as it is and filled up to 24."""
    parameters, train = models(0, config=SHALLOW), some(16, 0)
    exact, filled = (
        # As many updates as elsewhere, so that one program serves.
        fine_tune(
            parameters, SHALLOW, train, train, replace(TUNING, epochs=8, batch=batch), seeds=(0,)
        ).loss[0]
        for batch in (16, 24)
    )
    np.testing.assert_allclose(filled, exact, rtol=1e-6)  # float32, summed in another order


@pytest.mark.slow
def test_a_step_is_compiled_once_for_each_width() -> None:
    config = replace(CONFIG, layers=1, context=48)
    parameters = models(0, config=config)
    longer = replace(
        marked(40, 1), sentences=tuple(f"{text} {text}" for text in marked(40, 1).sentences)
    )
    train = examples(longer, ByteTokenizer(), config)
    assert sorted(set(train.widths)) == [SHORTEST, 48]
    fine_tune(parameters, config, train, train, TUNING, seeds=(0,))
    updates = 2 * len(shuffled(train, 16, 0, (0,), 0))
    assert updates == 6
    _, step = tune._program(config, tune.DEFAULT, TUNING.optimisation(updates))
    assert step._cache_size() == 2


def test_the_kept_epochs_hold_the_best(tuned: Tuned) -> None:
    dev = some(120, 1)
    for name, value in tuned.at(tuned.epoch).parameters.items():
        np.testing.assert_array_equal(value, tuned.best.parameters[name])
    for epoch, item in enumerate(tuned.epochs):
        np.testing.assert_array_equal(correct(item, dev).mean(axis=1), tuned.accuracy[epoch])
    np.testing.assert_array_equal(tuned.accuracy.max(axis=0), correct(tuned.best, dev).mean(axis=1))
    assert (tuned.accuracy == tuned.accuracy.max(axis=0)).sum(axis=0).max() > 1
    for model, epoch in enumerate(tuned.epoch):
        assert np.all(tuned.accuracy[:epoch, model] < tuned.accuracy[epoch, model])
    mixed = correct(tuned.at([0, 5]), dev).mean(axis=1)
    np.testing.assert_array_equal(mixed, [tuned.accuracy[0, 0], tuned.accuracy[5, 1]])


# The head.


answers_of = jax.jit(logits, static_argnames="config")


@partial(jax.jit, static_argnames="config")
def final_of(state: Parameters, ids: NDArray[np.int32], config: ModelConfig) -> jax.Array:
    return normed(state, "ln_f", states(state, ids, config)[-1])


def with_head(seed: int, config: ModelConfig, classes: int = 3) -> Parameters:
    """A model and a head, of which every number is random."""
    rng = np.random.default_rng([seed, 1])
    drawn = {HEAD: rng.standard_normal((config.width, classes)), BIAS: rng.standard_normal(classes)}
    state = random_parameters(config, seed) | drawn
    return {name: value.astype(np.float32) for name, value in state.items()}


@pytest.mark.parametrize("layers", [1, 3])
def test_logits_are_of_the_last_state_of_the_whole_model(layers: int) -> None:
    config = replace(CONFIG, layers=layers)
    state = with_head(0, config)
    data = some(12, 0)
    answers = answers_of(state, data.ids, data.last, config)
    final = np.asarray(final_of(state, data.ids, config))
    expected = final[np.arange(12), data.last] @ state[HEAD] + state[BIAS]
    assert np.ptp(expected, axis=0).min() > 1e-2
    # Logits of order 5, of sums in another order: some roundings of 5 * 6e-8 in each layer.
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_padding_changes_nothing() -> None:
    state = with_head(0, CONFIG)
    data = some(12, 0)
    expected = answers_of(state, data.ids, data.last, CONFIG)
    after = np.arange(data.ids.shape[1]) > data.last[:, None]
    other = np.where(after, 7, data.ids)
    assert (other != data.ids).any()
    # A padded key has weight exp(-inf) = 0, which is exact; the same program, so the same bits.
    np.testing.assert_array_equal(answers_of(state, other, data.last, CONFIG), expected)
    short = int(data.last.argmin())
    end = int(data.last[short])
    assert end < data.ids.shape[1] - 8
    narrow = answers_of(state, data.ids[[short], : end + 1], data.last[[short]], CONFIG)
    np.testing.assert_allclose(narrow[0], expected[short], atol=1e-5)  # sums in another order


def test_broken_copies_answer_as_each_by_itself(tuned: Tuned) -> None:
    """Two models with four copies each whose attention is noisy, three at a time; then with what is whole shared."""
    test, rng = some(70, 3), np.random.default_rng(0)
    whole = tuned.best.parameters
    copies = {name: np.repeat(np.asarray(value), 4, axis=0) for name, value in whole.items()}
    hit = [name for name in copies if "attn" in name]
    for name in hit:
        noise = rng.standard_normal(copies[name].shape)
        copies[name] = (copies[name] + 0.3 * noise).astype(np.float32)
    right = correct(tuned.best, test, copies, at_once=3, batch=16)
    assert right.shape == (8, 70)
    assert len(np.unique(right, axis=0)) == 8
    for copy in range(8):
        model = copy // 4
        head = tuned.best.head[model : model + 1], tuned.best.bias[model : model + 1]
        alone = {name: value[copy] for name, value in copies.items()}
        expected = predict(alone, *head, CONFIG, test, batch=70)
        np.testing.assert_array_equal(right[copy], expected[0] == test.labels)
    shared = {name: np.asarray(value[1]) for name, value in whole.items()}
    shared |= {name: copies[name][4:] for name in hit}
    answers = predict(shared, tuned.best.head[1:], tuned.best.bias[1:], CONFIG, test)
    np.testing.assert_array_equal(answers == test.labels, right[4:])


def test_stacks_that_do_not_fit_are_refused(tuned: Tuned) -> None:
    whole = tuned.best.parameters
    odd = {name: np.asarray(value)[:1].repeat(3, axis=0) for name, value in whole.items()}
    with pytest.raises(ValueError, match=r"\[3\] copies, 2 heads"):
        correct(tuned.best, some(8, 0), odd)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_models_give_the_same_at_once_and_one_after_another(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3.0)
    total, unchanged = over_models(lambda x, y: (x["x"].sum() + y, x))({"x": x}, y)
    np.testing.assert_array_equal(total, [1, 6, 11])
    np.testing.assert_array_equal(unchanged["x"], x)


def test_a_model_without_finite_logits_has_no_answer(tuned: Tuned) -> None:
    bias = np.array(tuned.best.parameters["ln_f.bias"])
    bias[1, 0] = np.nan
    broken = tuned.best.parameters | {"ln_f.bias": bias}
    test = some(40, 0)
    answers = predict(broken, tuned.best.head, tuned.best.bias, CONFIG, test)
    assert np.all(answers[0] >= 0)
    assert np.all(answers[1] == NO_CLASS)
    assert not correct(tuned.best, test, broken)[1].any()


# Sentences as tokens, and batches of them.


def test_sentences_end_with_the_end_of_text_and_are_cut_to_the_context() -> None:
    data = Labelled(("a" * 3, "b" * 47, "c" * 48, "d" * 90), (0, 1, 1, 0), ("x", "y"))
    encoded = examples(data, ByteTokenizer(), replace(CONFIG, context=48))
    assert encoded.truncated == 2
    assert encoded.last.tolist() == [3, 47, 47, 47]
    assert encoded.widths.tolist() == [SHORTEST, 48, 48, 48]
    assert encoded.ids.shape == (4, 48)
    assert encoded.ids[0].tolist() == [97] * 3 + [256] * 45
    assert encoded.ids[3].tolist() == [100] * 47 + [256]
    assert encoded.labels.tolist() == [0, 1, 1, 0]


@seeded
@given(
    st.lists(st.sampled_from([8, 16, 32]), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_batches_hold_every_sentence_once(widths: list[int], batch: int, epoch: int) -> None:
    n = len(widths)
    zeros = np.zeros(n, dtype=np.int64)
    ids = np.zeros((n, 32), dtype=np.int32)
    data = Examples(ids, zeros, np.array(widths), zeros, ("x", "y"), 0)
    batches = shuffled(data, batch, 0, (3, 4), epoch)
    assert len(batches) == -(-n // batch)
    rows = np.concatenate([rows for _, rows in batches], axis=1)
    for model, own in enumerate(rows):
        assert sorted(own[own != NONE].tolist()) == list(range(n))
        alone = shuffled(data, batch, 0, (3 + model,), epoch)
        assert [width for width, _ in alone] == [width for width, _ in batches]
        np.testing.assert_array_equal(np.concatenate([r for _, r in alone], axis=1)[0], own)
    for width, places in batches:
        assert all(widths[place] <= width for place in places[places != NONE])
    ordered = list(in_order(data, batch))
    assert {int(place) for _, places in ordered for place in places} == set(range(n))
    assert len(ordered) == len(batches)
    assert all(widths[place] <= width for width, places in ordered for place in places)


def test_orders_differ_by_model_and_epoch() -> None:
    data = some(64, 0)

    def batches(model: int, epoch: int) -> set[frozenset[int]]:
        return {frozenset(rows[0].tolist()) for _, rows in shuffled(data, 8, 0, (model,), epoch)}

    orders = [batches(0, 0), batches(1, 0), batches(0, 1)]
    for first, other in ((0, 1), (0, 2), (1, 2)):
        assert not orders[first] & orders[other]


# What cannot be.


def test_other_labels_are_refused(tuned: Tuned) -> None:
    other = examples(replace(marked(8, 0), names=("x", "z")), ByteTokenizer(), CONFIG)
    refusal = message(correct, tuned.best, other)
    assert "labelled x, z for a classifier of x, y: give the same labels" in refusal
    assert "labelled x, z" in message(
        fine_tune, models(0), CONFIG, some(8, 0), other, TUNING, seeds=(0,)
    )


def test_no_examples() -> None:
    tokenizer = ByteTokenizer()
    assert "no sentences" in message(examples, Labelled((), (), ("x", "y")), tokenizer, CONFIG)
    small = replace(CONFIG, vocabulary=100)
    assert "257 ids and a model of 100" in message(examples, marked(2, 0), tokenizer, small)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"epochs": 0}, "epochs = 0: give a whole number >= 1"),
        ({"batch": 0}, "batch = 0"),
        ({"warmup": 1.0}, "warm-up of 1.0 of all updates"),
        ({"peak": 0.0}, "peak = 0.0: give a finite number > 0"),
        ({"decay": -1.0}, "decay = -1.0"),
    ],
)
def test_no_tuning(change: dict[str, float], refusal: str) -> None:
    tuning = replace(TUNING, **change)  # type: ignore[arg-type]
    assert refusal in message(
        fine_tune, models(0), CONFIG, some(8, 0), some(8, 1), tuning, seeds=(0,)
    )


def test_seeds_are_as_many_as_models() -> None:
    with pytest.raises(ValueError, match="2 seeds: give as many models"):
        fine_tune(models(0), CONFIG, some(8, 0), some(8, 1), TUNING, seeds=(0, 1))
