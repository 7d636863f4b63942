"""The figure of convolutional networks, from a run whose accuracies are given by a formula."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures.engine import runs as results
from figures.engine import style
from figures.sweep import nonlinear_tasks
from sim.config import Config
from sim.runs.store import Run
from sim.table import tidy

T = (1, 2, 4)
SEEDS = 3
GROUPS = ("all", "convolution-1", "hidden", "heads")
STRENGTHS = {"weight-deletion": (0.0, 0.2, 0.8), "quantisation": (float("inf"), 3.0, 2.0)}


def accuracy(T: int, seed: int, group: int, amount: float) -> float:
    """Linear in the amount of damage, which more tasks lessen by .02 T, and by .01 T seed in the group of all."""
    return 0.9 - amount * (0.3 - 0.02 * T - (0.01 * T * seed if group == 0 else 0))


def row(T: int, seed: int, group: int, failure: str, strength: float) -> dict[str, object]:
    amount = strength if failure == "weight-deletion" else 1 / (2 ** (strength - 1) - 1)
    return {
        "identity": f"{T:08x}{seed:08x}",
        "network": "convolutional",
        "geometry": "digits",
        "options": '{"samples": "divided"}',
        "inputs": "data",
        "d": 64,
        "T": T,
        "k": 64,
        "seed": seed,
        "trainer": "adam",
        "perturbation": failure,
        "group": GROUPS[group],
        "strength": strength,
        "draws": 8,
        "accuracy": 0.1,
        "accuracy_common": accuracy(T, seed, group, amount),
        "converged": True,
        "iterations": 10,
    }


def written(folder: Path, every: list[dict[str, object]]) -> Path:
    store = Run.open(folder, Config(geometries=("sphere",)), resume=False, parts=["part-0"])
    store.write("part-0", tidy(every))
    return folder


def every_row(numbers: tuple[int, ...] = T, seeds: int = SEEDS) -> list[dict[str, object]]:
    return [
        row(number, seed, group, failure, strength)
        for failure, strengths in STRENGTHS.items()
        for number in numbers
        for seed in range(seeds)
        for group in range(len(GROUPS))
        for strength in strengths
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    linear = [row(1, 0, 0, "weight-deletion", 0.2) | {"network": "linear", "accuracy_common": 9.0}]
    return written(tmp_path_factory.mktemp("runs") / "run", every_row() + linear)


def test_numbers_are_those_of_the_formula(run: Path) -> None:
    table = nonlinear_tasks.table(run).set_index(["kind", "perturbation", "group"]).sort_index()
    # Student's t of 2 degrees of freedom is t(p) = (2 p - 1) / sqrt(2 p (1 - p)); seeds 0, 1, 2 have a spread of 1.
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) / np.sqrt(3)
    # Sums of a few numbers of order 1; scipy's quantile is good to 1e-10.
    close = {"rtol": 1e-9, "atol": 1e-14}
    for failure, end in {"weight-deletion": 0.8, "quantisation": 1.0}.items():
        for group in (0, 3):
            key = (failure, GROUPS[group])
            unit = 0.01 if group == 0 else 0.0
            areas = table.loc[("area", *key)].sort_values("T")
            mean = [0.9 - end / 2 * (0.3 - (0.02 + unit) * T) for T in T]
            np.testing.assert_allclose(areas["value"], mean, **close)
            spread = np.array(T) * end / 2 * unit * half
            np.testing.assert_allclose(areas["high"] - areas["value"], spread, **close)
            np.testing.assert_allclose(areas["value"] - areas["low"], spread, **close)
            for kind, tasks in (("difference", 3), ("trend", 1)):
                (effect,) = table.loc[[(kind, *key)]].itertuples()
                assert effect.seeds == SEEDS
                more = tasks * end / 2
                np.testing.assert_allclose(effect.value, more * (0.02 + unit), **close)
                np.testing.assert_allclose(effect.high - effect.value, more * unit * half, **close)
            curve = table.loc[("curve", *key)].query("T == 2").sort_values("strength")
            assert sorted(curve["strength"]) == sorted(STRENGTHS[failure])
            middle = curve["strength"] == (0.2 if failure == "weight-deletion" else 3.0)
            amount = 0.2 if failure == "weight-deletion" else 1 / 3
            expected = np.mean([accuracy(2, seed, group, amount) for seed in range(SEEDS)])
            np.testing.assert_allclose(curve["value"][middle], expected, **close)


def test_a_single_seed_has_no_interval(tmp_path: Path) -> None:
    run = written(tmp_path / "run", every_row(seeds=1))
    table = nonlinear_tasks.table(run)
    assert set(table["seeds"]) == {1}
    assert table["low"].isna().all()
    assert table["value"].notna().all()
    with style.use():
        nonlinear_tasks.draw(table).draw_without_rendering()


def test_what_it_cannot_show_is_missing_rows(tmp_path: Path, run: Path) -> None:
    single_T = written(tmp_path / "one", every_row(numbers=(2,)))
    with pytest.raises(results.MissingRows, match="sweep several --T"):
        nonlinear_tasks.table(single_T)
    linear = [row(1, 0, 0, "weight-deletion", 0.2) | {"network": "linear"}]
    with pytest.raises(results.MissingRows, match="convolutional"):
        nonlinear_tasks.table(written(tmp_path / "linear", linear))


def test_every_number_is_drawn(run: Path) -> None:
    table = nonlinear_tasks.table(run)
    with style.use():
        figure = nonlinear_tasks.draw(table)
        figure.draw_without_rendering()
    curves, areas, differences = figure.axes
    shown = table[table["perturbation"] == "weight-deletion"].set_index(["kind", "group"])
    of_all = shown.loc[("curve", "all")]
    for number, container in zip((1, 4), curves.containers, strict=True):
        drawn = of_all[of_all["T"] == number]["value"]
        np.testing.assert_array_equal(container.lines[0].get_ydata(), drawn)
    for group, container in zip(GROUPS, areas.containers, strict=True):
        np.testing.assert_array_equal(
            container.lines[0].get_ydata(), shown.loc[("area", group)]["value"]
        )
    effects = table[table["kind"] == "difference"].set_index(["group", "perturbation"])
    for group, container in zip(GROUPS, differences.containers, strict=True):
        values = effects.loc[group].sort_index()["value"]
        np.testing.assert_array_equal(container.lines[0].get_xdata(), values)
    assert differences.get_xlabel() == "area at $T=4$ less area at $T=1$"


def test_table_does_not_depend_on_the_order_of_rows(tmp_path: Path, run: Path) -> None:
    shuffled = pd.DataFrame(every_row()).sample(frac=1, random_state=3).to_dict("records")
    again = nonlinear_tasks.table(written(tmp_path / "run", shuffled))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(again, nonlinear_tasks.table(run), rtol=1e-12)
