"""How often a sweep that agrees with the theory is called a contradiction, and one that does not is.

Tables of the presets quick and digits are made of means drawn from their exact law, at any number of draws: the law of
one draw, whose every outcome is tested in tests/theory, folded with itself by Fourier transform. Optima in closed form
stand for the trained weights. Rows are drawn independently; that the strengths of a curve share their draws in a sweep
makes alarms rarer. Of weight deletion on a data set's own inputs, whose law is not listed, means are drawn out of
a pool of risks measured with the same failures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sim.config import DATA_STRENGTHS, STRENGTHS, Config, presets
from sim.experiments.data.tasks import binary_tasks
from sim.failures.named import MAKE
from sim.scatter import of_sample, scatter
from sim.verdict import (
    BEYOND_THREE,
    FALSE_ALARM,
    Verdict,
    allowed_curves,
    allowed_deviation,
    judge,
)
from sim.work import _learn, read
from theory.distribution import (
    Distribution,
    GaussianQuadratic,
    IndependentOutcomes,
    normal_deviation,
)
from theory.geometry import sample
from theory.perturbation import Adversarial, Deterministic, NoClosedForm
from theory.representation import Representation, optimal_representation

WINDOW = 40.0
"""Standard errors that a law is tabulated over."""

Sampler = Callable[[np.random.Generator, int], np.ndarray]
"""Means of draws, less their expectation and in standard errors."""


def of_law(law: Distribution, n: int) -> Sampler:
    """Means of n draws: their distribution function on a grid, inverted at uniform numbers.

    The grid has 2^12 points, 0.01 standard errors apart, and the mean and variance are then made exact; a transform
    leaves 1e-15 of probability, far below the 1e-9 of the rarest row among 20,000 tables.
    """
    size = 2**12
    error = float(np.sqrt(law.variance * n))  # of the sum
    step = WINDOW * error / size
    if isinstance(law, GaussianQuadratic):
        y = 2 * np.pi * np.arange(size // 2 + 1) / (WINDOW * error)
        spectrum, start = np.zeros(len(y), dtype=complex), 0
        while start < len(y) and (start == 0 or abs(spectrum[start - 1]) > 1e-13):
            t = 1j * y[start : start + 64, None]
            r = 1 / (1 - 2 * t * law.curvature)
            log = np.log(r) / 2 - t * law.curvature + (law.pull * t) ** 2 * r / 2
            spectrum[start : start + 64] = np.exp(n * log.sum(axis=1))
            start += 64
        assert abs(spectrum[min(start, len(y)) - 1]) < 1e-12
        grid = (np.arange(size) - size // 2) * step
        probability = np.fft.fftshift(np.fft.irfft(spectrum.conj(), size))
    else:
        assert isinstance(law, IndependentOutcomes)
        steps = np.round(law.values / step).astype(int)
        spectrum = np.ones(size // 2 + 1, dtype=complex)
        for column in steps:
            of_column = np.bincount(column % size, law.probabilities, size)
            spectrum *= np.fft.rfft(of_column)
        probability = np.fft.irfft(spectrum**n, size)
        middle = int(np.round(n * (steps @ law.probabilities).sum()))
        probability = np.roll(probability, size // 2 - middle)
        grid = (np.arange(size) - size // 2) * step
    probability = np.maximum(probability, 0.0)
    probability /= probability.sum()
    grid = grid - probability @ grid
    grid = grid / np.sqrt(probability @ grid**2)
    cumulative = np.cumsum(probability)
    return lambda rng, count: grid[
        np.searchsorted(cumulative, rng.random(count)).clip(max=size - 1)
    ]


def of_pool(risks: np.ndarray, n: int) -> Sampler:
    """Means of n out of a pool of risks, whose mean and deviation are made those of the law."""
    risks = (risks - risks.mean()) / risks.std()

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        pool = np.array([rng.choice(risks, n).mean() for _ in range(2000)]) * np.sqrt(n)
        return rng.choice(pool, count)

    return draw


@dataclass(frozen=True)
class Row:
    """A strength of a failure of a model: what the sweep records of chance, and means to come."""

    standard_error: float
    below: float
    above: float
    sampler: Sampler
    expected: float


@dataclass(frozen=True)
class Curve:
    """The tested rows of a model under a failure."""

    model: str
    failure: str
    inputs: str
    rows: tuple[Row, ...]


def random_failures(config: Config) -> list[str]:
    return [
        name
        for name in config.perturbations
        if not isinstance(MAKE[name](STRENGTHS[name][-1]), Deterministic | Adversarial)
    ]


def isotropic(config: Config, n: int, most: int) -> Iterator[Curve]:
    """Of models on S = I: the geometries' and the data sets'."""
    tasks = [
        (
            f"{cell}",
            sample(cell.geometry, cell.d, cell.T, cell.seed),
            cell.k,
            cell.trainer,
            cell.ridge,
        )
        for cell in (config.cells()[:most] if config.geometries else [])
    ]
    if most > len(tasks):
        tasks += [
            (
                f"{source.name} {T} {seed} {trainer}",
                _learn(source, T, seed)[0],
                config.data_k,
                trainer,
                config.ridge,
            )
            for source in config.data
            for trainer in config.trainers
            for T in config.data_T
            for seed in config.data_seed_range
        ]
    stacks: dict[tuple[int, ...], list[tuple[str, Representation, np.ndarray]]] = {}
    for model, C, k, trainer, ridge in tasks[:most]:
        best = optimal_representation(
            C, k, ridge=ridge if trainer == "ridge" else 0.0, balanced=trainer != "orthonormal"
        )
        stacks.setdefault((*C.shape, k), []).append((model, best, C))
    for stack in stacks.values():
        models = Representation(
            np.stack([best.W for _, best, _ in stack]),
            np.stack([best.heads for _, best, _ in stack]),
        )
        C = np.stack([C for _, _, C in stack])
        for name in random_failures(config):
            rows: list[list[Row]] = [[] for _ in stack]
            for strength in STRENGTHS[name][1:]:
                failure = MAKE[name](strength)
                law = failure.risk_distribution(models, C)
                assert not isinstance(law, NoClosedForm)
                chance = scatter(law.variance, law, of_sample(np.zeros((len(stack), 1))), n)
                expected = np.asarray(failure.expected_risk(models, C))
                for i, of_model in enumerate(rows):
                    if chance.standard_error[i] > 0:
                        of_row = [float(column[i]) for column in chance]
                        of_model.append(Row(*of_row, of_law(part(law, i), n), float(expected[i])))
            for (model, _, _), of_model in zip(stack, rows, strict=True):
                yield Curve(model, name, "isotropic", tuple(of_model))


def part(law: Distribution, i: int) -> Distribution:
    """The law of model i of a stack."""
    if isinstance(law, GaussianQuadratic):
        return GaussianQuadratic(law.curvature[i], law.pull[i])
    assert isinstance(law, IndependentOutcomes)
    return IndependentOutcomes(law.values[i], law.probabilities)


def on_data(config: Config, n: int) -> Iterator[Curve]:
    """Of D22's models on a data set's own inputs."""
    for source in config.data:
        for T in config.data_T:
            real = binary_tasks(read(source), T)
            for seed in config.data_seed_range:
                best = optimal_representation(_learn(source, T, seed)[0], config.data_k)
                for name in ("additive-noise", "weight-deletion"):
                    rows = []
                    for strength in DATA_STRENGTHS[name]:
                        failure = MAKE[name](strength)
                        variance = real.risk_variance(best, failure)
                        law = real.risk_distribution(best, failure)
                        if variance == 0 or (isinstance(law, NoClosedForm) and n < 256):
                            continue  # certain, or not tested
                        expected = float(real.closed_form_risk(best, failure))
                        if isinstance(law, NoClosedForm):
                            rng = np.random.default_rng([T, seed])
                            risks = real.measured_risks(best, failure, max(8192, n), rng)
                            chance = scatter(variance, law, of_sample(risks[:n]), n)
                            sampler = of_pool(risks, n)
                        else:
                            chance = scatter(variance, law, of_sample(np.zeros(1)), n)
                            sampler = of_law(law, n)
                        rows.append(Row(*map(float, chance), sampler, expected))
                    if rows:
                        yield Curve(f"{source.name} {T} {seed}", name, "data", tuple(rows))


@dataclass
class Counts:
    """Of so many tables: those alarmed, and those alarmed once an error is planted."""

    tables: int
    alarmed: int = 0
    rows: int = 0
    curves: int = 0
    worst: float = 0.0
    one_row_found: int = 0
    failure_found: dict[tuple[str, int], int] = field(default_factory=dict)


def simulate(curves: list[Curve], tables: int, seed: int) -> Counts:
    """Judge tables whose rows scatter as the theory says, and those with 8 errors in one row, or 3 in a failure's."""
    rng = np.random.default_rng(seed)
    tests = sum(len(curve.rows) for curve in curves)
    failures = sorted({curve.failure for curve in curves})
    by_chance = np.array(
        [
            sum(min(1.0, len(c.rows) * BEYOND_THREE) for c in curves if c.failure == name)
            for name in failures
        ]
    )
    most = dict(zip(failures, allowed_curves(by_chance), strict=True))
    limit = allowed_deviation(tests)
    planted = rng.integers(tests, size=tables)
    sign = rng.choice([-1.0, 1.0], size=tables)
    alarmed, detected = np.zeros(tables, dtype=bool), np.zeros(tables, dtype=bool)
    beyond = {(name, shift): np.zeros(tables, int) for name in failures for shift in (-3, 0, 3)}
    far = {(name, shift): np.zeros(tables, dtype=bool) for name in failures for shift in (-3, 3)}
    counts, index = Counts(tables, rows=tests, curves=len(curves)), 0
    for curve in curves:
        largest = {shift: np.zeros(tables) for shift in (-3, 0, 3)}
        for row in curve.rows:
            z = row.sampler(rng, tables)
            for shift, reached in largest.items():
                np.maximum(reached, deviation(row, z + shift), out=reached)
            here = planted == index
            detected[here] = deviation(row, z[here] + 8 * sign[here]) > limit
            index += 1
        for shift, reached in largest.items():
            beyond[curve.failure, shift] += reached > 3
            if shift:
                far[curve.failure, shift] |= reached > limit
        alarmed |= largest[0] > limit
        counts.worst = max(counts.worst, float(largest[0].max()))
    for name in failures:
        alarmed |= beyond[name, 0] > most[name]
    counts.alarmed = int(alarmed.sum())
    counts.one_row_found = int((detected | alarmed).sum())
    counts.failure_found = {
        (name, shift): int(((beyond[name, shift] > most[name]) | over).sum())
        for (name, shift), over in far.items()
    }
    return counts


def deviation(row: Row, z: np.ndarray) -> np.ndarray:
    return normal_deviation(np.abs(z), np.where(z < 0, row.below, row.above))


def table(curves: list[Curve], rng: np.random.Generator) -> pd.DataFrame:
    """One table as a sweep writes it, its slopes those of its risks."""
    return pd.DataFrame(
        [
            {
                "identity": curve.model,
                "inputs": curve.inputs,
                "group": "W",
                "draws": 64,
                "perturbation": curve.failure,
                "converged": True,
                "risk_zero": 1.0,
                "risk_closed_form": row.expected,
                "risk_measured": (
                    risk := row.expected + row.standard_error * row.sampler(rng, 1)[0]
                ),
                "standard_error": row.standard_error,
                "skewness_below": row.below,
                "skewness_above": row.above,
                "risk_bound": np.nan,
                "slope_closed_form": row.expected,
                "slope_measured": risk,
                "slope_standard_error": row.standard_error,
            }
            for curve in curves
            for row in curve.rows
        ]
    )


def curves_of(preset: str, n: int, most: int = 10**6) -> list[Curve]:
    config = presets()[preset]
    rows = list(isotropic(config, n, most))
    return rows if most < 10**6 else rows + list(on_data(config, n))


def check(counts: Counts, n: int) -> None:
    # The upper end of the 99.9 % range of a binomial count at the stated rate.
    assert counts.alarmed <= stats.binom.ppf(0.9995, counts.tables, FALSE_ALARM), counts
    if n >= 256:
        assert counts.one_row_found >= 0.99 * counts.tables, counts


@pytest.mark.parametrize("n", [4, 256])
def test_some_models_of_the_quick_preset(n: int) -> None:
    """As below, at a speed for every day: 6 models, too few for a failure as a whole to show, and 1,000 tables."""
    check(simulate(curves_of("quick", n, most=6), 1000, seed=n), n)


def test_judge_decides_as_the_simulation() -> None:
    curves, rng = curves_of("quick", 64, most=4), np.random.default_rng(5)
    good = table(curves, rng)
    verdict: Verdict = judge([good])
    assert verdict.contradictions.empty
    assert verdict.tests == sum(len(curve.rows) for curve in curves)
    assert verdict.allowed_deviation == allowed_deviation(verdict.tests)
    rows = [row for curve in curves for row in curve.rows]
    off = (good.risk_measured - good.risk_closed_form).to_numpy() / good.standard_error.to_numpy()
    by_hand = max(float(deviation(row, np.array([z]))[0]) for row, z in zip(rows, off, strict=True))
    assert verdict.worst_deviation == pytest.approx(by_hand, rel=1e-6)
    bad = good.copy()
    bad.loc[7, "risk_measured"] = bad.loc[7, "risk_closed_form"] + 12 * bad.loc[7, "standard_error"]
    assert list(judge([bad]).contradictions.index) == [7]


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 16, 64, 256, 4096])
@pytest.mark.parametrize("preset", ["quick", "digits"])
def test_false_alarms_and_power(preset: str, n: int) -> None:
    """20,000 tables of each preset; some minutes each."""
    counts = simulate(curves_of(preset, n), 20_000, seed=n)
    print(preset, n, counts)  # pytest -s shows them
    check(counts, n)
    if n >= 256:
        assert min(counts.failure_found.values()) >= 0.99 * counts.tables, counts
