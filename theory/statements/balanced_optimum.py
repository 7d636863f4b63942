"""With weight decay on both layers the best weights are balanced, and singular values shrink by the ridge.

Setting   any C (d, T), 1 <= k <= min(d, T), ridge >= 0; L(W, heads) = |C - W' heads|^2 / 2 + ridge (|W|^2 +
          |heads|^2) / 2.
Claim     L is least at s_i = (sigma_i - ridge)_+, W = sqrt(s) U_k', heads = sqrt(s) V_k': no W (k, d), heads (k, T) do
          better than what `optimal_representation(C, k, ridge=..., balanced=True)` returns.
Tight     there.
Proof     Refit the heads, read W' W in its eigenbasis, bound the price of each mode, then Jensen and Ky Fan (see
          _shrinkage, with q = mu = ridge); ridge = 0 is the limit. Where sigma_{k+1} <= ridge the problem is convex in
          disguise: Z = C - W' heads, of spectral norm at most ridge, certifies the optimum of the nuclear-norm problem.
Source    new in this form; the convex form is Srebro, Rennie, Jaakkola 2004.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import optimum, step
from theory.evidence.scalars import identity, limit
from theory.evidence.symbolic import (
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.representation import optimal_representation
from theory.statement import Hypothesis, Statement, Step
from theory.statements._draws import tasks
from theory.statements._scales import ENERGY
from theory.statements._shrinkage import shrinkage


def loss(W, heads, C, ridge):
    """|C - W' heads|^2 / 2 + ridge (|W|^2 + |heads|^2) / 2."""
    decay = (W**2).sum() + (heads**2).sum()
    return ((C - W.T @ heads) ** 2).sum() / 2 + ridge / 2 * decay


def sides(C, k, ridge, W, heads):
    best = optimal_representation(C, k, ridge=ridge, balanced=True)
    return loss(best.W, best.heads, C, ridge), loss(W, heads, C, ridge)


def generate(rng, i):
    """The optimum as statement 26 prints it, from an SVD of its own, and weights near it or far."""
    C, k = tasks(rng, i)
    U, sigma, Vt = np.linalg.svd(C, full_matrices=False)
    ridge = float(sigma[0] * rng.choice([0.0, 1e-3, 0.2, 0.7, 1.1]))
    root = np.sqrt(np.maximum(sigma[:k] - ridge, 0))[:, None]
    W, heads = root * U[:, :k].T, root * Vt[:k]
    away = np.sqrt(sigma[0]) * (0.0, 1e-4, 0.1, 1.0)[i % 4]
    W = W + away * rng.standard_normal(W.shape)
    return {
        "C": C,
        "k": k,
        "ridge": ridge,
        "W": W,
        "heads": heads + away * rng.standard_normal(heads.shape),
    }


def optimum_is_balanced_and_attains() -> Step:
    """A = diag(sqrt(s)): 2 L is |C|^2 plus a sum over the first k modes, each -(sigma - ridge)_+^2."""
    o = optimum()
    A, ridge = diagonal("A", o.D.rows), sp.Symbol("ridge", nonnegative=True)
    s, excess = sp.symbols("s excess", real=True)
    W, heads = o.K.T @ A @ o.U.T, o.K.T @ A @ o.V.T
    s_ = A @ A
    sigma = ridge + excess
    per_mode = s**2 - 2 * s * sigma + 2 * ridge * s
    return step(
        "optimum_is_balanced_and_attains",
        r"WW^\top = \Gamma\Gamma^\top, 2L = \|C\|^2 + \sum_{i\le k}(s_i^2 - 2s_i\sigma_i + 2\lambda s_i) "
        r"= \|C\|^2 - \sum_{i\le k}(\sigma_i-\lambda)_+^2",
        lambda: equal(W @ W.T, heads @ heads.T, o.rules),
        lambda: equal(
            frob2(o.C - W.T @ heads) + ridge * (frob2(W) + frob2(heads)),
            trace(o.D @ o.D) + trace(o.J @ (s_ @ s_ - 2 * s_ @ o.D + 2 * ridge * s_)),
            o.rules,
        ),
        lambda: identity(per_mode.subs(s, excess), -(excess**2)),
        lambda: identity(per_mode.subs(s, 0), 0),
    )


def no_ridge_is_the_limit() -> Step:
    """At fixed weights L is linear in the ridge, and the bound is continuous: ridge = 0 inherits it."""
    sigma, ridge = sp.symbols("sigma ridge", positive=True)
    fit, decay = sp.symbols("fit decay", nonnegative=True)
    return step(
        "no_ridge_is_the_limit",
        r"L \to \tfrac12\|C-W^\top\Gamma\|^2 and (\sigma-\lambda)^2 \to \sigma^2 as \lambda \to 0: inequalities "
        r"survive",
        lambda: limit(fit / 2 + ridge * decay / 2, ridge, 0, fit / 2),
        lambda: limit((sigma - ridge) ** 2, ridge, 0, sigma**2),
    )


def dual_certificate() -> Step:
    """Z with Z'Z <= ridge^2 I and <Z, A> = ridge |A|_* proves A = C - Z best among all products, of any k."""
    d, T, k = dimensions("d T k")
    A, Z = matrix("A", d, T), matrix("Z", d, T)
    W, heads = matrix("W", k, d), matrix("Γ", k, T)
    ridge, nuclear = sp.symbols("ridge nuclear", positive=True)
    penalty = ridge / 2 * (frob2(W) + frob2(heads))
    spare = penalty - trace(Z.T @ W.T @ heads)
    # <Z, A> = ridge |A|_* enters as the value of the certified optimum.
    least = frob2(Z) / 2 + ridge * nuclear
    given = frob2(A + Z - W.T @ heads) / 2 + penalty
    return step(
        "dual_certificate",
        r"C = A + Z, \langle Z,A\rangle = \lambda\|A\|_*: L - \tfrac12\|Z\|^2 - \lambda\|A\|_* = "
        r"\tfrac12\|A-W^\top\Gamma\|^2 + \tfrac\lambda2\|W-\Gamma Z^\top/\lambda\|^2 + "
        r"\tfrac1{2\lambda}\operatorname{tr}\Gamma(\lambda^2I-Z^\top Z)\Gamma^\top, all \ge 0 if \|Z\|_2 \le \lambda",
        lambda: identity(
            given - least,
            frob2(A - W.T @ heads) / 2 + spare + trace(Z.T @ A) - ridge * nuclear,
        ),
        lambda: equal(
            spare,
            ridge / 2 * frob2(W - (1 / ridge) * heads @ Z.T)
            + trace(heads @ (ridge**2 * eye(T) - Z.T @ Z) @ heads.T) / (2 * ridge),
        ),
    )


def certificate_at_the_optimum() -> Step:
    """Z = C - W' heads = U M V', M = diag(min(sigma, ridge)), where k reaches all sigma_i > ridge."""
    d, T, r = dimensions("d T r")
    U, V, x = matrix("U", d, r), matrix("V", T, r), matrix("x", T, 1)
    s, M = diagonal("s", r), diagonal("M", r)
    ridge = sp.Symbol("ridge", nonnegative=True)
    above = sp.Symbol("above", nonnegative=True)
    rules = [orthonormal_rows(U.T), orthonormal_rows(V.T), (M @ s, ridge * s)]
    C, A = U @ (M + s) @ V.T, U @ s @ V.T
    Z = C - A
    return step(
        "certificate_at_the_optimum",
        r"\sigma_{k+1} \le \lambda: Z = U M V^\top, M = \min(\Sigma,\lambda), has \|Zx\| = \|MV^\top x\| and, as "
        r"s_i = 0 where \sigma_i < \lambda, \langle Z, A\rangle = \sum_i M_i s_i = \lambda\|A\|_*",
        lambda: equal(frob2(Z @ x), frob2(M @ V.T @ x), rules),
        lambda: equal(trace(Z.T @ A), ridge * trace(s), rules),
        # sigma = ridge + above: s = above and M = sigma - s = ridge. (Below the ridge s = 0 and M = sigma.)
        lambda: identity((ridge + above) - above, ridge),
    )


def less_shrunk(C, k, ridge, W, heads):
    """The claim with the singular values shrunk by 0.9 ridge."""
    best = optimal_representation(C, k, ridge=0.9 * ridge, balanced=True)
    return loss(best.W, best.heads, C, ridge), loss(W, heads, C, ridge)


_C = np.diag([3.0, 2.0, 1.0])
_BEST = optimal_representation(_C, 2, ridge=0.5, balanced=True)

STATEMENT = Statement(
    id="balanced-optimum",
    number=26,
    claim=r"\min_{W,\Gamma} \tfrac12\|C - W^\top\Gamma\|^2 + \tfrac\lambda2(\|W\|^2 + \|\Gamma\|^2) is attained at "
    r"s_i = (\sigma_i-\lambda)_+, W = \sqrt{s}\,U_k^\top, \Gamma = \sqrt{s}\,V_k^\top",
    source="new for k < rank; Srebro, Rennie, Jaakkola 2004 for the convex form",
    hypotheses=[Hypothesis("penalty", r"\lambda \ge 0", lambda ridge: ridge >= 0)],
    sides=sides,
    generate=generate,
    # At ridge = 0 and full rank both sides vanish up to the rounding of |C|^2.
    scale=ENERGY,
    tight_at={"C": _C, "k": 2, "ridge": 0.5, "W": _BEST.W, "heads": _BEST.heads},
    needed={
        "penalty": "below 0 there is no minimum to speak of: weights with W' heads = 0 grow without bound"
    },
    proof=[
        *shrinkage(),
        optimum_is_balanced_and_attains(),
        no_ridge_is_the_limit(),
        dual_certificate(),
        certificate_at_the_optimum(),
    ],
    mutants={"less shrunk": less_shrunk},
    remark="Hence the balanced slope |heads|^2/T = (1/T) sum_{i<=k} (sigma_i - ridge)_+. Plain gradient flow from "
    "small balanced weights reaches the ridge = 0 optimum if they are aligned with C (statement 29); from exactly "
    "balanced weights in general it does not: see descent-from-balance.",
)
