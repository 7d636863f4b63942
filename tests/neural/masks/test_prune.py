from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt.config import ModelConfig
from neural.gpt.model import shapes
from neural.masks import mask
from neural.masks.mask import Mask, applied, flat, full, prunable, size, stacked
from neural.masks.prune import each_round, file_of, pruned, save_round, saved_rounds, tickets
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

MODEL = ModelConfig(layers=1, width=2, heads=1, context=3, vocabulary=5)
n = size(MODEL)  # 48: a round removes 5, and the tenth does not fit


def of_vector(values, config=MODEL):
    """Parameters with these prunable weights (n,), and nothing else."""
    ends = np.cumsum([np.prod(shapes(config)[name]) for name in prunable(config)])[:-1]
    parts = np.split(np.asarray(values, np.float32), ends)
    return {
        name: part.reshape(shapes(config)[name])
        for name, part in zip(prunable(config), parts, strict=True)
    }


@seeded
@given(
    st.lists(st.integers(-2, 2), min_size=n, max_size=n),
    st.lists(st.booleans(), min_size=n, max_size=n),
    st.data(),
)
def test_the_smallest_go_and_of_equals_the_first(weights, kept, data):
    before = Mask(MODEL, np.array(kept))
    count = data.draw(st.integers(0, before.kept))
    after = pruned(of_vector(weights), before, count)
    order = sorted((abs(w), i) for i, w in enumerate(weights) if kept[i])
    assert set(np.flatnonzero(before.bits & ~after.bits)) == {i for _, i in order[:count]}
    assert after <= before
    assert after.kept == before.kept - count


def test_what_cannot_be_pruned_is_refused():
    before = mask.random(MODEL, 0, kept=10)
    weights = np.ones(n)
    weights[~before.bits] = np.nan  # what was removed before does not matter
    assert pruned(of_vector(weights), before, 3).kept == 7
    weights[before.bits] = np.inf
    assert "not finite" in message(pruned, of_vector(weights), before, 3)
    with pytest.raises(ValueError, match="cannot remove 11 of 10"):
        pruned(of_vector(np.ones(n)), before, 11)


class Toy:
    """Training that adds to what it is given steps of its own, on the survivors; it remembers what it began with."""

    def __init__(self, steps):
        self.steps, self.begun, self.under = steps, [], []

    def __call__(self, parameters, masks):
        self.begun.append(parameters)
        self.under.append(masks)
        moved = {name: value + self.steps.get(name, 0) for name, value in parameters.items()}
        return applied(masks, moved)


def stack_of(models):
    return {name: np.stack([model[name] for model in models]) for name in models[0]}


@pytest.fixture
def theta0():
    return stack_of([random_parameters(MODEL, seed) for seed in range(3)])


@pytest.fixture
def steps(theta0):
    """With theta0 they give the trained weights: model s has the magnitudes 1, 2, ..., n in an order of its own."""
    orders = [np.random.default_rng([9, s]).permutation(n) + 1 for s in range(3)]
    signs = np.random.default_rng(8).choice([-1, 1], n)
    trained = stack_of([of_vector(signs * order) for order in orders])
    # Trained weights are integers, and rounding of the steps is far below the 1 between them.
    return {name: value - theta0[name] for name, value in trained.items()}, orders


@pytest.mark.parametrize("rounds", [1, 4, 9])
def test_each_round_removes_the_smallest_tenth_of_what_was_there_at_first(theta0, steps, rounds):
    ticket_rounds = list(tickets(theta0, MODEL, Toy(steps[0]), rounds))
    assert [ticket.number for ticket in ticket_rounds] == list(range(1, rounds + 1))
    for r, ticket in enumerate(ticket_rounds, 1):
        for s, own in enumerate(ticket.masks):
            assert own.kept == n - 5 * r
            np.testing.assert_array_equal(own.bits, steps[1][s] > 5 * r)


def test_every_round_begins_with_the_survivors_rewound(theta0, steps):
    toy, earlier = Toy(steps[0]), {name: value + 1 for name, value in theta0.items()}
    rounds = list(tickets(theta0, MODEL, toy, 3, rewind=earlier))
    masks = [stacked((full(MODEL),) * 3), *(stacked(ticket.masks) for ticket in rounds)]
    for r, start in enumerate([theta0, earlier, earlier]):
        for name, value in applied(masks[r], start).items():
            np.testing.assert_array_equal(toy.begun[r][name], value)
        for name, value in masks[r].items():
            np.testing.assert_array_equal(toy.under[r][name], value)
            assert not rounds[r].trained[name][~value].any()
    toy = Toy(steps[0])
    list(tickets(theta0, MODEL, toy, 2))
    np.testing.assert_array_equal(toy.begun[1]["wte.weight"], theta0["wte.weight"])
    np.testing.assert_array_equal(toy.begun[1]["ln_f.bias"], theta0["ln_f.bias"])


def test_a_model_of_a_stack_is_pruned_as_it_is_alone(theta0, steps):
    together = list(tickets(theta0, MODEL, Toy(steps[0]), 3))
    for s in range(3):
        own = {name: value[s : s + 1] for name, value in theta0.items()}
        toy = Toy({name: value[s : s + 1] for name, value in steps[0].items()})
        alone = list(tickets(own, MODEL, toy, 3))
        assert [ticket.masks[0] for ticket in alone] == [ticket.masks[s] for ticket in together]


@pytest.mark.parametrize("done", range(5))
def test_rounds_go_on_from_the_masks_so_far(theta0, steps, done):
    whole = list(tickets(theta0, MODEL, Toy(steps[0]), 4))
    masks = [ticket.masks for ticket in whole]
    rest = list(tickets(theta0, MODEL, Toy(steps[0]), 4, done=masks[:done]))
    assert [ticket.number for ticket in rest] == list(range(done + 1, 5))
    assert [ticket.masks for ticket in rest] == masks[done:]
    for ticket, other in zip(rest, whole[done:], strict=True):
        for name, value in other.trained.items():
            np.testing.assert_array_equal(ticket.trained[name], value)


def test_what_cannot_go_on_is_refused(theta0, steps):
    toy = Toy(steps[0])
    masks = [ticket.masks for ticket in tickets(theta0, MODEL, toy, 3)]
    wrong = (
        masks[1:],  # a round is missing
        [masks[0], masks[0]],
        [masks[0][:2]],
        [tuple(reversed(masks[0])), masks[1]],
    )
    for done in wrong:
        assert "start anew" in message(tickets, theta0, MODEL, toy, 4, done=done)
    assert "10 rounds" in message(tickets, theta0, MODEL, toy, 10)
    assert "0 rounds" in message(tickets, theta0, MODEL, toy, 0)
    assert "at least one" in message(tickets, theta0, MODEL, toy, 1, fraction=0.001)
    with pytest.raises(ValueError, match="outside their mask"):
        list(tickets(theta0, MODEL, lambda parameters, masks: theta0, 2))


def test_rounds_count_the_original_weights():
    assert each_round(MODEL, 9) == 5
    assert each_round(replace(MODEL, layers=3, width=10), 10) == 360
    assert each_round(MODEL, 1, fraction=1) == n


def test_rounds_are_saved_and_read_as_far_as_they_are_whole(tmp_path, theta0, steps):
    round_masks = [ticket.masks for ticket in tickets(theta0, MODEL, Toy(steps[0]), 3)]
    assert saved_rounds(tmp_path, MODEL, 3) == []
    for number, masks in enumerate(round_masks, 1):
        save_round(tmp_path, number, masks, {"identity": "el"})
    assert saved_rounds(tmp_path, MODEL, 3, identity="el") == round_masks
    assert "other work" in message(saved_rounds, tmp_path, MODEL, 3, identity="en")
    file_of(tmp_path, 2, 1).with_suffix(".json").unlink()  # as if killed while it was written
    assert saved_rounds(tmp_path, MODEL, 3) == round_masks[:1]
    assert mask.load(file_of(tmp_path, 3, 2), MODEL)[1] == {
        "identity": "el",
        "round": 3,
        "model": 2,
    }
    file_of(tmp_path, 1, 0).write_bytes(b"")
    assert "damaged" in message(saved_rounds, tmp_path, MODEL, 3)


def test_flat_reads_a_model_in_the_order_of_the_bits():
    parameters = of_vector(np.arange(n))
    np.testing.assert_array_equal(flat(parameters, MODEL), np.arange(n))
    with pytest.raises(ValueError, match="one whole model"):
        flat(stack_of([parameters, parameters]), MODEL)
