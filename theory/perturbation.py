"""Structural failures of the shared representation W (k, d), and the exact risk under each of them.

A failure is a frozen value. Its random draw is kept apart from its effect: `apply(W, draw)` uses only the array
namespace of W, so one definition serves numpy here, traced and batched jax arrays (..., k, d) elsewhere, and any
other weight matrix whose rows are neurons. Strength 0 is the identity.

With E = C - W^T heads, every expected risk is the clean risk R = |S^(1/2) E|^2 / T plus what the failure adds
(theory.md, statements 2, 16-18, 21-24), for any W, heads and S, not only at the optimum. What is not known in closed
form is answered by a `NoClosedForm`, never by an approximation. A stack of models, W (..., k, d) with heads
(..., k, T) and C (..., d, T), is answered by the array (...) of their risks, in one batched pass.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from theory.covariance import EPS, Array, Covariance, as_covariance
from theory.distribution import Distribution, GaussianQuadratic, IndependentOutcomes
from theory.representation import CovarianceLike, Representation
from theory.spectra import task_matrix


@dataclass(frozen=True)
class NoClosedForm:
    """The answer where no closed form is known; `reason` says why and what to do instead."""

    reason: str


MOST_LISTED = 12
"""Largest k for which the 2^k ways to lose rows of W, or the weights of one of its columns, are listed."""

Answer = float | Array | NoClosedForm
"""A risk, the risks (...) of a stack of models, or why there is none."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The risk to perturb: tasks and heads weighted, and divided by scale (...) so that their squares stay in range."""

    W: Array
    heads: Array
    C: Array
    S: Covariance
    scale: Array

    @classmethod
    def of(cls, rep: Representation, C: ArrayLike, covariance: CovarianceLike) -> "Problem":
        C, heads = rep.weigh(task_matrix(C, batch=True)), rep.weigh(rep.heads)
        *stack, d, T = C.shape
        k = heads.shape[-2]
        if rep.W.shape != (*stack, k, d) or heads.shape != (*stack, k, T):
            raise ValueError(
                f"W {rep.W.shape} and heads {heads.shape} do not fit C {C.shape}: "
                "W is (k, d), heads (k, T), C (d, T), each with the same leading axes for a stack"
            )
        scale = np.maximum(np.abs(C).max(axis=(-2, -1)), np.abs(heads).max(axis=(-2, -1)))
        scale = np.where(scale > 0, scale, 1.0)
        unit = scale[..., None, None]
        return cls(rep.W, heads / unit, C / unit, as_covariance(covariance, d), scale)

    @cached_property
    def error(self) -> Array:
        """E = C - W^T heads, (..., d, T)."""
        return self.C - self.W.mT @ self.heads

    @property
    def head_energies(self) -> Array:
        """|gamma^i|^2 of each row of the heads, (..., k)."""
        return (self.heads**2).sum(axis=-1)

    @property
    def head_products(self) -> Array:
        """G = heads heads^T, (..., k, k)."""
        return self.heads @ self.heads.mT

    @property
    def pull(self) -> Array:
        """B = S E heads^T, (..., d, k): to first order a change N of W adds -2 <N, B^T> to T R."""
        return self.S.apply(self.error) @ self.heads.mT

    def risk(self, W: Array | None = None, added: float | Array = 0.0) -> float | Array:
        """R with weights W (default: its own), plus an energy (...) added to T R."""
        error = self.error if W is None else self.C - W.mT @ self.heads
        energy = (self.S.factor(error) ** 2).sum(axis=(-2, -1)) + added
        risk = energy / self.C.shape[-1] * self.scale * self.scale
        return risk if risk.ndim else float(risk)

    def variance(self, energy_variance: Array) -> float | Array:
        """Var R for the variance (...) of T R / scale^2."""
        variance = energy_variance * self.risk_of_energy**2
        return variance if variance.ndim else float(variance)

    @property
    def risk_of_energy(self) -> Array:
        """What an energy, of tasks and heads divided by scale, adds to R: scale^2 / T, (...)."""
        return self.scale * self.scale / self.C.shape[-1]

    def at(self, W: Array) -> "Problem":
        """The same with other weights."""
        return replace(self, W=W)


class Perturbation(ABC):
    """A structural failure of W: what it draws, what the draw does, and the risk it causes."""

    name: str
    randomness: ClassVar[Literal["normal", "uniform", "none"]]

    def draw_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the draw for weights of this shape (..., k, d)."""
        return shape

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array | None:
        """The random numbers for weights of this shape: standard normal, uniform in [0, 1), or None."""
        if self.randomness == "none":
            return None
        shape = self.draw_shape(shape)
        return rng.standard_normal(shape) if self.randomness == "normal" else rng.random(shape)

    @abstractmethod
    def apply(self, W: Any, draw: Any) -> Any:
        """The failed weights, in the array type of W, for a draw of `draw_shape`."""

    def sample(self, W: Array, rng: np.random.Generator) -> Array:
        """One failed copy of W (..., k, d)."""
        failed: Array = self.apply(W, self.draw(W.shape, rng))
        return failed

    def expected_risk(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """E R over the draw, for any representation of the tasks C (..., d, T)."""
        return self._expected(Problem.of(representation, C, covariance))

    def worst_risk(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """The largest R that any draw can cause."""
        return self._worst(Problem.of(representation, C, covariance))

    def risk_variance(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """Var R of one draw, exact for any representation of the tasks C (..., d, T)."""
        return self._variance(Problem.of(representation, C, covariance))

    def risk_distribution(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Distribution | NoClosedForm:
        """The law of R - E R over the draw, where it is a sum of independent parts that can be listed."""
        return self._distribution(Problem.of(representation, C, covariance))

    @abstractmethod
    def _expected(self, p: Problem) -> Answer: ...

    def _variance(self, p: Problem) -> Answer:
        return NoClosedForm(
            f"the variance of the risk under {self.name} is not known: estimate it from draws"
        )

    def _distribution(self, p: Problem) -> Distribution | NoClosedForm:
        return NoClosedForm(
            f"the law of the risk under {self.name} is not known: estimate it from draws"
        )

    def _worst(self, p: Problem) -> Answer:
        return NoClosedForm(
            f"{self.name} has no worst case in closed form: its draws are unbounded or as many as subsets "
            "of the weights; use Adversarial with the norm of change you fear"
        )


@dataclass(frozen=True)
class AdditiveNoise(Perturbation):
    """W + sigma N, N iid with zero mean and unit variance (drawn normal). Statement 2.

    E R = R + sigma^2 tr(S) |heads|_F^2 / T; for normal N (statement 32)
    Var R = (2 sigma^4 |S|_F^2 |heads heads^T|_F^2 + 4 sigma^2 |heads E^T S|_F^2) / T^2.
    """

    sigma: float
    name = "additive-noise"
    randomness = "normal"

    def __post_init__(self) -> None:
        _check_size("sigma", self.sigma)

    def apply(self, W: Any, draw: Any) -> Any:
        return W + self.sigma * draw

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(added=self.sigma**2 * p.S.trace * p.head_energies.sum(axis=-1))

    def _variance(self, p: Problem) -> float | Array:
        spread = float((p.S.values**2).sum()) * (p.head_products**2).sum(axis=(-2, -1))
        pull = (p.pull**2).sum(axis=(-2, -1))
        return p.variance(2 * self.sigma**4 * spread + 4 * self.sigma**2 * pull)

    def _distribution(self, p: Problem) -> GaussianQuadratic:
        # Diagonal in the eigenbases of S and heads heads^T.
        theta, Q = np.linalg.eigh(p.head_products)
        curvature = p.S.values[:, None] * np.maximum(theta, 0.0)[..., None, :]
        pull = -2 * self.sigma * p.S.coordinates(p.pull) @ Q
        unit = p.risk_of_energy[..., None]
        return GaussianQuadratic(self.sigma**2 * _flat(curvature) * unit, _flat(pull) * unit)


@dataclass(frozen=True)
class MultiplicativeNoise(Perturbation):
    """W * (1 + sigma N), N iid with zero mean and unit variance (drawn normal). Statement 18.

    E R = R + sigma^2 / T sum_i (sum_j S_jj W_ij^2) |gamma^i|^2; for normal N, with G = heads heads^T,
    Var R = (2 sigma^4 sum_jj' S_jj'^2 [(W*W)^T (G*G) (W*W)]_jj' + 4 sigma^2 |W * (heads E^T S)|_F^2) / T^2.
    """

    sigma: float
    name = "multiplicative-noise"
    randomness = "normal"

    def __post_init__(self) -> None:
        _check_size("sigma", self.sigma)

    def apply(self, W: Any, draw: Any) -> Any:
        return W * (1 + self.sigma * draw)

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(added=self.sigma**2 * (_weight_energies(p) * p.head_energies).sum(axis=-1))

    def _variance(self, p: Problem) -> float | Array:
        pull = ((p.W * p.pull.mT) ** 2).sum(axis=(-2, -1))
        return p.variance(2 * self.sigma**4 * _coupling(p) + 4 * self.sigma**2 * pull)

    def _distribution(self, p: Problem) -> GaussianQuadratic:
        # T R adds n^T Q n with Q_(ij)(i'j') = sigma^2 W_ij W_i'j' G_ii' S_jj', one block a column where S is diagonal.
        *stack, k, d = p.W.shape
        if p.S.vectors is None:
            columns = p.W.mT * np.sqrt(p.S.values)[:, None]
            Q = columns[..., :, None] * p.head_products[..., None, :, :] * columns[..., None, :]
        else:
            S = p.S.apply(np.eye(d))
            kron = np.einsum("...ab,ij->...aibj", p.head_products, S)
            weights = p.W.reshape(*stack, k * d)
            Q = weights[..., :, None] * kron.reshape(*stack, k * d, k * d) * weights[..., None, :]
            Q = Q[..., None, :, :]
        curvature, basis = np.linalg.eigh(Q)
        linear = (p.W.mT * p.pull) if p.S.vectors is None else _flat(p.W * p.pull.mT)[..., None, :]
        pull = -2 * self.sigma * (linear[..., None, :] @ basis)[..., 0, :]
        unit = p.risk_of_energy[..., None]
        return GaussianQuadratic(
            self.sigma**2 * _flat(np.maximum(curvature, 0.0)) * unit, _flat(pull) * unit
        )


@dataclass(frozen=True)
class _Deletion(Perturbation):
    """Loss with probability p, survivors scaled by 1/(1-p) if rescale.

    E R = R((1-p) W) + p(1-p)/T sum_i e_i |gamma^i|^2, or R(W) + p/(1-p)/T sum_i e_i |gamma^i|^2 if rescaled, with e_i
    the mean squared activity that is lost one weight at a time or with the whole row.

    The risk is a quadratic of the mask, T R = const + sum_a l_a x_a + sum_a!=b Q_ab x_a x_b, x = kept - (1-p), hence
    Var R = (p(1-p) sum_a l_a^2 + 2 p^2 (1-p)^2 sum_a!=b Q_ab^2) / T^2, where l_a = (2p-1) Q_aa - 2 B_a with B_a half
    the decrease of T R, at the mean weights, by the a-th part of W.
    """

    p: float
    rescale: bool = False
    randomness = "uniform"

    def __post_init__(self) -> None:
        _check_share("p", self.p)
        if isinstance(self.p, Real) and self.p == 1 and self.rescale:
            raise ValueError("p = 1 leaves no survivors to rescale: use p < 1 or rescale=False")

    def apply(self, W: Any, draw: Any) -> Any:
        return W / (1 - self.p * self.rescale) * (draw >= self.p)

    def _expected(self, p: Problem) -> float | Array:
        spread = (self._row_energies(p) * p.head_energies).sum(axis=-1)
        if self.rescale:
            return p.risk(added=self.p / (1 - self.p) * spread)
        return p.risk((1 - self.p) * p.W, added=self.p * (1 - self.p) * spread)

    def _variance(self, p: Problem) -> float | Array:
        survivors = p.at(p.W / (1 - self.p) if self.rescale else p.W)
        mean = p.at((1 - self.p) * survivors.W)
        own, total, pull = self._quadratic(survivors, mean.pull)
        linear = ((2 * self.p - 1) * own - 2 * pull) ** 2
        pairs = np.maximum(total - (own**2).sum(axis=-1), 0.0)
        spread = self.p * (1 - self.p)
        return p.variance(spread * linear.sum(axis=-1) + 2 * spread**2 * pairs)

    def _distribution(self, p: Problem) -> IndependentOutcomes | NoClosedForm:
        k = p.W.shape[-2]
        if k > MOST_LISTED:
            return NoClosedForm(
                f"2^{k} outcomes are too many to list (k at most {MOST_LISTED}): estimate from draws"
            )
        kept = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
        lost = k - kept.sum(axis=1)
        probabilities = self.p**lost * (1 - self.p) ** (k - lost)
        survivors = p.at(p.W / (1 - self.p) if self.rescale else p.W)
        energies = self._energies(survivors, kept.astype(np.float64))
        if isinstance(energies, NoClosedForm):
            return energies
        return IndependentOutcomes(energies * p.risk_of_energy[..., None, None], probabilities)

    @staticmethod
    @abstractmethod
    def _row_energies(p: Problem) -> Array: ...

    @staticmethod
    @abstractmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        """Of T R in the mask: Q_aa (..., a...), sum_ab Q_ab^2 (...), and B_a for the pull (..., d, k) at the mean."""

    @staticmethod
    @abstractmethod
    def _energies(p: Problem, kept: Array) -> Array | NoClosedForm:
        """T R, but for a constant, of the masks kept (o, k) of each independent part of W, (..., m, o)."""


@dataclass(frozen=True)
class WeightDeletion(_Deletion):
    """Each weight is lost with probability p; survivors are scaled by 1/(1-p) if rescale. Statements 16, 17.

    E R = R((1-p) W) + p(1-p)/T sum_i (sum_j S_jj W_ij^2) |gamma^i|^2; rescaled, R(W) plus that sum times p/(1-p)/T.
    """

    name = "weight-deletion"

    @staticmethod
    def _row_energies(p: Problem) -> Array:
        return _weight_energies(p)

    @staticmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        own = p.W**2 * p.S.diagonal * p.head_energies[..., None]
        return _flat(own), _coupling(p), _flat(p.W * pull.mT)

    @staticmethod
    def _energies(p: Problem, kept: Array) -> Array | NoClosedForm:
        if p.S.vectors is not None:
            return NoClosedForm(
                "the columns of W are lost independently, but S couples them: estimate from draws, or whiten the inputs"
            )
        columns = kept * p.W.mT[..., None, :]
        fit = 2 * (p.C @ p.heads.mT)[..., None, :]
        coupled = columns @ p.head_products[..., None, :, :]
        return p.S.values[:, None] * ((coupled - fit) * columns).sum(axis=-1)


@dataclass(frozen=True)
class NeuronDeletion(_Deletion):
    """Each neuron (row of W) is lost with probability p; survivors scaled by 1/(1-p) if rescale. Statements 16, 17.

    E R = R((1-p) W) + p(1-p)/T sum_i (w_i^T S w_i) |gamma^i|^2; rescaled, R(W) plus that sum times p/(1-p)/T.
    """

    name = "neuron-deletion"

    def draw_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number a row, (..., k, 1)."""
        return (*shape[:-1], 1)

    @staticmethod
    def _row_energies(p: Problem) -> Array:
        return (p.S.factor(p.W.mT) ** 2).sum(axis=-2)

    @staticmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        Q = (p.W @ p.S.apply(p.W.mT)) * p.head_products
        own = np.diagonal(Q, axis1=-2, axis2=-1)
        return own, (Q**2).sum(axis=(-2, -1)), (p.W * pull.mT).sum(axis=-1)

    @staticmethod
    def _energies(p: Problem, kept: Array) -> Array:
        Q = (p.W @ p.S.apply(p.W.mT)) * p.head_products
        fit = 2 * (p.W * (p.S.apply(p.C) @ p.heads.mT).mT).sum(axis=-1)
        energies: Array = ((kept @ Q - fit[..., None, :]) * kept).sum(axis=-1)
        return energies[..., None, :]


@dataclass(frozen=True)
class Deterministic(Perturbation):
    """A failure that is a function of W: its expected and its worst risk are the risk after it."""

    randomness = "none"

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(self.apply(p.W, None))

    def _worst(self, p: Problem) -> float | Array:
        return self._expected(p)

    def _variance(self, p: Problem) -> float | Array:
        return p.variance(np.zeros(p.scale.shape))

    def risk_bound(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> float | Array:
        """The largest risk of any change of W no longer than this failure's can be (statements 23, 24).

        That is statement 21 with the failure's reach as radius. At the orthonormal optimum with S = I it is
        R* + q k sigma_1^2 / T for pruning the fraction q and R* + (step^2 / 4) d k sigma_1^2 / T for rounding.
        """
        p = Problem.of(representation, C, covariance)
        return worst_in_frobenius_ball(p, self._reach(p.W))

    @abstractmethod
    def _reach(self, W: Array) -> Array:
        """A bound (...) on the Frobenius norm of the change of W."""


@dataclass(frozen=True)
class _ByMagnitude(Deterministic):
    """The floor(fraction k d) weights that come first in an order of magnitudes set to zero, ties by index."""

    fraction: float

    def __post_init__(self) -> None:
        _check_share("fraction", self.fraction)

    def apply(self, W: Any, draw: Any) -> Any:
        xp = W.__array_namespace__()
        magnitude = xp.reshape(xp.abs(W), (*W.shape[:-2], -1))
        order = xp.argsort(self._order(magnitude), axis=-1, stable=True)
        rank = xp.argsort(order, axis=-1, stable=True)
        return W * xp.reshape(rank >= self._count(magnitude.shape[-1], xp), W.shape)

    def _count(self, size: int, xp: Any) -> Any:
        # 0.29 * 100 and the like round to just below the integer they stand for: by eps of it.
        return xp.floor(self.fraction * size * (1 + 4 * EPS))

    @staticmethod
    @abstractmethod
    def _order(magnitude: Any) -> Any:
        """What to sort by, the first to be lost the least."""


@dataclass(frozen=True)
class MagnitudePruning(_ByMagnitude):
    """The floor(fraction k d) weights of least magnitude set to zero, ties by index. Statement 23."""

    name = "magnitude-pruning"

    @staticmethod
    def _order(magnitude: Any) -> Any:
        return magnitude

    def _reach(self, W: Array) -> Array:
        # The least q n of n squares sum to at most q times their total.
        n = W.shape[-2] * W.shape[-1]
        reach: Array = np.sqrt(self._count(n, np) / n) * np.linalg.norm(W, axis=(-2, -1))
        return reach


@dataclass(frozen=True)
class LargestDeletion(_ByMagnitude):
    """The floor(fraction k d) weights of greatest magnitude set to zero, ties by index."""

    name = "largest-deletion"

    @staticmethod
    def _order(magnitude: Any) -> Any:
        return -magnitude

    def _reach(self, W: Array) -> Array:
        # The greatest of n squares may hold their whole total: no bound is shorter than the change itself.
        reach: Array = np.linalg.norm(W - self.apply(W, None), axis=(-2, -1))
        return reach


@dataclass(frozen=True)
class Quantisation(Deterministic):
    """Weights rounded to whole multiples of max|W| / (2^(bits-1) - 1), signed integers of `bits` bits. Statement 24.

    bits = inf: no rounding. With per_row every row (neuron, output channel) has a step of its own, out of its maximum.
    """

    bits: float
    per_row: bool = False
    name = "quantisation"

    def __post_init__(self) -> None:
        number = isinstance(self.bits, Real)
        if number and not ((2 <= self.bits <= 1024 and self.bits % 1 == 0) or self.bits == np.inf):
            raise ValueError(
                f"bits = {self.bits}: a signed integer has 2, 3, ... or 1024 bits (inf: no rounding)"
            )

    def step(self, W: Any) -> Any:
        """The distance between neighbouring levels, (..., 1, 1), or (..., k, 1) per row."""
        xp = W.__array_namespace__()
        together = -1 if self.per_row else (-2, -1)
        return xp.max(xp.abs(W), axis=together, keepdims=True) / (2.0 ** (self.bits - 1) - 1)

    def apply(self, W: Any, draw: Any) -> Any:
        xp = W.__array_namespace__()
        step = self.step(W)
        rounded = xp.round(W / xp.where(step > 0, step, 1.0)) * step
        return xp.where(step > 0, rounded, W)

    def _reach(self, W: Array) -> Array:
        # Half a step for each weight.
        if self.per_row:
            return np.sqrt(W.shape[-1]) / 2 * np.linalg.norm(self.step(W)[..., 0], axis=-1)
        reach: Array = np.sqrt(W.shape[-2] * W.shape[-1]) / 2 * self.step(W)[..., 0, 0]
        return reach


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

    def __post_init__(self) -> None:
        if self.norm not in ("frobenius", "spectral"):
            raise ValueError(f"norm = {self.norm!r} is unknown: use 'frobenius' or 'spectral'")
        _check_size("radius", self.radius)

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


def worst_in_frobenius_ball(p: Problem, radius: Array) -> float | Array:
    """The largest R of W + N with |N|_F <= radius (...), exact for any W, heads and S. Statement 21.

    In the eigenbases of S and heads heads^T the problem is diagonal.
    """
    theta, Q = np.linalg.eigh(p.heads @ p.heads.mT)
    curvature = p.S.values[:, None] * np.maximum(theta, 0.0)[..., None, :]
    pull = p.S.coordinates(p.pull) @ Q
    radius = np.broadcast_to(radius, p.scale.shape)
    added = np.empty(p.scale.shape)
    for model in np.ndindex(added.shape):
        added[model] = _convex_maximum(curvature[model], pull[model], float(radius[model]))
    return p.risk(added=added)


def _convex_maximum(curvature: Array, pull: Array, radius: float) -> float:
    """max of sum(curvature M^2) + 2 sum(pull M) over |M|_F <= radius, curvature >= 0.

    Equal by strong duality (the S-lemma) to the minimum over u >= 0 of the convex
    (a_1 + u) radius^2 + sum(pull^2 / (a_1 - curvature + u)), a_1 the greatest curvature: the derivative vanishes where
    |pull / (a_1 - curvature + u)| = radius (secular equation, More and Sorensen 1983), or u = 0 in the hard case.
    """
    # Divided by `scale`, and in a ball of radius 1, everything below is at most 1 and no square underflows.
    scale = float(curvature.max(initial=0.0)) * radius + float(np.abs(pull).max(initial=0.0))
    if scale == 0:
        return 0.0
    curvature, pull = curvature * (radius / scale), np.abs(pull) / scale
    greatest = float(curvature.max(initial=0.0))
    pulled = pull > 1e-150
    b, gap = pull[pulled], greatest - curvature[pulled]

    def excess(u: float) -> float:
        return float(np.linalg.norm(b / (gap + u))) - 1

    # |b / (gap + u)| lies between |b at gap 0| / u and |b| / u.
    low, high = float(np.linalg.norm(b[gap == 0])), float(np.linalg.norm(b))
    if low == 0 and excess(0.0) <= 0:
        u = 0.0
    elif low == high:
        u = low
    else:
        from scipy.optimize import brentq

        # The value is stationary in u, so a root good to a relative 1e-12 gives every digit of it.
        u = brentq(
            excess, low * (1 - 1e-12), high * (1 + 1e-12), xtol=1e-300, rtol=1e-12, maxiter=1000
        )
    return (greatest + u + float((b**2 / (gap + u)).sum())) * scale * radius


def _weight_energies(p: Problem) -> Array:
    """sum_j S_jj W_ij^2 of each row, (..., k)."""
    return p.W**2 @ p.S.diagonal


def _coupling(p: Problem) -> Array:
    """sum (W_ij W_i'j' G_ii' S_jj')^2 over all pairs of weights, G = heads heads^T, (...)."""
    squares = p.W**2
    mixed = p.head_products**2 @ squares
    if p.S.vectors is None:
        return (squares * mixed * p.S.values**2).sum(axis=(-2, -1))
    S = p.S.apply(np.eye(p.S.dimension))
    return ((squares.mT @ mixed) * S**2).sum(axis=(-2, -1))


def _flat(M: Array) -> Array:
    """M (..., m, n) as (..., m n)."""
    return M.reshape(*M.shape[:-2], -1)


def _check_size(name: str, value: Any) -> None:
    # Traced values pass: they have no number to check until they run.
    if isinstance(value, Real) and not 0 <= float(value) < np.inf:
        raise ValueError(f"{name} = {value}: the strength of a failure is a finite number >= 0")


def _check_share(name: str, value: Any) -> None:
    if isinstance(value, Real) and not 0 <= float(value) <= 1:
        raise ValueError(f"{name} = {value}: a share lies between 0 and 1")
