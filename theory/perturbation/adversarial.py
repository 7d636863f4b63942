"""The worst change of a norm, and the blind one."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from theory.covariance import EPS
from theory.perturbation.ball import worst_in_frobenius_ball
from theory.perturbation.failure import Names, Perturbation, check_size
from theory.perturbation.problem import Answer, NoClosedForm, Problem


@dataclass(frozen=True)
class Adversarial(Perturbation):
    """W + N with |N| <= radius in the Frobenius or the spectral norm. Statements 21, 22.

    `worst_risk` is the adversary who sees everything. `sample` is the blind one, uniform over the boundary of the ball
    (spectral: radius times a Haar matrix with orthonormal rows), with E R = R + radius^2 tr(S) |heads|_F^2 / (T d),
    over k as well in the Frobenius ball.
    """

    norm: Literal["frobenius", "spectral"]
    radius: float
    randomness = "normal"
    names: ClassVar[Names] = {
        "adversarial-frobenius": {"norm": "frobenius"},
        "adversarial-spectral": {"norm": "spectral"},
    }
    strength = "radius"
    adversarial = True

    def __post_init__(self) -> None:
        if self.norm not in ("frobenius", "spectral"):
            raise ValueError(f"norm = {self.norm!r} is unknown: use 'frobenius' or 'spectral'")
        check_size("radius", self.radius)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"adversarial-{self.norm}"

    def apply(self, W: Any, draw: Any) -> Any:
        return W + self.radius * self.boundary(draw)

    def boundary(self, M: Any) -> Any:
        """M (..., k, d) taken to the unit sphere of the norm: M / |M|_F, or its orthonormal polar factor."""
        xp = M.__array_namespace__()
        if self.norm == "frobenius":
            return M / xp.sqrt(xp.sum(M * M, axis=(-2, -1), keepdims=True))
        # The SVD of the small factor of a QR: as exact, and many times faster where k << d.
        Q, R = xp.linalg.qr(xp.matrix_transpose(M))
        U, _, Vt = xp.linalg.svd(xp.matrix_transpose(R), full_matrices=False)
        return U @ Vt @ xp.matrix_transpose(Q)

    def exposure(self, trace: float, *, orthonormal: bool) -> float:
        """radius^2 over a spectral ball at the orthonormal optimum. Statement 22."""
        return self.radius**2 if orthonormal and self.norm == "spectral" else float("nan")

    def _expected(self, p: Problem) -> Answer:
        k, d = p.W.shape[-2:]
        coordinates = k * d if self.norm == "frobenius" else max(k, d)
        noise = self.radius**2 * p.S.trace * p.head_energies.sum(axis=-1)
        return p.risk(added=noise / coordinates)

    def _worst(self, p: Problem) -> Answer:
        if self.norm == "frobenius":
            return worst_in_frobenius_ball(p, np.asarray(self.radius))
        k, d = p.W.shape[-2:]
        theta = np.linalg.eigvalsh(p.heads @ p.heads.mT)[..., ::-1]
        stretch = np.sort(p.S.values)[::-1][:k]
        reached = self.radius**2 * (theta[..., : len(stretch)] @ stretch)
        if p.S.is_identity and k <= d:
            pull = np.linalg.svd(p.pull, compute_uv=False).sum(axis=-1)
            return p.risk(added=reached + 2 * self.radius * pull)
        # Rounding of S E heads^T where it vanishes, as at every optimum: 64 eps of the terms it cancels.
        size = [np.linalg.norm(M, axis=(-2, -1)) for M in (p.pull, p.C, p.heads)]
        terms = stretch[0] * size[1] * size[2] if len(stretch) else 0.0
        if np.all(size[0] <= 64 * EPS * terms):
            return p.risk(added=reached)
        return NoClosedForm(
            "the worst case over a spectral ball is known for S = I, or where S E heads^T = 0 as at an optimum: "
            "refit the heads to W, or use norm='frobenius'"
        )
