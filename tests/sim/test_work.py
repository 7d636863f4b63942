"""From configuration to rows: keys, exact standard errors, and attacks that start again."""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from sim import work
from sim.config import STRENGTHS, Config
from sim.experiments.linear import measure as measuring
from sim.failures.named import MAKE
from sim.scatter import Scatter
from theory.distribution import skewness
from theory.perturbation import NoClosedForm
from theory.representation import Representation

ATTACK = Config(
    geometries=("sphere",),
    d=(5,),
    T=(3,),
    k=(2,),
    seeds=2,
    draws=4,
    trainers=("orthonormal",),
    perturbations=("adversarial-frobenius",),
)


def test_every_cell_and_purpose_has_a_key_of_its_own() -> None:
    names = ["0123", "4567"]
    keys = [
        tuple(np.asarray(jax.random.key_data(key)).tolist())
        for purpose in ("train", "additive-noise", "weight-deletion")
        for key in work._keys(names, purpose)
    ]
    assert len(set(keys)) == len(keys) == 6


@pytest.mark.parametrize(
    "name", [name for name in STRENGTHS if "noise" in name or "deletion" in name]
)
def test_scatter_is_the_law_s_in_the_order_of_the_batch(name: str) -> None:
    """Of models whose numbers of tasks take turns, so that stacks take them apart."""
    rng = np.random.default_rng(0)
    C = [rng.standard_normal((4, T)) for T in (3, 2, 3)]
    models = [
        Representation(rng.standard_normal((2, 4)), rng.standard_normal((2, c.shape[1]))) for c in C
    ]
    stacks = [
        (
            np.array(place),
            Representation(
                np.stack([models[i].W for i in place]), np.stack([models[i].heads for i in place])
            ),
            np.stack([C[i] for i in place]),
        )
        for place in ([1], [0, 2])
    ]
    strengths = STRENGTHS[name]
    unknown = np.full((3, len(strengths)), np.nan)
    measured = measuring.Measured(unknown, Scatter(unknown, unknown, unknown), unknown[:, 0], 16)
    scatter = work._scatter(name, strengths, stacks, measured)
    for i, (model, c) in enumerate(zip(models, C, strict=True)):
        for j, strength in enumerate(strengths):
            law = MAKE[name](strength).risk_distribution(model, c)
            assert not isinstance(law, NoClosedForm)
            expected = (np.sqrt(law.variance / 16), *skewness(law, 16))
            np.testing.assert_allclose(
                [column[i, j] for column in scatter], expected, rtol=1e-9, atol=1e-15
            )


@pytest.mark.parametrize("attained_at", [0, 1, 3, 15])
def test_an_ascent_that_falls_short_starts_again(
    attained_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second model falls short, and again from all starts before those of a number."""
    (batch,) = work.batches(ATTACK)
    whole = work.table_of(batch, ATTACK)
    attained = whole.risk_measured / whole.risk_closed_form
    assert (attained >= 1 - 1e-4).all()
    keys: list[set[tuple[int, ...]]] = []
    honest = measuring.measure

    def short(name, strengths, W, heads, C, given, **options):  # type: ignore[no-untyped-def]
        measured = honest(name, strengths, W, heads, C, given, **options)
        before = sum(len(some) for some in keys[1:])
        risk = measured.risk.copy()
        fallen = slice(max(attained_at - before, 0)) if keys else 1
        risk[fallen] *= 1 - 2e-4
        keys.append({tuple(key) for key in np.asarray(jax.random.key_data(given)).tolist()})
        return replace(measured, risk=risk)

    monkeypatch.setattr(measuring, "measure", short)
    again = work.table_of(batch, ATTACK)
    first, *more = keys
    at_once = work.STARTS_AT_ONCE // measuring.ASCENT_STARTS
    assert [len(some) for some in more] == [at_once] * (attained_at // at_once + 1)
    assert len(set.union(*keys)) == len(first) + at_once * len(more)
    pd.testing.assert_series_equal(again.risk_measured, whole.risk_measured, rtol=1e-6)
