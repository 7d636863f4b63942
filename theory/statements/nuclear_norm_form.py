"""Where the representation has room, balanced weights solve the nuclear-norm problem: a second witness for 26.

Setting   any C (d, T), k = min(d, T), ridge >= 0.
Claim     min over X (d, T) of |C - X|_F^2 / 2 + ridge |X|_* is what the balanced optimum attains with X = W' heads and
          (|W|^2 + |heads|^2) / 2 = |X|_*.
Tight     an equality.
Proof     Semidefinite programs, solved twice, whose repaired primal and dual values enclose the value. (All shapes,
          by the certificate on paper: balanced-optimum.)
Source    Srebro, Rennie, Jaakkola 2004; Fazel 2002 for the semidefinite form.
"""

import numpy as np

from theory import geometry
from theory.representation import optimal_representation
from theory.spectra import schatten
from theory.statement import Hypothesis, Refuted, Statement, Step, Supported, Verdict
from theory.statements._draws import tasks
from theory.statements.balanced_optimum import loss

RIDGES = (0.0, 0.3, 0.8, 1.2)
"""Of the largest singular value."""


def attained(C, k, ridge):
    """The loss of the balanced optimum."""
    best = optimal_representation(C, k, ridge=ridge, balanced=True)
    return loss(best.W, best.heads, C, ridge)


def sides(C, k, ridge):
    best = optimal_representation(C, k, ridge=ridge, balanced=True)
    X = best.W.T @ best.heads
    return attained(C, k, ridge), ((C - X) ** 2).sum() / 2 + ridge * schatten(X, 1)


def generate(rng, i):
    C, _ = tasks(rng, i)
    return {"C": C, "k": min(C.shape), "ridge": float(np.linalg.norm(C, 2) * rng.choice(RIDGES))}


def semidefinite_values(kind: str, d: int, T: int) -> Step:
    """The balanced optimum's loss against both solvers' enclosures, for every ridge."""

    def check() -> Verdict:
        from theory.evidence import convex

        C = geometry.sample(kind, d, T, 0)
        worst: Verdict = Supported("sdp", 0, np.inf)
        for share in RIDGES:
            ridge = share * float(np.linalg.norm(C, 2))
            found = convex.verdict(convex.nuclear_prox(C, ridge), attained(C, min(d, T), ridge))
            if not isinstance(found, Supported) or isinstance(worst, Refuted):
                return found
            assert isinstance(worst, Supported)
            tighter = found if found.worst_slack < worst.worst_slack else worst
            worst = Supported("sdp", worst.n + 1, tighter.worst_slack, tighter.tightest)
        return worst

    says = rf"{kind} tasks ({d}, {T}): primal and dual values enclose L at the balanced optimum, \lambda = "
    return Step(
        f"semidefinite_values_{kind}",
        says + ", ".join(map(str, RIDGES)) + r" \times \sigma_1",
        check,
    )


STATEMENT = Statement(
    id="nuclear-norm-form",
    number=26,
    claim=r"\min_X \tfrac12\|C-X\|_F^2 + \lambda\|X\|_* = \min_{W,\Gamma} \tfrac12\|C-W^\top\Gamma\|^2 + "
    r"\tfrac\lambda2(\|W\|^2+\|\Gamma\|^2), k = \min(d,T)",
    source="Srebro, Rennie, Jaakkola 2004",
    relation="==",
    hypotheses=[Hypothesis("full_width", r"k = \min(d,T)", lambda C, k: k == min(C.shape))],
    sides=sides,
    generate=generate,
    scale=lambda C: float((C**2).sum()),
    needed={
        "full_width": "not needed for the two sides here to agree, but X of any rank is better where sigma_{k+1} "
        "> ridge"
    },
    proof=[
        semidefinite_values("gaussian", 4, 3),
        semidefinite_values("duplicated", 3, 4),
        semidefinite_values("orthonormal", 3, 3),
    ],
    remark="Supported by solvers on purpose: an independent witness beside the proof of balanced-optimum.",
)
