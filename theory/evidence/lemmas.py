"""Lemmas that several proofs rest on, each a step checked for all shapes, and the optimum in letters.

Every inequality here is an identity whose terms are squares, or products of numbers that are >= 0 by hypothesis. The
scope "all d, T, k" means sizes of any kind: an n stands for d or T.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import NamedTuple

import sympy as sp

from theory.evidence.certificates import All, Citation
from theory.evidence.scalars import identity
from theory.evidence.symbolic import (
    Definition,
    Matrix,
    Rule,
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    symmetric,
    trace,
)
from theory.statement import Step, Verdict


def step(name: str, says: str, *checks: Callable[[], Verdict]) -> Step:
    """A step that holds if every check is Checked, in the scope and under the hypotheses of all of them together."""
    return Step(name, says, All(checks))


@dataclass(frozen=True)
class Lemma:
    """A lemma that may be cited: what it takes for granted beyond its rules, and its proof."""

    conditions: tuple[str, ...]
    prove: Callable[[], Verdict]


LEMMAS: dict[str, Lemma] = {}
"""By name."""


def lemma(*conditions: str) -> Callable[[Callable[[], Step]], Callable[[], Step]]:
    """Make a step one that may be cited; what the identities in it do not say of the letters are its conditions."""

    def cited(build: Callable[[], Step]) -> Callable[[], Step]:
        LEMMAS[build.__name__] = Lemma(conditions, lambda: build().check())

        @wraps(build)
        def citation() -> Step:
            return replace(build(), check=Citation(build.__name__))

        return citation

    return cited


# --- the optimum -----------------------------------------------------------------------------------------------------


class Optimum(NamedTuple):
    """C = U D V' with r = min(d, T) singular values; W and heads the orthonormal optimum, K (r, k) picks the first k.

    J = K K' is diagonal with k ones, then zeros: tr(J D D) is the sum of the k largest sigma^2.
    """

    C: Matrix
    W: Matrix
    heads: Matrix
    U: Matrix
    D: Matrix
    V: Matrix
    K: Matrix
    J: Matrix
    rules: Sequence[Rule | Definition]

    @property
    def kept(self) -> sp.Expr:
        """sum_{i<=k} sigma_i^2 = T rho_k."""
        return trace(self.J @ self.D @ self.D)

    @property
    def lost(self) -> sp.Expr:
        """sum_{i>k} sigma_i^2."""
        return trace(self.D @ self.D) - self.kept


def optimum() -> Optimum:
    """The singular value decomposition and the optimum read off it, for all d, T, k and r."""
    d, T, k, r = dimensions("d T k r")
    U, V, K = matrix("U", d, r), matrix("V", T, r), matrix("K", r, k)
    D, J = diagonal("D", r), diagonal("J", r)
    rules = [Definition("singular values", (U, D, V)), Definition("selection", (K, J))]
    return Optimum(U @ D @ V.T, K.T @ U.T, K.T @ D @ V.T, U, D, V, K, J, rules)


@lemma()
def optimum_attains() -> Step:
    """W = U_k' has orthonormal rows, its heads are W C, and W' heads misses exactly the singular values beyond k."""
    o = optimum()
    return step(
        "optimum_attains",
        r"W = U_k^\top has W W^\top = I, W C = \Gamma, \|C - W^\top\Gamma\|^2 = \sum_{i>k}\sigma_i^2, "
        r"\|\Gamma\|^2 = \sum_{i\le k}\sigma_i^2",
        lambda: equal(o.W @ o.W.T, eye(o.W.rows), o.rules),
        lambda: equal(o.W @ o.C, o.heads, o.rules),
        lambda: equal(frob2(o.C - o.W.T @ o.heads), o.lost, o.rules),
        lambda: equal(frob2(o.heads), o.kept, o.rules),
    )


@lemma()
def orthonormal_expansion() -> Step:
    """With W W' = I the risk is what W misses of C, plus the distance of the heads from W C."""
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    return step(
        "orthonormal_expansion",
        r"W W^\top = I: \|C - W^\top\Gamma\|^2 = \|C\|^2 - \|WC\|^2 + \|\Gamma - WC\|^2",
        lambda: equal(
            frob2(C - W.T @ heads),
            frob2(C) - frob2(W @ C) + frob2(heads - W @ C),
            [orthonormal_rows(W)],
        ),
    )


# --- Ky Fan's maximum principle --------------------------------------------------------------------------------------


@lemma()
def psd_product() -> Step:
    """Positive semidefinite matrices have a product of trace >= 0."""
    m, n, p = dimensions("m n p")
    A, B = matrix("A", m, n), matrix("B", n, p)
    return step(
        "psd_product",
        r"\operatorname{tr}(A^\top A \, B B^\top) = \|AB\|_F^2 \ge 0",
        lambda: equal(trace(A.T @ A @ B @ B.T), frob2(A @ B)),
    )


@lemma()
def orthonormal_rows_contract() -> Step:
    """P = W' W lies between 0 and I and has trace k, if W (k, d) has orthonormal rows."""
    d, k = dimensions("d k")
    W, x = matrix("W", k, d), matrix("x", d, 1)
    rule = [orthonormal_rows(W)]
    return step(
        "orthonormal_rows_contract",
        r"W W^\top = I: P = W^\top W has \operatorname{tr} P = k, x^\top P x = \|Wx\|^2, "
        r"\|x\|^2 - \|Wx\|^2 = \|x - W^\top W x\|^2",
        lambda: equal(trace(W.T @ W), k, rule),
        lambda: equal(frob2(x) - frob2(W @ x), frob2(x - W.T @ W @ x), rule),
    )


@lemma("0 <= P <= I, tr P = k")
def ky_fan_maximum_principle() -> Step:
    """max tr(G P) over 0 <= P <= I, tr P = k is the sum of the k largest eigenvalues of the symmetric G.

    G = V L V' and Q = V' P V. J picks the k largest of L, z = lambda_k: both products are of matrices >= 0.
    """
    (n,) = dimensions("n")
    V, L, J = matrix("V", n, n), diagonal("L", n), diagonal("J", n)
    P, z = symmetric("P", n), sp.Symbol("z", real=True)
    rules = [Definition("eigenvalues", (V, L)), Definition("projector", (J,))]
    G, Q = V @ L @ V.T, V.T @ P @ V
    above, below = (L - z * eye(n)) @ J, (z * eye(n) - L) @ (eye(n) - J)
    return step(
        "ky_fan_maximum_principle",
        r"\sum_{i\le k}\lambda_i(G) - \operatorname{tr}(GP) = \sum_{i\le k}(\lambda_i-\lambda_k)(1-q_i) + "
        r"\sum_{i>k}(\lambda_k-\lambda_i)q_i \ge 0, \quad q_i = (V^\top P V)_{ii} \in [0, 1], \sum_i q_i = k; "
        r"equal at P = V_k V_k^\top",
        # The last term vanishes, as tr P = tr J = k; it is >= 0 if G >= 0 and only tr P <= k is known.
        lambda: equal(
            trace(L @ J) - trace(G @ P),
            trace(above @ (eye(n) - Q)) + trace(below @ Q) + z * (trace(J) - trace(P)),
            rules,
        ),
        lambda: equal(trace(G @ V @ J @ V.T), trace(L @ J), rules),
        psd_product().check,
    )


@lemma("B B' = I")
def ky_fan_norm_maximum() -> Step:
    """sum_{i<=k} sigma_i(C) is the maximum of tr(A C B') over A (k, d), B (k, T) with orthonormal rows."""
    d, T, k, r = dimensions("d T k r")
    A, B = matrix("A", k, d), matrix("B", k, T)
    U, V, root = matrix("U", d, r), matrix("V", T, r), diagonal("root(D)", r)
    x, o = matrix("x", r, 1), optimum()
    D, a, b = root @ root, A @ U, B @ V
    factors = [Definition("singular values", (U, root, V))]
    return step(
        "ky_fan_norm_maximum",
        r"\operatorname{tr}(A C B^\top) \le \tfrac12[\operatorname{tr}(\Sigma\, U^\top A^\top A U) + "
        r"\operatorname{tr}(\Sigma\, V^\top B^\top B V)], each \le \sum_{i\le k}\sigma_i; equal at A = U_k^\top, "
        r"B = V_k^\top",
        lambda: equal(
            (frob2(a @ root) + frob2(b @ root)) / 2 - trace(A @ U @ D @ V.T @ B.T),
            frob2((a - b) @ root) / 2,
            factors,
        ),
        # Q = U'A'AU lies in [0, I], with a trace of at most k: the maximum principle for G = D.
        lambda: equal(
            frob2(x) - frob2(a @ x),
            frob2(U @ x - A.T @ A @ U @ x),
            [orthonormal_rows(A), *factors],
        ),
        lambda: equal(k - frob2(a), frob2(A - A @ U @ U.T), [orthonormal_rows(A), *factors]),
        ky_fan_maximum_principle().check,
        lambda: equal(trace(o.W @ o.C @ o.V @ o.K), trace(o.J @ o.D), o.rules),
    )


# --- maxima and norms ------------------------------------------------------------------------------------------------


@lemma("w >= 0, f the maximum of linear functions, p among them")
def jensen() -> Step:
    """A maximum of linear functions is convex: at a mean it is at most the mean of its values.

    Column t of M is the argument x_t, f_t its maximum, p the linear function that is greatest at the mean M w.
    """
    n, T = dimensions("n T")
    M, p, w, f = matrix("M", n, T), matrix("p", n, 1), matrix("w", T, 1), matrix("f", T, 1)
    return step(
        "jensen",
        r"\sum_t w_t f(x_t) - \langle p, \textstyle\sum_t w_t x_t\rangle = "
        r"\sum_t w_t\,(f(x_t) - \langle p, x_t\rangle) \ge 0 for every p over which f is the maximum",
        lambda: equal(trace(f.T @ w) - trace(p.T @ M @ w), trace((f - M.T @ p).T @ w)),
    )


@lemma()
def cauchy_schwarz() -> Step:
    """|<A, B>| <= |A|_F |B|_F, equal iff A and B are parallel."""
    m, n = dimensions("m n")
    A, B = matrix("A", m, n), matrix("B", m, n)
    inner = trace(A.T @ B)
    return step(
        "cauchy_schwarz",
        r"\|B\|^2(\|A\|^2\|B\|^2 - \langle A,B\rangle^2) = \|\,\|B\|^2 A - \langle A,B\rangle B\|^2 \ge 0",
        lambda: equal(frob2(B) * (frob2(A) * frob2(B) - inner**2), frob2(frob2(B) * A - inner * B)),
    )


@lemma()
def triangle_inequality() -> Step:
    """|A + B|_F <= |A|_F + |B|_F."""
    m, n = dimensions("m n")
    A, B = matrix("A", m, n), matrix("B", m, n)
    a, b, c = sp.symbols("a b c", real=True)
    return step(
        "triangle_inequality",
        r"(\|A\| + \|B\|)^2 - \|A+B\|^2 = 2(\|A\|\|B\| - \langle A,B\rangle) \ge 0 by Cauchy-Schwarz",
        lambda: equal(frob2(A + B), frob2(A) + frob2(B) + 2 * trace(A.T @ B)),
        lambda: identity((a + b) ** 2 - (a**2 + b**2 + 2 * c), 2 * (a * b - c)),
        cauchy_schwarz().check,
    )
