"""Why the best energies shrink singular values: the proof that balanced weights and noise-aware ones share.

Both minimise |C - W' heads|^2 + q |heads|^2 plus a price mu |W|^2: with q = mu = ridge it is twice the loss of
statement 26, with q = d sigma^2 and mu the multiplier of |W|^2 <= k the Lagrangian of statement 34. For every d, T, k
the minimum is |C|^2 - sum_{i<=k} psi(sigma_i^2), psi(m) = (sqrt(m) - level)_+^2, level = sqrt(mu q).
"""

import sympy as sp

from theory.evidence.lemmas import ky_fan_maximum_principle, orthonormal_rows_contract, step
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import (
    Definition,
    Given,
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    symmetric,
    trace,
)
from theory.statement import Step

q = sp.Symbol("q", positive=True)


def shrinkage() -> list[Step]:
    """The lower bound, step by step, for q, mu > 0."""
    return [
        heads_fitted(),
        modes_of_the_weights(),
        price_of_each_mode(),
        shrunk_energy_is_convex(),
        jensen_in_the_eigenbasis(),
        orthonormal_rows_contract(),
        ky_fan_maximum_principle(),
    ]


def heads_fitted() -> Step:
    """Complete the square in the heads, H = (W W' + q I)^-1: what is left is q tr C' (W' W + q I)^-1 C."""
    d, T, k = dimensions("d T k")
    C, W, heads, H = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), symmetric("H", k)
    inverse = [(W @ W.T @ H, eye(k) - q * H)]
    left, away = eye(d) - W.T @ H @ W, heads - H @ W @ C
    return step(
        "heads_fitted",
        r"H = (WW^\top+qI)^{-1}: \|C-W^\top\Gamma\|^2 + q\|\Gamma\|^2 = \operatorname{tr} C^\top F C + "
        r"\|W^\top(\Gamma-HWC)\|^2 + q\|\Gamma-HWC\|^2, F = I - W^\top HW = q(W^\top W+qI)^{-1}",
        lambda: equal(
            frob2(C - W.T @ heads) + q * frob2(heads),
            trace(C.T @ left @ C) + frob2(W.T @ away) + q * frob2(away),
            inverse,
        ),
        lambda: equal((W.T @ W + q * eye(d)) @ left, q * eye(d), inverse),
    )


def modes_of_the_weights() -> Step:
    """In an eigenbasis of W' W the fitted risk and the energy of W are sums over modes."""
    d, T, k = dimensions("d T k")
    C, W, X = matrix("C", d, T), matrix("W", k, d), matrix("X", d, d)
    e, F = diagonal("e", d), diagonal("F", d)
    basis = Definition("eigenvalues", (X.T, e))
    rules: list[Given] = [basis, (e @ F, q * eye(d) - q * F)]
    return step(
        "modes_of_the_weights",
        r"W^\top W = \sum_j e_j x_j x_j^\top, at most k of them nonzero: \operatorname{tr} C^\top F C = "
        r"\sum_j \tfrac{q}{e_j+q} m_j, m_j = x_j^\top CC^\top x_j, and \|W\|^2 = \sum_j e_j",
        lambda: equal((X.T @ e @ X + q * eye(d)) @ X.T @ F @ X, q * eye(d), rules),
        lambda: equal(trace(C.T @ X.T @ F @ X @ C), trace(F @ X @ C @ C.T @ X.T)),
        lambda: equal(frob2(W @ X.T), frob2(W), [basis]),
        lambda: equal(frob2(W @ X.T), trace(e), [(X @ W.T @ W @ X.T, e)]),
    )


def price_of_each_mode() -> Step:
    """q m / (e + q) + mu e >= m - psi(m), with equality at e = (sqrt(q m / mu) - q)_+; m = a^2, mu = level^2 / q."""
    a, level, e, g = sp.symbols("a level e g", nonnegative=True)
    t = e + q
    price = q * a**2 / t + level**2 * e / q
    below = price - a**2
    return step(
        "price_of_each_mode",
        r"a \ge \ell: \tfrac{q a^2}{e+q} + \tfrac{\ell^2}{q}e - a^2 + (a-\ell)^2 = "
        r"\tfrac{(qa-\ell(e+q))^2}{q(e+q)} \ge 0; a \le \ell: \tfrac{q a^2}{e+q} + \tfrac{\ell^2}{q}e - a^2 = "
        r"\tfrac{e(\ell^2e + q(\ell^2-a^2))}{q(e+q)} \ge 0; both 0 at e = 0 without the bonus \psi",
        lambda: identity(price - a**2 + (a - level) ** 2, (q * a - level * t) ** 2 / (q * t)),
        lambda: nonnegative(
            (q * a - level * t) ** 2 / (q * t), squares=[(1 / (q * t), q * a - level * t)]
        ),
        lambda: identity(below, e * (level**2 * e + q * (level**2 - a**2)) / (q * t)),
        lambda: nonnegative(below.subs(level, a + g)),
        lambda: identity(below.subs(e, 0), 0),
    )


def shrunk_energy_is_convex() -> Step:
    """psi(a^2) = (a - level)_+^2 lies above its tangent at b^2, of slope (1 - level/b)_+ >= 0, case by case."""
    a, b, level, x, y = sp.symbols("a b level x y", positive=True)
    slope = 1 - level / b
    beyond, within = (a - level) ** 2 - (b - level) ** 2, -((b - level) ** 2)
    tangent = slope * (a**2 - b**2)
    return step(
        "shrunk_energy_is_convex",
        r"b \ge \ell: \psi(a^2) - \psi(b^2) - (1-\tfrac{\ell}{b})(a^2-b^2) = \tfrac{\ell}{b}(a-b)^2 if a \ge \ell, "
        r"\tfrac{(b-\ell)(\ell b-a^2)}{b} if a \le \ell; b \le \ell: \psi(b^2) = 0 with tangent 0; the slope is \ge 0",
        lambda: identity(beyond - tangent, level * (a - b) ** 2 / b),
        lambda: identity(within - tangent, (b - level) * (level * b - a**2) / b),
        lambda: nonnegative((within - tangent).subs({b: level + y}).subs({level: a + x})),
        lambda: nonnegative(slope.subs(b, level + y)),
    )


def jensen_in_the_eigenbasis() -> Step:
    """m = sum_i p_i lambda_i with weights p_i = <x, u_i>^2 that sum to 1: psi(m) <= sum_i p_i psi(lambda_i)."""
    (n,) = dimensions("n")
    p, values, psi, ones = (matrix(name, n, 1) for name in ("p", "λ", "ψ", "1"))
    here, slope = sp.symbols("psi_m slope", real=True)
    m = trace(p.T @ values)
    gaps = psi - here * ones - slope * (values - m * ones)
    return step(
        "jensen_in_the_eigenbasis",
        r"m = \sum_i p_i\lambda_i, \sum_i p_i = 1: \sum_i p_i\psi(\lambda_i) - \psi(m) = "
        r"\sum_i p_i[\psi(\lambda_i)-\psi(m)-\psi'(m)(\lambda_i-m)] \ge 0; summed over k modes the weights are "
        r"P = \sum_j x_j x_j^\top, and \operatorname{tr}(\psi(CC^\top)P) is what Ky Fan bounds",
        lambda: equal(trace(p.T @ psi) - here, trace(p.T @ gaps), [(p.T @ ones, eye(1))]),
    )
