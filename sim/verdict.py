"""Does a table of measurements agree with the theory? Every row against its closed form, at a stated error rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FALSE_ALARM = 1e-3
"""Probability that a sweep in full agreement with the theory is called a contradiction by chance (Bonferroni)."""

ROUNDING = 1e-11
"""Relative to the largest risk involved, that of predicting 0 included: what float64 loses in summing a risk."""

TRAINING = 1e-5
"""Relative accuracy of a converged model's slope: its gradient is below 1e-8, and descent keeps 1e-6 of its start."""

FEW_DRAWS = 256
"""Under so many draws deletion is not tested: a rare outcome of it may be missing, and with it the scatter."""

ASCENT_SHORTFALL = 1e-4
"""How far below the worst case, relative to it, a finite ascent may stop."""


@dataclass(frozen=True)
class Verdict:
    """How a table compares with the theory; `contradictions` are the rows that chance does not explain."""

    cells: int
    rows: int
    tests: int
    not_converged: int
    worst_deviation: float
    allowed_deviation: float
    curves: int
    curves_beyond_three: int
    curves_beyond_three_allowed: int
    without_closed_form: int
    too_few_draws: int
    contradictions: "pd.DataFrame"


def judge(parts: "Iterable[pd.DataFrame]") -> Verdict:
    """Compare measured with closed form in every row, and the slopes of converged cells with their optimum's spectrum.

    A random failure's deviation is counted in standard errors. What is not random must agree to rounding, stay below
    its a-priori bound, and an adversary found by ascent may neither exceed the worst case nor miss it.
    Slopes of cells that did not converge are left out: the theory says nothing of them.

    The table comes in parts, each with all rows of its cells, and is never held whole.
    """
    import pandas as pd
    from scipy import stats

    tallies = [_tally(part) for part in parts]

    def total(name: str) -> Any:
        return sum(getattr(tally, name) for tally in tallies)

    tests = total("tests")
    allowed = stats.norm.isf(FALSE_ALARM / 2 / max(tests, 1))
    return Verdict(
        cells=total("cells"),
        rows=total("rows"),
        tests=tests,
        not_converged=total("not_converged"),
        worst_deviation=max((tally.worst_deviation for tally in tallies), default=0.0),
        allowed_deviation=float(allowed),
        curves=total("curves"),
        curves_beyond_three=total("curves_beyond_three"),
        curves_beyond_three_allowed=int(stats.poisson.isf(FALSE_ALARM, total("by_chance"))),
        without_closed_form=total("without_closed_form"),
        too_few_draws=total("too_few_draws"),
        contradictions=pd.concat([t.suspects[t.deviation > allowed] for t in tallies]),
    )


@dataclass(frozen=True)
class _Tally:
    """What one part of the table adds; `by_chance` is the expected number of its curves beyond three.

    `suspects` are the rows that may turn out to be contradictions, with their `deviation` in standard errors, infinite
    where nothing random excuses it.
    """

    cells: int
    rows: int
    tests: int
    not_converged: int
    worst_deviation: float
    curves: int
    curves_beyond_three: int
    by_chance: float
    without_closed_form: int
    too_few_draws: int
    suspects: "pd.DataFrame"
    deviation: NDArray[np.float64]


def _tally(table: "pd.DataFrame") -> _Tally:
    from scipy import stats

    random = (table.standard_error > 0).to_numpy()
    unsure = (table.perturbation.str.contains("deletion") & (table.draws < FEW_DRAWS)).to_numpy()
    scale = table[["risk_zero", "risk_closed_form", "risk_measured"]].max(axis=1).to_numpy()
    off = (table.risk_measured - table.risk_closed_form).to_numpy()
    known = ~np.isnan(off)
    rounding = ROUNDING * scale

    z = _deviation(off, table.standard_error.to_numpy(), rounding)
    slope_off = (table.slope_measured - table.slope_closed_form).to_numpy()
    slope_known = (
        table.converged.to_numpy()
        & ~np.isnan(slope_off)
        & (table.inputs == "isotropic").to_numpy()
        & random
        & ~unsure
    )
    slope_z = _deviation(
        slope_off,
        table.slope_standard_error.to_numpy(),
        TRAINING * table.slope_closed_form.to_numpy(),
    )

    risk_tests = known & random & ~unsure
    # The strengths of one model and failure share their draws, so their deviations come together: one curve.
    per_row = np.where(risk_tests, z, 0.0), np.where(slope_known, slope_z, 0.0)
    curve = table.groupby(["identity", "group", "perturbation"]).ngroup().to_numpy()
    largest, in_curve = np.zeros(curve.max() + 1), np.zeros(curve.max() + 1)
    for values, counted in zip(per_row, (risk_tests, slope_known), strict=True):
        np.maximum.at(largest, curve, values)
        np.add.at(in_curve, curve, counted)
    adversary = table.perturbation.str.startswith("adversarial").to_numpy()
    missed = np.where(adversary, -off > ASCENT_SHORTFALL * scale, -off > rounding) | (
        off > np.where(adversary, 1e-9 * scale, rounding)
    )
    beyond_bound = (table.risk_measured - table.risk_bound).to_numpy() > rounding
    deviation = np.maximum(*per_row)
    deviation[(known & ~random & missed) | beyond_bound] = np.inf
    suspect = deviation > 3
    return _Tally(
        cells=table.identity.nunique(),
        rows=len(table),
        tests=int(risk_tests.sum() + slope_known.sum()),
        not_converged=table.identity[~table.converged].nunique(),
        worst_deviation=float(largest.max(initial=0.0)),
        curves=int((in_curve > 0).sum()),
        curves_beyond_three=int((largest > 3).sum()),
        by_chance=float(np.minimum(1.0, 2 * stats.norm.sf(3) * in_curve).sum()),
        without_closed_form=int((~known).sum()),
        too_few_draws=int((known & random & unsure).sum()),
        suspects=table[suspect],
        deviation=deviation[suspect],
    )


def _deviation(
    off: NDArray[np.float64], error: NDArray[np.float64], rounding: NDArray[np.float64]
) -> NDArray[np.float64]:
    """|off| beyond rounding, in standard errors."""
    beyond = np.maximum(np.abs(off) - rounding, 0.0)
    return np.divide(beyond, error, out=np.zeros_like(beyond), where=error > 0)
