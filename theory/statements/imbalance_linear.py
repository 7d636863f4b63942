"""Two tasks in one dimension, unequal shares: the risks in closed form; equal shares minimise their sum.

Setting   unit tasks c_1, c_2 with correlation r, k = 1, S = I; shares pi and 1 - pi of the data.
Claim     R_1 + R_2 = 1 - r^2 / D, D = sqrt(1 - 4 pi (1 - pi)(1 - r^2)), at the optimum for these shares; 1 if D = 0.
Tight     an equality. Its least value 1 - |r| is at pi = 1/2, where D = |r|, its greatest 1 - r^2 at pi = 0 or 1.
Proof     c_1 = (1, 0), c_2 = (r, s), r^2 + s^2 = 1. M = pi c_1 c_1' + (1 - pi) c_2 c_2' has eigenvalues (1 +- D) / 2,
          and M - (1 - D)/2 is D times the projector onto the best w. Hence <w, c_t>^2 = c_t' (M - (1 - D)/2) c_t / D.
Source    new; the question is Schaefer et al. 2024.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, nonnegative
from theory.representation import optimal_representation
from theory.statement import Hypothesis, Statement, Step


def sides(C, k, share):
    best = optimal_representation(C, k, task_weights=[share, 1 - share])
    r = float(C[:, 0] @ C[:, 1])
    # The same D without cancellation where it is small.
    D = np.hypot(r, np.sqrt(max(0.0, 1 - r**2)) * (1 - 2 * share))
    return ((C - best.W.T @ best.heads) ** 2).sum(), 1 - r * (r / D) if D else 1.0


def generate(rng, i):
    angle = (np.pi * rng.random(), 0.0, np.pi / 2, 1e-3)[i % 4]
    C = np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
    if i % 5 == 0:
        C = np.linalg.qr(rng.standard_normal((3, 2)))[0] @ C
    if i % 7 == 0 and abs(np.cos(angle)) > 0.9:
        C = np.sign(C[:1] + 0.5)  # d = 1: equal or opposite tasks
    share = float(rng.choice([0.0, 0.1, 0.5, 0.9, 1.0, rng.random()]))
    return {"C": C, "k": 1, "share": share}


_r, _s = sp.symbols("r s", real=True)
_pi, _D = sp.Symbol("pi", nonnegative=True), sp.Symbol("D", positive=True)
_c1, _c2 = sp.Matrix([1, 0]), sp.Matrix([_r, _s])
_M = _pi * _c1 * _c1.T + (1 - _pi) * _c2 * _c2.T
_RULES = [_s**2 - (1 - _r**2), _D**2 - (1 - 4 * _pi * (1 - _pi) * (1 - _r**2))]


def _reduced(expr):
    """A polynomial modulo s^2 = 1 - r^2 and the definition of D."""
    return sp.reduced(sp.expand(expr), _RULES, _s, _D, _r, _pi)[1]


def eigenvalues_of_the_mixture() -> Step:
    x = sp.Symbol("x", real=True)
    polynomial = (x * sp.eye(2) - _M).det()
    return step(
        "eigenvalues_of_the_mixture",
        r"\det(x - M) = (x - \tfrac{1+D}2)(x - \tfrac{1-D}2), M = \pi c_1c_1^\top + (1-\pi)c_2c_2^\top",
        lambda: identity(_reduced(polynomial - (x - (1 + _D) / 2) * (x - (1 - _D) / 2)), 0),
    )


def best_representation() -> Step:
    """P = (M - (1 - D)/2) / D is a projector, and M P = (1 + D)/2 P: the best w' w."""
    P = _M - (1 - _D) / 2 * sp.eye(2)  # D times the projector
    gaps = [*(P * P - _D * P), *(_M * P - (1 + _D) / 2 * P), P.trace() - _D]
    return step(
        "best_representation",
        r"P = (M - \tfrac{1-D}2)/D has P^2 = P, MP = \tfrac{1+D}2P, \operatorname{tr}P = 1: P = ww^\top",
        *(lambda gap=gap: identity(_reduced(gap), 0) for gap in gaps),
    )


def summed_risk() -> Step:
    P = _M - (1 - _D) / 2 * sp.eye(2)
    fit = (_c1.T * P * _c1)[0] + (_c2.T * P * _c2)[0]  # D times the energy explained
    return step(
        "summed_risk",
        r"R_1 + R_2 = 2 - c_1^\top Pc_1 - c_2^\top Pc_2 = 1 - r^2/D",
        lambda: identity(_reduced(2 * _D - fit - (_D - _r**2)), 0),
    )


def any_representation_is_best_at_zero() -> Step:
    """D = 0 only at r = 0, pi = 1/2: D^2 = r^2 + (1 - r^2)(1 - 2 pi)^2. Then M = I/2 and every unit w explains 1."""
    a, b = sp.symbols("a b", real=True)
    w = sp.Matrix([a, b])
    half = {_r: 0, _pi: sp.Rational(1, 2)}
    explained = sum((w.T * c * c.T * w)[0] for c in (_c1, _c2)).subs(half)
    fit = sp.reduced(sp.expand(explained), [_s**2 - 1, a**2 + b**2 - 1], _s, a, b)[1]
    mixture = _M.subs(half).applyfunc(lambda entry: sp.expand(entry).subs(_s**2, 1))
    return step(
        "any_representation_is_best_at_zero",
        r"D^2 = r^2 + (1-r^2)(1-2\pi)^2 = 0 only at r = 0, \pi = \tfrac12: M = \tfrac12 I, and "
        r"R_1 + R_2 = 2 - w^\top(c_1c_1^\top + c_2c_2^\top)w = 1 for every unit w",
        lambda: identity(_RULES[1], _D**2 - _r**2 - (1 - _r**2) * (1 - 2 * _pi) ** 2),
        *(lambda e=e: identity(e, 0) for e in mixture - sp.eye(2) / 2),
        lambda: identity(2 - fit, 1),
    )


def equal_shares_are_best() -> Step:
    """D >= |r|, with equality at pi = 1/2; D <= 1, with equality at the ends."""
    square = 1 - 4 * _pi * (1 - _pi) * (1 - _r**2)
    return step(
        "equal_shares_are_best",
        r"D^2 - r^2 = (1-r^2)(1-2\pi)^2 \ge 0: R_1 + R_2 \ge 1 - |r|, equal at \pi = \tfrac12; D \le 1",
        lambda: identity(square - _r**2, (1 - _r**2) * (1 - 2 * _pi) ** 2),
        lambda: nonnegative((1 - _r**2) * (1 - 2 * _pi) ** 2, {_r: (-1, 1)}),
        lambda: nonnegative(1 - square, {_r: (-1, 1), _pi: (0, 1)}),
    )


STATEMENT = Statement(
    id="imbalance-linear",
    number=30,
    claim=r"T = 2, k = 1: R_1 + R_2 = 1 - r^2/D, D = \sqrt{1 - 4\pi(1-\pi)(1-r^2)}, least at \pi = \tfrac12",
    source="new",
    relation="==",
    hypotheses=[
        "unit_tasks",
        Hypothesis("two_tasks", "T = 2, k = 1", lambda C, k: C.shape[1] == 2 and k == 1),
        Hypothesis("a_share", r"0 \le \pi \le 1", lambda share: 0 <= share <= 1),
    ],
    sides=sides,
    generate=generate,
    scale="risk",
    tight_at="an equality",
    needed={
        "unit_tasks": {"C": 2 * np.eye(2), "k": 1, "share": 0.5},
        "two_tasks": {"C": np.array([[1.0, 0.6], [0.0, 0.8]]), "k": 2, "share": 0.5},
        "a_share": "a share of the data is one",
    },
    proof=[
        eigenvalues_of_the_mixture(),
        best_representation(),
        summed_risk(),
        any_representation_is_best_at_zero(),
        equal_shares_are_best(),
    ],
    remark="The linear theory cannot produce '90/10 helps both languages': the sum of the risks rises with the "
    "imbalance, from 1 - |r| to 1 - r^2. For any number of tasks and any k: balanced-shares.",
)
