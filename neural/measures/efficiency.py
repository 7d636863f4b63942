"""How many monolingual tokens a perplexity is worth: the token efficiency of Schäfer et al. 2024.

A monolingual model of x tokens has 1/PPL(x) = c - a x^(-b), fitted to runs of several budgets. A model that reaches a
perplexity P in a language after n tokens of it has

    MLTE = (a / (c - 1/P))^(1/b)    the monolingual tokens that reach P,
    TEff = MLTE / n                 above 1 where the other languages helped,
    MLPE = PPL(n)                   the perplexity of a monolingual model of as many tokens.

The curve holds between the least and the greatest budget it was fitted to. What lies beyond is marked, never passed off
as an estimate.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.runs.errors import UserError

Array = NDArray[np.float64]

PARAMETERS = ("a", "b", "c")
CONFIDENCE = 0.95
SAMPLES = 4000


@dataclass(frozen=True)
class Equivalent:
    """A value with its 95 % interval; `beyond` says on which side of the fitted budgets its budget lies, if on one.

    An end of the interval that lies beyond the budgets is infinite or, of tokens, 0.
    """

    value: float
    low: float
    high: float
    beyond: str = ""
    """"" within them, "below" or "above"."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The monolingual curve: a, b and c, their covariance, and the budgets (low, high) between which it holds."""

    a: float
    b: float
    c: float
    covariance: Array
    """Of log a, log b and log c."""
    freedom: int
    """Degrees of freedom: measurements less 3."""
    budgets: tuple[float, float]

    @cached_property
    def _samples(self) -> Array:
        """Log parameters (SAMPLES, 3) as likely as the fit leaves them: Student's t about the best."""
        rng = np.random.default_rng(0)
        best = np.log([self.a, self.b, self.c])
        normal = rng.multivariate_normal(np.zeros(3), self.covariance, SAMPLES)
        scale = np.sqrt(rng.chisquare(self.freedom, SAMPLES) / self.freedom)
        return best + normal / scale[:, None]

    def perplexity(self, tokens: float) -> Equivalent:
        """MLPE: of a monolingual model of so many tokens."""
        value = 1 / self._inverse_perplexity(np.log([[self.a, self.b, self.c]]), tokens)[0]
        with np.errstate(divide="ignore", over="ignore"):
            samples = 1 / np.maximum(self._inverse_perplexity(self._samples, tokens), 0)
        low, high = _ends(samples)
        least, greatest = self.budgets
        beyond = "below" if tokens < least else "above" if tokens > greatest else ""
        return Equivalent(float(value), low, high, beyond)

    def tokens(self, perplexity: float) -> Equivalent:
        """MLTE: the monolingual tokens that reach this perplexity."""
        if not perplexity > 0:
            raise ValueError(f"perplexity {perplexity}: give a number above 0")
        value = self._tokens(np.log([[self.a, self.b, self.c]]), perplexity)[0]
        low, high = _ends(self._tokens(self._samples, perplexity))
        least, greatest = self.budgets
        beyond = "below" if value < least else "above" if value > greatest else ""
        return Equivalent(
            float(value),
            low if low >= least else 0.0,
            high if high <= greatest else np.inf,
            beyond,
        )

    def efficiency(self, perplexity: float, tokens: float) -> Equivalent:
        """TEff: of a model that reached this perplexity in a language after so many tokens of it."""
        if not tokens > 0:
            raise ValueError(f"{tokens} tokens: the language was not trained on")
        equivalent = self.tokens(perplexity)
        return Equivalent(
            equivalent.value / tokens,
            equivalent.low / tokens,
            equivalent.high / tokens,
            equivalent.beyond,
        )

    @staticmethod
    def _inverse_perplexity(logs: Array, tokens: float) -> Array:
        """(n,) for parameters (n, 3); -inf for curves so steep that they overflow."""
        log_a, log_b, log_c = logs.T
        with np.errstate(over="ignore", invalid="ignore"):
            inverse: Array = np.exp(log_c) - np.exp(log_a - np.exp(log_b) * np.log(tokens))
        return np.nan_to_num(inverse, nan=-np.inf, posinf=np.inf)

    @staticmethod
    def _tokens(logs: Array, perplexity: float) -> Array:
        """(n,) for parameters (n, 3); infinite where the curve never falls to it."""
        log_a, log_b, log_c = logs.T
        with np.errstate(over="ignore"):
            left = np.exp(log_c) - 1 / perplexity
            rest = log_a - np.log(np.where(left > 0, left, 1))
            budget: Array = np.where(left > 0, np.exp(rest * np.exp(-log_b)), np.inf)
        return budget


def fit(budgets: ArrayLike, perplexities: ArrayLike) -> Reference:
    """The curve through perplexities (n,) of monolingual runs of budgets (n,) of tokens, several of a budget or one.

    By least squares of 1/PPL; a, b and c are positive, and c is at most 1, since no perplexity is less. Raises
    UserError for fewer than four different budgets, for perplexities that do not fall with the budget, and where no
    such curve fits.
    """
    from scipy import optimize

    x, y = np.asarray(budgets, np.float64), 1 / np.asarray(perplexities, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"budgets {x.shape} and perplexities {y.shape}: give one of each a run")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise UserError(
            "budgets and perplexities have to be finite and above 0: leave out the others"
        )
    if len(np.unique(x)) < 4:
        raise UserError(
            f"{len(np.unique(x))} monolingual budgets for a curve of three parameters: give four or more"
        )
    if y[x == x.max()].mean() <= y[x == x.min()].mean():
        raise UserError(
            f"perplexity does not fall with tokens, from {x.min():g} to {x.max():g} of them: check the monolingual runs"
        )
    scale = np.exp(np.log(x).mean())  # of tokens, so that a is of the size of 1/PPL

    def curve(x: Array, log_a: float, log_b: float, log_c: float) -> Array:
        inverse: Array = np.exp(log_c) - np.exp(log_a) * (x / scale) ** -np.exp(log_b)
        return inverse

    c = 1.2 * y.max()
    start = np.log([max(c - np.median(y), 0.1 * c), 0.5, c])
    try:
        most = [np.inf, np.inf, 0.0]  # a perplexity is at least 1, so c is at most 1
        logs, covariance = optimize.curve_fit(
            curve,
            x,
            y,
            np.minimum(start, [np.inf, np.inf, -1e-3]),
            bounds=(-np.inf, most),
            max_nfev=20_000,
        )
    except RuntimeError:
        covariance = np.full((3, 3), np.inf)
    if not np.isfinite(covariance).all():
        raise UserError(
            "no curve 1/PPL = c - a x^(-b) fits the monolingual runs: give more budgets"
        )
    # a of x / scale to a of x: log a' = log a + b log scale.
    jacobian = np.eye(3)
    jacobian[0, 1] = np.exp(logs[1]) * np.log(scale)
    a, b, c = np.exp([logs[0] + np.exp(logs[1]) * np.log(scale), logs[1], logs[2]])
    return Reference(
        float(a),
        float(b),
        float(c),
        jacobian @ covariance @ jacobian.T,
        len(x) - 3,
        (float(x.min()), float(x.max())),
    )


def interpolated(
    budgets: ArrayLike, perplexities: ArrayLike, perplexity: float
) -> tuple[float, str]:
    """MLTE without a formula: on the line through the monolingual runs (n,) themselves, in log tokens and log PPL.

    Where more tokens gave a worse run, the best before it counts. Beyond the runs it is the nearest budget, and on
    which side, "below" or "above"; "" between them. It makes no use of a curve that training may not follow, as where
    models learn by leaps, but holds the scatter of single runs.
    """
    order = np.argsort(np.asarray(budgets, np.float64), kind="stable")
    x = np.log(np.asarray(budgets, np.float64)[order])
    y = np.minimum.accumulate(np.log(np.asarray(perplexities, np.float64)[order]))
    wanted = float(np.log(perplexity))
    beyond = "below" if wanted > y[0] else "above" if wanted < y[-1] else ""
    return float(np.exp(np.interp(-wanted, -y, x))), beyond


def _ends(samples: Array) -> tuple[float, float]:
    """Of the interval; samples may be infinite."""
    ordered = np.sort(samples)
    tail = int((1 - CONFIDENCE) / 2 * (len(ordered) - 1))
    return float(ordered[tail]), float(ordered[-1 - tail])
