"""Gradient flow conserves the imbalance W W' - heads heads'; a step of gradient descent moves it to second order only.

Setting   any C (d, T), W (k, d), heads (k, T); L = |C - W' heads|^2 / 2, not divided by T; E = C - W' heads. The
          velocities are w = heads E' and g = W E. (The flow of the mean risk 2 L / T at time t is this one at time 2
          t / T.)
Claim     after one step of size h the imbalance has changed by exactly h^2 (w w' - g g'): its derivative, the limit of
          change / h, is 0. Both sides are compared in Frobenius norm.
Tight     an equality.
Proof     The terms linear in h are heads E' W' + W E heads' on both sides, and cancel.
Source    Saxe, McClelland, Ganguli 2014; Arora, Cohen, Hazan 2018.
"""

import numpy as np
import sympy as sp

from theory.dynamics import imbalance
from theory.evidence.lemmas import step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import dimensions, equal, frob2, matrix, trace
from theory.statement import Scale, Statement, Step
from theory.statements._draws import tasks


def velocities(W, heads, C):
    """Minus the gradients of L."""
    error = C - W.T @ heads
    return heads @ error.T, W @ error


def sides(C, W, heads, h):
    w, g = (h * velocity for velocity in velocities(W, heads, C))
    moved = imbalance(W + w, heads + g) - imbalance(W, heads)
    return np.linalg.norm(moved), np.linalg.norm(w @ w.T - g @ g.T)


def size(C, W, heads, h):
    """Of the terms that cancel."""
    w, g = velocities(W, heads, C)
    return sum(np.linalg.norm(a) ** 2 for a in (W, heads, h * w, h * g))


def generate(rng, i):
    C, k = tasks(rng, i)
    scale = np.sqrt(np.linalg.norm(C, 2)) or 1.0
    W, heads = (scale * rng.standard_normal((k, n)) for n in C.shape)
    return {"C": C, "k": k, "W": W, "heads": heads, "h": float(rng.choice([0.1, 1.0]) / scale**2)}


def _letters():
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    return C, W, heads, C - W.T @ heads


def velocities_are_gradients() -> Step:
    """In every direction the slope of L is minus its inner product with the velocities; the mean risk is 2 L / T."""
    C, W, heads, E = _letters()
    N, M = matrix("N", W.rows, W.cols), matrix("M", heads.rows, heads.cols)
    h, T = sp.Symbol("h", real=True), heads.cols

    def slope(loss: sp.Expr) -> sp.Expr:
        return sp.diff(sp.expand(loss), h).subs(h, 0)

    fall = trace(N.T @ heads @ E.T) + trace(M.T @ W @ E)
    moved = frob2(C - (W + h * N).T @ (heads + h * M))
    return step(
        "velocities_are_gradients",
        r"\tfrac{d}{dh}L(W+hN,\Gamma+hM)|_0 = -\langle N, \Gamma E^\top\rangle - \langle M, WE\rangle; the mean risk "
        r"2L/T falls 2/T times as fast",
        lambda: equal(slope(moved / 2), -fall),
        lambda: equal(slope(moved / T), -2 / T * fall),
    )


def first_order_cancels() -> Step:
    _, W, heads, E = _letters()
    h = sp.Symbol("h", real=True)
    w, g = heads @ E.T, W @ E
    rate = w @ W.T + W @ w.T - g @ heads.T - heads @ g.T
    W1, heads1 = W + h * w, heads + h * g
    return step(
        "first_order_cancels",
        r"\tfrac{d}{dt}(WW^\top-\Gamma\Gamma^\top) = \Gamma E^\top W^\top + WE\Gamma^\top - WE\Gamma^\top - "
        r"\Gamma E^\top W^\top = 0; a step of size h leaves h^2(ww^\top - gg^\top)",
        lambda: equal(rate, 0 * rate),
        lambda: equal(
            W1 @ W1.T - heads1 @ heads1.T,
            W @ W.T - heads @ heads.T + h**2 * (w @ w.T - g @ g.T),
        ),
        lambda: identity(sp.limit((h**2 / h), h, 0), 0),
    )


STATEMENT = Statement(
    id="balance-conserved",
    number=29,
    claim=r"\dot W = \Gamma E^\top, \dot\Gamma = WE, E = C - W^\top\Gamma: \tfrac{d}{dt}(WW^\top - "
    r"\Gamma\Gamma^\top) = 0",
    source="Saxe, McClelland, Ganguli 2014, arXiv 1312.6120; Arora, Cohen, Hazan 2018",
    relation="==",
    sides=sides,
    generate=generate,
    scale=Scale("the terms that cancel", size),
    tight_at="an equality",
    proof=[velocities_are_gradients(), first_order_cancels()],
    mutants={
        "heads count double": lambda C, W, heads, h: (
            np.linalg.norm(
                W @ velocities(W, heads, C)[0].T - 2 * velocities(W, heads, C)[1] @ heads.T
            ),
            0.0,
        )
    },
    remark="Gradient descent with step h drifts by h^2 per step, which is h per unit of time.",
)
