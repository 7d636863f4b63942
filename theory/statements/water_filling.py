"""When the noise is known, energy belongs where singular values are large: water-filling beats orthonormality.

Setting   any C (d, T) but 0, S = I, noise sigma N on W, q = d sigma^2 > 0; heads refitted for the noise; |W|_F^2 <= k.
Claim     no such W (k, d) has a lower E R(W + sigma N) than the left singular vectors of C with energies e_i =
          (sigma_i sqrt(q/mu) - q)_+, sum e_i = k: risk (1/T) [sum_{i<=k} sigma_i^2 q/(e_i + q) + sum_{i>k}
          sigma_i^2].
Tight     there; the orthonormal optimum too iff its k singular values are equal.
Proof     Refitted, T E R + mu |W|^2 is at least |C|^2 - sum_{i<=k} (sigma_i - sqrt(mu q))_+^2 (see _shrinkage), for
          every mu > 0. The water level makes this an equality at |W|^2 = k.
Source    new; water-filling is Shannon's.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import optimum, step
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import diagonal, dimensions, equal, expect, eye, frob2, matrix, trace
from theory.representation import optimal_representation
from theory.statement import Hypothesis, Statement, Step
from theory.statements._draws import tasks
from theory.statements._shrinkage import q, shrinkage
from theory.water_filling import refitted_risk, water_filling


def sides(C, k, W, sigma):
    return water_filling(C, k, sigma).risk, refitted_risk(W, C, sigma)


def generate(rng, i):
    """W as printed, from an SVD of its own, near it, orthonormal, or free, scaled to the energy k."""
    C, k = tasks(rng, i)
    sigma = float(rng.choice([0.03, 0.3, 1.0, 10.0]))
    best = water_filling(C, k, sigma).W
    free = rng.standard_normal(best.shape)
    W = (best, best + 1e-4 * free, optimal_representation(C, k).W, free)[i % 4]
    energy = (W**2).sum()
    return {"C": C, "k": k, "W": W * np.sqrt(k / energy), "sigma": sigma}


def noise_is_a_ridge() -> Step:
    """With S = I, noise of variance sigma^2 acts on the heads like a ridge q = d sigma^2 (statement 2)."""
    d, T, k = dimensions("d T k")
    C, W, heads, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    s = sp.Symbol("sigma", nonnegative=True)
    return step(
        "noise_is_a_ridge",
        r"T\,\mathbb{E}R(W+\sigma N,\Gamma) = \|C-W^\top\Gamma\|^2 + d\sigma^2\|\Gamma\|^2",
        lambda: equal(
            expect(frob2(C - (W + s * N).T @ heads), N),
            frob2(C - W.T @ heads) + d * s**2 * frob2(heads),
        ),
    )


def water_filling_attains() -> Step:
    """W = diag(w) U_k', heads = diag(w sigma / (w^2 + q)) V_k', F = q / (w^2 + q): the printed risk and energy."""
    o = optimum()
    w, F = diagonal("G", o.D.rows), diagonal("F", o.D.rows)
    inverse = [*o.rules, (F @ w @ w, q * eye(o.D.rows) - q * F)]
    W, heads = o.K.T @ w @ o.U.T, (1 / q) * (o.K.T @ w @ F @ o.D @ o.V.T)
    a, level = sp.symbols("a level", positive=True)
    energy = q * (a - level) / level
    return step(
        "water_filling_attains",
        r"\|W\|^2 = \sum_{i\le k} w_i^2; \|C-W^\top\Gamma\|^2 + q\|\Gamma\|^2 = \sum_{i\le "
        r"k}\tfrac{q\sigma_i^2}{w_i^2+q} + \sum_{i>k}\sigma_i^2; with \ell = \sqrt{\mu q}, e = \sigma\sqrt{q/\mu} "
        r"- q = \tfrac{q(\sigma-\ell)}{\ell}: \tfrac{q\sigma^2}{e+q} + \mu e = \sigma^2 - (\sigma-\ell)^2",
        lambda: equal(frob2(W), trace(o.J @ w @ w), o.rules),
        lambda: equal(
            frob2(o.C - W.T @ heads) + q * frob2(heads),
            trace(o.J @ F @ o.D @ o.D) + o.lost,
            inverse,
        ),
        lambda: identity(q * a**2 / (energy + q) + level**2 / q * energy, a**2 - (a - level) ** 2),
        lambda: identity(a * sp.sqrt(q / (level**2 / q)) - q, energy),
    )


def water_level_exists() -> Step:
    """The total energy falls from infinity to 0 as the level rises, continuously: some mu gives k."""
    a, level, x = sp.symbols("a level x", positive=True)
    energy = q * (a - level) / level
    return step(
        "water_level_exists",
        r"e(\ell) = (q\sigma/\ell - q)_+ falls in \ell: e(\ell) - e(\ell+x) = q\sigma x/(\ell(\ell+x)) > 0, e \to "
        r"\infty as \ell \to 0, e = 0 at \ell = \sigma",
        lambda: identity(energy - energy.subs(level, level + x), q * a * x / (level * (level + x))),
        lambda: nonnegative(q * a * x / (level * (level + x))),
        lambda: identity(sp.limit(1 / energy, level, 0), 0),
        lambda: identity(energy.subs(level, a), 0),
    )


def lagrangian_bounds() -> Step:
    """|W|^2 <= k: T E R >= [T E R + mu |W|^2] - mu k, and mu k is what water-filling pays."""
    mu, k, used, risk, least = sp.symbols("mu k used risk least", nonnegative=True)
    spare = sp.Symbol("spare", nonnegative=True)
    return step(
        "lagrangian_bounds",
        r"T\mathbb{E}R - [\min - \mu k] = (T\mathbb{E}R + \mu\|W\|^2 - \min) + \mu(k-\|W\|^2) \ge 0",
        lambda: identity(risk - (least - mu * k), (risk + mu * used - least) + mu * (k - used)),
        lambda: nonnegative(mu * spare),
    )


def orthonormal_is_not_best() -> Step:
    """What e = 1 pays beyond the bound, mode by mode: 0 iff a = level (1 + q)/q for every mode, one value for all."""
    a, level, x = sp.symbols("a level x", nonnegative=True)
    price = q * a**2 / (1 + q) + level**2 / q
    idle = (price - a**2).subs(level, a + x)
    return step(
        "orthonormal_is_not_best",
        r"e = 1: \tfrac{q\sigma^2}{1+q} + \mu - \sigma^2 + (\sigma-\ell)^2 = "
        r"\tfrac{(q\sigma-\ell(1+q))^2}{q(1+q)}, 0 only at \sigma = \ell(1+q)/q; idle modes (\sigma \le \ell) pay "
        r"\mu - \sigma^2/(1+q) > 0",
        lambda: identity(
            price - a**2 + (a - level) ** 2, (q * a - level * (1 + q)) ** 2 / (q * (1 + q))
        ),
        lambda: nonnegative(idle),
    )


_C, _SIGMA = np.diag([3.0, 1.0, 0.5]), 0.5

STATEMENT = Statement(
    id="water-filling",
    number=34,
    claim=r"\|W\|_F^2 \le k: \min_\Gamma \mathbb{E}R(W+\sigma N,\Gamma) \ge \tfrac1T[\textstyle\sum_{i\le k}"
    r"\tfrac{q\sigma_i^2}{e_i+q} + \sum_{i>k}\sigma_i^2], e_i = (\sigma_i\sqrt{q/\mu}-q)_+, \sum_i e_i = k, q = "
    r"d\sigma^2",
    source="new",
    hypotheses=[
        # The scaling of W to its energy rounds.
        Hypothesis(
            "energy_at_most_k", r"\|W\|_F^2 \le k", lambda W, k: (W**2).sum() <= k * (1 + 1e-12)
        ),
        Hypothesis("noise", r"\sigma > 0", lambda sigma: sigma > 0),
        "nonzero",
    ],
    sides=sides,
    generate=generate,
    tight_at={"C": _C, "k": 2, "W": water_filling(_C, 2, _SIGMA).W, "sigma": _SIGMA},
    needed={
        "energy_at_most_k": {"C": np.eye(1), "k": 1, "W": 2 * np.eye(1), "sigma": 1.0},
        "nonzero": "not needed for a violation: both sides are 0, but no level gives the e_i the sum k",
        "noise": "not needed: without noise the bound is the best rank-k risk, statement 1",
    },
    proof=[
        noise_is_a_ridge(),
        *shrinkage(),
        water_filling_attains(),
        water_level_exists(),
        lagrangian_bounds(),
        orthonormal_is_not_best(),
    ],
    mutants={
        "orthonormal is best": lambda C, k, W, sigma: (
            refitted_risk(optimal_representation(C, k).W, C, sigma),
            sides(C, k, W, sigma)[1],
        )
    },
    remark="Strictly below the orthonormal choice unless the top k singular values are equal (last step). Modes "
    "below the water, sigma_i <= sqrt(mu q), are given up: strong noise makes the representation narrower.",
)
