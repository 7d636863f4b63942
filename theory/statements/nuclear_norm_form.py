"""Where the representation has room, the balanced optimum solves a convex problem: nuclear-norm shrinkage.

Setting   any C (d, T), k = min(d, T), ridge >= 0.
Claim     min over W, heads of |C - W' heads|^2 / 2 + ridge (|W|^2 + |heads|^2) / 2 is at most
          |C - X|_F^2 / 2 + ridge |X|_* for every X (d, T), and equals it at X = W' heads.
Tight     there.
Proof     At ridge = 0 the left side is 0, as k = min(d, T) reaches every singular value. Else any X = P s Q' is the
          product of W = sqrt(s) P' and heads = sqrt(s) Q', whose decay is |X|_*. Z = C - W*' heads* has spectral norm
          at most ridge and <Z, A> = ridge |A|_* at A = W*' heads*: no product is better.
Source    Srebro, Rennie, Jaakkola 2004.
"""

import numpy as np

from theory.evidence.lemmas import step
from theory.evidence.symbolic import (
    diagonal,
    dimensions,
    equal,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.representation import optimal_representation
from theory.spectra import schatten
from theory.statement import Hypothesis, Statement, Step
from theory.statements._draws import tasks
from theory.statements._scales import ENERGY
from theory.statements.balanced_optimum import (
    certificate_at_the_optimum,
    dual_certificate,
    loss,
    optimum_is_balanced_and_attains,
)


def attained(C, k, ridge):
    """The loss of the balanced optimum."""
    best = optimal_representation(C, k, ridge=ridge, balanced=True)
    return loss(best.W, best.heads, C, ridge)


def sides(C, k, ridge, X):
    return attained(C, k, ridge), ((C - X) ** 2).sum() / 2 + ridge * schatten(X, 1)


def generate(rng, i):
    """X by singular-value shrinkage, from an SVD of its own, and matrices near it or far."""
    C, _ = tasks(rng, i)
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    ridge = float(sigma[0] * rng.choice([0.0, 0.1, 0.5, 1.2]))
    X = (left * np.maximum(sigma - ridge, 0)) @ right
    X = X + sigma[0] * (0.0, 1e-4, 1.0)[i % 3] * rng.standard_normal(C.shape)
    return {"C": C, "k": min(C.shape), "ridge": ridge, "X": X}


def products_cover_all_matrices() -> Step:
    """A = diag(sqrt(s)) for X = P s Q': a product with |X|_* as its decay, so that the certificate bounds X too."""
    d, T, r = dimensions("d T r")
    P, Q, A = matrix("P", d, r), matrix("Q", T, r), diagonal("A", r)
    W, heads = A @ P.T, A @ Q.T
    rules = [orthonormal_rows(P.T), orthonormal_rows(Q.T)]
    return step(
        "products_cover_all_matrices",
        r"X = P s Q^\top = W^\top\Gamma with W = \sqrt{s}P^\top, \Gamma = \sqrt{s}Q^\top, and "
        r"\tfrac12(\|W\|^2+\|\Gamma\|^2) = \sum_i s_i = \|X\|_*",
        lambda: equal(W.T @ heads, P @ A @ A @ Q.T),
        lambda: equal((frob2(W) + frob2(heads)) / 2, trace(A @ A), rules),
    )


def nothing_is_lost_without_a_ridge() -> Step:
    """At ridge = 0 and k = min(d, T) the products reach C itself."""
    d, T, r = dimensions("d T r")
    U, V, root = matrix("U", d, r), matrix("V", T, r), diagonal("root(D)", r)
    W, heads = root @ U.T, root @ V.T
    return step(
        "nothing_is_lost_without_a_ridge",
        r"\lambda = 0, k = \min(d,T): C - W^\top\Gamma = 0 for W = \sqrt{\Sigma}U^\top, "
        r"\Gamma = \sqrt{\Sigma}V^\top, and 0 \le \tfrac12\|C-X\|^2",
        lambda: equal(frob2(U @ root @ root @ V.T - W.T @ heads), 0),
    )


_C = np.diag([3.0, 1.0])

STATEMENT = Statement(
    id="nuclear-norm-form",
    number=26,
    claim=r"k = \min(d,T): \min_{W,\Gamma} \tfrac12\|C-W^\top\Gamma\|^2 + \tfrac\lambda2(\|W\|^2+\|\Gamma\|^2) "
    r"\le \tfrac12\|C-X\|_F^2 + \lambda\|X\|_*",
    source="Srebro, Rennie, Jaakkola 2004",
    hypotheses=[
        Hypothesis("full_width", r"k = \min(d,T)", lambda C, k: k == min(C.shape)),
        Hypothesis("penalty", r"\lambda \ge 0", lambda ridge: ridge >= 0),
    ],
    sides=sides,
    generate=generate,
    # At ridge = 0 both sides vanish up to the rounding of |C|^2.
    scale=ENERGY,
    tight_at={"C": _C, "k": 2, "ridge": 0.5, "X": np.diag([2.5, 0.5])},
    needed={
        "full_width": {"C": _C, "k": 1, "ridge": 0.5, "X": np.diag([2.5, 0.5])},
        "penalty": "the loss has no minimum below 0",
    },
    proof=[
        products_cover_all_matrices(),
        optimum_is_balanced_and_attains(),
        certificate_at_the_optimum(),
        dual_certificate(),
        nothing_is_lost_without_a_ridge(),
    ],
    remark="k >= the number of sigma_i > ridge is enough. The tests hold it against semidefinite programs, whose "
    "primal and dual values enclose the minimum.",
)
