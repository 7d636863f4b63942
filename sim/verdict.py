"""Does a table of measurements agree with the theory? Every row against its closed form, at a stated error rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sim.failures.named import KIND
from sim.scatter import FEW_DRAWS
from theory.distribution import EASE, normal_deviation

if TYPE_CHECKING:
    import pandas as pd

FALSE_ALARM = 1e-3
"""Probability that a sweep in full agreement with the theory is called a contradiction by chance.

FOR_ROWS of it is for single rows, shared by them all, the rest for failures too many of whose curves lie beyond three,
shared by the failures (Bonferroni).
"""

FOR_ROWS = 0.9

ROUNDING = 1e-11
"""Relative to the largest risk involved, that of predicting 0 included: what float64 loses in summing a risk."""

TRAINING = 1e-5
"""Relative accuracy of a converged model's slope: its gradient is below 1e-8, and descent keeps 1e-6 of its start."""

BEYOND_THREE = 2.7e-3 * EASE
"""Bound on the probability that chance takes a row beyond three, either side."""

ASCENT_ROUNDING = 1e-9
"""Of an adversary's worst case, relative to it: an ascent beyond it contradicts the theory."""

ASCENT_SHORTFALL = 1e-4
"""How far below the worst case, relative to it, an ascent may stop and still count as having attained it."""


@dataclass(frozen=True)
class Verdict:
    """How a table compares with the theory; `contradictions` are the rows that chance does not explain.

    Deviations are those of a standard normal of equal chance. `failures_beyond` says of failures with more curves
    beyond three than chance allows (name -> curves beyond three, curves, allowed); their rows beyond three are
    contradictions. `not_attained` counts rows whose adversary ended below the worst case, by `shortfall` of it at most.
    """

    cells: int
    rows: int
    tests: int
    not_converged: int
    worst_deviation: float
    allowed_deviation: float
    curves: int
    curves_beyond_three: int
    failures_beyond: dict[str, tuple[int, int, int]]
    without_closed_form: int
    too_few_draws: int
    estimated_errors: int
    not_attained: int
    shortfall: float
    contradictions: "pd.DataFrame"


def judge(parts: "Iterable[pd.DataFrame]") -> Verdict:
    """Compare measured with closed form in every row, and the slopes of converged cells with their optimum's spectrum.

    A random failure's deviation is counted in standard errors, and by the tails of its law as the table has them; in
    tables of before they were recorded, and where they are not known, by a t law of the draws, deletion then only from
    FEW_DRAWS draws on, whose rare outcomes fewer may miss. What is not random must agree to rounding and stay below its
    a-priori bound; an adversary may not exceed the worst case. Slopes of cells that did not converge are left out:
    the theory says nothing of them.

    The table comes in parts, each with all rows of its cells, and is never held whole.
    """
    import pandas as pd

    tallies = [_tally(part) for part in parts]

    def total(name: str) -> Any:
        return sum(getattr(tally, name) for tally in tallies)

    tests = total("tests")
    allowed = allowed_deviation(tests)
    curves = pd.concat([tally.curves for tally in tallies]).groupby(level=0).sum()
    curves["allowed"] = allowed_curves(curves["by_chance"].to_numpy())
    beyond = curves[curves["beyond_three"] > curves["allowed"]]
    suspects = pd.concat([tally.suspects for tally in tallies])
    deviation = np.concatenate([tally.deviation for tally in tallies])
    contradicts = (deviation > allowed) | suspects["perturbation"].isin(beyond.index).to_numpy()
    return Verdict(
        cells=total("cells"),
        rows=total("rows"),
        tests=tests,
        not_converged=total("not_converged"),
        worst_deviation=max((tally.worst_deviation for tally in tallies), default=0.0),
        allowed_deviation=allowed,
        curves=int(curves["curves"].sum()),
        curves_beyond_three=int(curves["beyond_three"].sum()),
        failures_beyond={
            name: (int(row.beyond_three), int(row.curves), int(row.allowed))
            for name, row in beyond.iterrows()
        },
        without_closed_form=total("without_closed_form"),
        too_few_draws=total("too_few_draws"),
        estimated_errors=total("estimated_errors"),
        not_attained=total("not_attained"),
        shortfall=max((tally.shortfall for tally in tallies), default=0.0),
        contradictions=suspects[contradicts],
    )


def allowed_deviation(tests: int) -> float:
    """The normal deviation, either side, that chance allows the farthest of so many rows."""
    from scipy.stats import norm

    return float(norm.isf(FALSE_ALARM * FOR_ROWS / 2 / max(tests, 1)))


def allowed_curves(by_chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many curves of each failure chance allows beyond three, where so many (failures,) are to be expected at most.

    Curves of different models are independent; a sum of rare independent events has no heavier tail than Poisson's law.
    """
    from scipy.stats import poisson

    allowed: NDArray[np.int64] = poisson.isf(
        FALSE_ALARM * (1 - FOR_ROWS) / max(len(by_chance), 1), by_chance
    ).astype(int)
    return allowed


@dataclass(frozen=True)
class _Tally:
    """What one part of the table adds.

    `curves` has a row a failure: its curves over strength that are tested, those beyond three, and the number
    `by_chance` that is to be expected of these at most. `suspects` are the rows that may turn out to be contradictions,
    with their `deviation`, infinite where nothing random excuses it.
    """

    cells: int
    rows: int
    tests: int
    not_converged: int
    worst_deviation: float
    curves: "pd.DataFrame"
    without_closed_form: int
    too_few_draws: int
    estimated_errors: int
    not_attained: int
    shortfall: float
    suspects: "pd.DataFrame"
    deviation: NDArray[np.float64]


def _tally(table: "pd.DataFrame") -> _Tally:
    import pandas as pd

    failure, names = pd.factorize(table["perturbation"])
    adversary = np.array([KIND[name].adversarial for name in names])[failure]
    column = {name: table[name].to_numpy() for name in table.select_dtypes(["number", "bool"])}
    measured, closed_form = column["risk_measured"], column["risk_closed_form"]
    known = ~np.isnan(closed_form)
    scale = np.fmax(np.fmax(column["risk_zero"], closed_form), measured)
    rounding = ROUNDING * scale
    off = measured - closed_form

    random = (column["standard_error"] > 0) & ~adversary
    chance = _Chance.of_columns(column)
    rare = np.array(["deletion" in name for name in names])[failure]
    unsure = random & chance.estimated & rare & (column["draws"] < FEW_DRAWS)
    tested = known & random & ~unsure
    slope_off = column["slope_measured"] - column["slope_closed_form"]
    slope_tested = (
        column["converged"]
        & ~np.isnan(slope_off)
        & (table["inputs"] == "isotropic").to_numpy()
        & random
        & ~unsure
    )
    training = TRAINING * column["slope_closed_form"]
    deviation = np.fmax(
        np.where(tested, chance.deviation(off, column["standard_error"], rounding), 0.0),
        np.where(
            slope_tested,
            chance.deviation(slope_off, column["slope_standard_error"], training),
            0.0,
        ),
    )

    # A slope differs from its row's risk by what is certain, training and a factor: chance takes both far, or neither.
    either = tested | slope_tested
    # The strengths of one model and failure share their draws, so their deviations come together: one curve.
    curve = table.groupby(["identity", "group", "perturbation"], sort=False).ngroup().to_numpy()
    largest, in_curve = np.zeros(curve.max() + 1), np.zeros(curve.max() + 1)
    np.maximum.at(largest, curve, deviation)
    np.add.at(in_curve, curve, either)
    of_curve = np.zeros(len(largest), dtype=int)
    of_curve[curve] = failure
    by_chance = np.minimum(1.0, in_curve * BEYOND_THREE)
    sums = {"curves": in_curve > 0, "beyond_three": largest > 3, "by_chance": by_chance}
    curves = pd.DataFrame(
        {name: np.bincount(of_curve, value, len(names)) for name, value in sums.items()},
        index=pd.Index(names),
    )

    exceeds = off > np.where(adversary, ASCENT_ROUNDING * scale, rounding)
    misses = ~adversary & (-off > rounding)
    beyond_bound = measured - column["risk_bound"] > rounding
    wrong = known & ~random & (exceeds | misses | np.isnan(measured)) | beyond_bound
    shortfall = np.where(known & adversary, -off / np.where(scale > 0, scale, 1.0), 0.0)
    suspects = (deviation > 3) | wrong
    return _Tally(
        cells=table["identity"].nunique(),
        rows=len(table),
        tests=int(either.sum()),
        not_converged=table["identity"][~column["converged"]].nunique(),
        worst_deviation=float(deviation.max(initial=0.0)),
        curves=curves,
        without_closed_form=int((~known).sum()),
        too_few_draws=int((known & unsure).sum()),
        estimated_errors=int((tested & chance.estimated).sum()),
        not_attained=int((shortfall > ASCENT_SHORTFALL).sum()),
        shortfall=float(shortfall.max(initial=0.0)),
        suspects=table[suspects],
        deviation=np.where(wrong, np.inf, deviation)[suspects],
    )


@dataclass(frozen=True)
class _Chance:
    """The tails (rows,) of measured risks; `estimated` where a t law of their draws stands for them."""

    below: NDArray[np.float64]
    above: NDArray[np.float64]
    draws: NDArray[np.int64]

    @classmethod
    def of_columns(cls, column: dict[str, NDArray[Any]]) -> Self:
        unknown = np.full(len(column["draws"]), np.nan)  # as in tables of before they were recorded
        below, above = (column.get(f"skewness_{side}", unknown) for side in ("below", "above"))
        return cls(below, above, column["draws"])

    @property
    def estimated(self) -> NDArray[np.bool_]:
        return np.isnan(self.above)

    def deviation(
        self, off: NDArray[np.float64], error: NDArray[np.float64], rounding: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The deviation of a standard normal that is as rare as |off| beyond rounding."""
        from scipy.special import ndtri_exp
        from scipy.stats import t

        beyond = np.maximum(np.abs(off) - rounding, 0.0)
        z = np.divide(beyond, error, out=np.zeros_like(beyond), where=error > 0)
        skewness = np.where(off < 0, self.below, self.above)
        deviation = normal_deviation(z, np.where(self.estimated, 0.0, skewness))
        few = self.estimated & (z > 3)
        deviation[few] = -ndtri_exp(t.logsf(z[few], np.maximum(self.draws[few] - 1, 1)))
        return deviation
