"""Theorem 2.7 of D22, read for d = C0 T^3: Gaussian tasks lower the slope, but less surely than exp(-c sqrt d) says.

Setting   C (d, T+1) iid N(0, 1/d), C_T its first T columns, d = C0 T^3, k = 1.
Claim     With probability >= 1 - exp(-Omega(sqrt d)) the noisy risk of C is below that of C_T from some noise level on:
          P(the slope does not drop) <= exp(-c sqrt d). False for every C0 and c once T is large: the probability is at
          least exp(-O(d/T^2)), and d/T^2 grows like d^(1/3).
Witness   C0 = 16, c = 1/8, T = 1000.
Proof     lambda_1(C_T^T C_T) <= m and |c_{T+1}|^2 >= m (T+1)/T imply rho_1(C_{T+1}) >= |c_{T+1}|^2/(T+1) >= m/T >=
          rho_1(C_T); the two are independent. The first has probability >= 1 - 1/e for
          m = (1 + sqrt(T/d) + sqrt(2/d))^2 (Davidson and Szarek). d |c_{T+1}|^2 is chi-square with d = 2a degrees of
          freedom, which exceeds 2x with probability >= x^(a-1) e^-x / Gamma(a). With Stirling's bound and
          x = a (1 + delta) the logarithm is at least -a delta^2/2 - O(log d), where T delta -> 1 + 2/sqrt(C0): of order
          -T against -T^(3/2).
Source    Daras et al. 2022, Theorem 2.7; the refutation of its probability is new.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, limit, nonnegative
from theory.evidence.symbolic import equal, matrix, trace
from theory.statement import Statement, Step


def excess(T: Any, C0: Any, sqrt: Callable[[Any], Any]) -> Any:
    """delta: d (1 + delta) is what the added task's chi-square has to reach, for d = C0 T^3."""
    d = C0 * T**3
    return (1 + sqrt(T / d) + sqrt(2 / d)) ** 2 * (T + 1) / T - 1


def sides(T: Any, C0: Any, c: Any) -> tuple[Any, Any]:
    """A lower bound on log P(the slope does not drop), and the upper bound claimed."""
    d, delta = C0 * T**3, excess(T, C0, np.sqrt)
    a = d / 2
    # 2 pi < 7 and log(1 - 1/e) > -1.
    stirling = np.log(7 * a) / 2 + 1 / (12 * a)
    return (a - 1) * np.log(1 + delta) - a * delta - stirling - 1, -c * np.sqrt(d)


def event_of_no_drop() -> Step:
    T, m, over, below = sp.symbols("T m over below", nonnegative=True)
    d, n = sp.symbols("d n", integer=True, positive=True)
    C, e = matrix("C", d, n), matrix("e", n, 1)
    return step(
        "event_of_no_drop",
        r"\|c_{T+1}\|^2 = \langle e, C^\top C e\rangle \le \lambda_1(C^\top C): at \|c_{T+1}\|^2 \ge m\tfrac{T+1}T, "
        r"\lambda_1(C_T^\top C_T) \le m, \tfrac{\|c_{T+1}\|^2}{T+1} - \rho_1(C_T) \ge 0",
        lambda: equal(trace((C @ e).T @ (C @ e)), trace(e.T @ C.T @ C @ e)),
        # |c|^2 = m (T+1)/T + over; lambda_1 = m - below.
        lambda: identity(
            (m * (T + 1) / T + over) / (T + 1) - (m - below) / T, over / (T + 1) + below / T
        ),
        lambda: nonnegative(over / (T + 1) + below / T),
    )


def chi_square_tail() -> Step:
    """t^(a-1) >= x^(a-1) under the integral for a >= 1; the logarithm after Stirling's Gamma(a+1) <= s (a/e)^a."""
    x, t, a, delta = sp.symbols("x t a delta", positive=True)
    log_s = sp.Symbol("log_s", real=True)
    at = a * (1 + delta)
    log_gamma = log_s + a * sp.log(a) - a - sp.log(a)
    log_tail = (a - 1) * (sp.log(a) + sp.log(1 + delta)) - at - log_gamma
    return step(
        "chi_square_tail",
        r"\int_x^\infty t^{a-1}e^{-t}dt \ge x^{a-1}\int_x^\infty e^{-t}dt = x^{a-1}e^{-x}; at x = a(1+\delta), with "
        r"\log\Gamma(a+1) \le \log s + a\log a - a: \log P \ge (a-1)\log(1+\delta) - a\delta - \log s, "
        r"s = \sqrt{2\pi a}\,e^{1/(12a)}",
        lambda: identity(sp.integrate(sp.exp(-t), (t, x, sp.oo)), sp.exp(-x)),
        lambda: identity(log_tail, (a - 1) * sp.log(1 + delta) - a * delta - log_s),
    )


def logarithm_below() -> Step:
    delta = sp.Symbol("delta", nonnegative=True)
    gap = sp.log(1 + delta) - delta + delta**2 / 2
    return step(
        "logarithm_below",
        r"\log(1+\delta) \ge \delta - \delta^2/2: equal at 0, and the difference has the derivative "
        r"\delta^2/(1+\delta) \ge 0",
        lambda: identity(gap.subs(delta, 0), 0),
        lambda: identity(sp.diff(gap, delta), delta**2 / (1 + delta)),
        lambda: nonnegative(delta**2 / (1 + delta)),
    )


def slower_than_claimed() -> Step:
    """r is sqrt(C0), s is sqrt(T)."""
    s, r, c = sp.symbols("s r c", positive=True)
    T, d = s**2, r**2 * s**6
    delta = excess(T, r**2, sp.sqrt)
    return step(
        "slower_than_claimed",
        r"d = C_0T^3: T\delta \to 1 + 2/\sqrt{C_0}, \tfrac{d\delta^2}{4T} \to \tfrac{(2+\sqrt{C_0})^2}4, "
        r"\tfrac{\log d}T \to 0, but \tfrac{c\sqrt d}{T} = c\sqrt{C_0T} \to \infty",
        lambda: limit(T * delta, s, sp.oo, 1 + 2 / r, "-"),
        lambda: limit(sp.expand(d * delta**2 / (4 * T)), s, sp.oo, (2 + r) ** 2 / 4, "-"),
        lambda: limit(sp.log(d) / T, s, sp.oo, 0, "-"),
        lambda: identity(c * sp.sqrt(d) / T, c * r * s),
    )


STATEMENT = Statement(
    id="d22-theorem-2-7",
    claim=r"C \sim N(0, 1/d), d = C_0T^3 \Rightarrow "
    r"P(\rho_k(C_{T+1}) \ge \rho_k(C_T)) \le e^{-c\sqrt d}",
    source="Daras et al. 2022, Theorem 2.7",
    sides=sides,
    # The claim is about a law: no C of its own, only k = 1.
    as_refuted={"C": np.zeros((1, 1)), "k": 1, "T": 1000.0, "C0": 16.0, "c": 0.125},
    proof=[event_of_no_drop(), chi_square_tail(), logarithm_below(), slower_than_claimed()],
    remark="That the slope drops with a probability that tends to 1 at d = Omega(T^3) is right: statement 10 has the "
    "constants. The exponent is d/T^2 up to a constant, and reaches sqrt(d) only from d = Omega(T^4) on. lhs is a "
    "lower bound on the logarithm of the probability for k = 1 and the last task, by Davidson and Szarek's theorem and "
    "Stirling's bound, both cited.",
)
