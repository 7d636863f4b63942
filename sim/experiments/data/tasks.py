"""The linear experiments of Daras et al. 2022 (D22): neighbouring classes as binary tasks.

Their noisy test error, the mean over tasks of (y - gamma_t^T (W + sigma N) x)^2, is linear in the
slope: N has mean zero and is independent of x, so that on the test inputs of task t it adds exactly
sigma^2 mean|x|^2 |gamma_t|^2 to the clean error (statement 2 of the theory with one task), and the
mean over tasks adds

    sigma^2 / T sum_t m_t |gamma_t|^2,    m_t = mean |x|^2 over the test inputs of task t.

Where the tasks share one m, this is sigma^2 m times the slope |heads|_F^2 / T: their figure is a
plot of the slope, and data sets compare by ratios between numbers of tasks.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from numbers import Integral
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sim.experiments.data.inputs import Inputs, LabelledInputs
from sim.programs import room
from theory.covariance import Covariance
from theory.distribution import Distribution, GammaBound, GaussianQuadratic
from theory.perturbation import (
    AdditiveNoise,
    Deterministic,
    NoClosedForm,
    Perturbation,
    WeightDeletion,
)
from theory.representation import Representation

if TYPE_CHECKING:
    import jax

Array = NDArray[np.float64]

ADAM_DECAYS = (0.9, 0.999)
ADAM_EPS = 1e-8
LARGEST_SECOND_MOMENT = 4096
"""Largest d for which the second moments of the tasks are held as d x d matrices."""

LARGEST_EIGENPROBLEM = 1024
"""Largest k d for which the law of the risk under noise is diagonalised."""

FEWEST_TASKS = 16
"""That the program of a step has room for."""

DRAWS_AT_ONCE = 64
"""Draws whose predictions are held in memory together."""


@dataclass(frozen=True)
class Procedure:
    """How D22 learn C. Loss: mean of 1/2 (prediction - y)^2 + ridge times the mean square of C."""

    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    batch: int = 128
    epochs: int = 5
    samples: int = 10_000
    ridge: float = 0.1

    def __post_init__(self) -> None:
        for name in ("batch", "epochs", "samples"):
            if not isinstance(getattr(self, name), Integral) or getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: give a whole number >= 1")
        for name in ("learning_rate", "weight_decay", "ridge"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} = {getattr(self, name)}: give a finite number >= 0")


@dataclass(frozen=True)
class TrainingRecord:
    """How training ended."""

    loss: float
    """Of the final C, on all its samples."""
    last_change: float
    """|C - C before the last epoch|_F / |C|_F."""
    steps: int


@dataclass(frozen=True, eq=False)
class BinaryTask:
    """Test inputs (n, d) of two classes, labels (n,): -1 for the lower class, +1 for the upper."""

    inputs: Inputs
    labels: Array

    def squared_errors(self, readouts: Array) -> Array:
        """Mean (y - b^T x)^2 for each column b of readouts (d, m): (m,)."""
        errors = self.inputs @ readouts
        errors -= self.labels[:, None]
        return np.einsum("nm,nm->m", errors, errors) / len(errors)

    @cached_property
    def least_squares(self) -> tuple[Array, float]:
        """c* (d, 1), the least-norm minimiser of the mean squared test error, and that error."""
        S = self.covariance
        in_range: Any = S.coordinates(self.inputs.T).T
        fit: Any = np.linalg.lstsq(in_range, self.labels[:, None])[0]
        best = S.embed(fit)
        return best, float(self.squared_errors(best)[0])

    @cached_property
    def covariance(self) -> Covariance:
        """The second moment of the test inputs."""
        return Covariance.of_inputs(self.inputs)

    @cached_property
    def second_moment(self) -> Array:
        """S_t as a matrix (d, d)."""
        return self.covariance.apply(np.eye(self.inputs.shape[1]))


@dataclass(frozen=True, eq=False)
class RealTasks:
    """T binary tasks. Risks are means over them of (y - gamma_t^T W x)^2, with no factor 1/2."""

    tasks: tuple[BinaryTask, ...]

    def clean_risk(self, rep: Representation) -> float:
        """The risk of W (k, d) and heads (k, T) without failure."""
        return float(self._risks(rep, rep.W[None])[0])

    def measured_risks(
        self, rep: Representation, perturbation: Perturbation, draws: int, rng: np.random.Generator
    ) -> Array:
        """The risk under each of `draws` independent failures of W: (draws,)."""
        if draws < 1:
            raise ValueError(f"draws = {draws}: give at least 1")
        risks = []
        for start in range(0, draws, DRAWS_AT_ONCE):
            count = min(DRAWS_AT_ONCE, draws - start)
            failed = np.stack([perturbation.sample(rep.W, rng) for _ in range(count)])
            risks.append(self._risks(rep, failed))
        return np.concatenate(risks)

    def closed_form_risk(
        self, rep: Representation, perturbation: Perturbation
    ) -> float | NoClosedForm:
        """The expectation of `measured_risks` over the draw, exact for these test inputs.

        With c* the least squares fit of task t, residuals are orthogonal to the inputs, so that any
        readout b has mean (y - b^T x)^2 = mean (y - c*^T x)^2 + |S_t^(1/2) (c* - b)|^2: an
        irreducible error, plus the risk of the theory for the one task c* on inputs of second
        moment S_t = X_t^T X_t / n.
        """
        _check_heads(rep, len(self.tasks))
        risks = []
        for task, head in zip(self.tasks, rep.heads.T, strict=True):
            best, irreducible = task.least_squares
            single_task = Representation(W=rep.W, heads=head[:, None])
            excess = perturbation.expected_risk(single_task, best, task.covariance)
            if isinstance(excess, NoClosedForm):
                return excess
            risks.append(irreducible + float(excess))
        return float(np.mean(risks))

    def risk_variance(
        self, rep: Representation, perturbation: Perturbation
    ) -> float | NoClosedForm:
        """The variance of `measured_risks` over the draw, exact for these test inputs.

        The risk is one quadratic of the weights' change N, (<N, Q N> - 2 <N, B>)/T with Q N = sum_t gamma_t gamma_t^T N
        S_t and B = sum_t gamma_t (c*_t - b_t)^T S_t (k, d), and the theory's formulas for one S hold with the sums over
        tasks in place of their products.
        """
        _check_heads(rep, len(self.tasks))
        if isinstance(perturbation, Deterministic):
            return 0.0
        T, d = len(self.tasks), rep.W.shape[1]
        if d > LARGEST_SECOND_MOMENT or not isinstance(
            perturbation, AdditiveNoise | WeightDeletion
        ):
            return NoClosedForm(
                f"the variance under {perturbation.name} on {d} inputs is not known: estimate it from draws"
            )
        moments = [task.second_moment for task in self.tasks]
        if isinstance(perturbation, AdditiveNoise):
            products = np.repeat((rep.heads.T @ rep.heads)[:, :, None], d, axis=2)
            spread = perturbation.sigma**4 * _coupling(moments, products)
            pull = perturbation.sigma**2 * float((self._pull(rep, rep.W) ** 2).sum())
            return (2 * spread + 4 * pull) / T**2
        p = perturbation.p
        W = rep.W / (1 - p) if perturbation.rescale else rep.W
        own = W**2 * (rep.heads**2 @ [np.diagonal(S) for S in moments])
        linear = (2 * p - 1) * own - 2 * W * self._pull(rep, (1 - p) * W)
        products = np.einsum("kt,ku,kj->tuj", rep.heads, rep.heads, W**2)
        pairs = max(_coupling(moments, products) - float((own**2).sum()), 0.0)
        return (p * (1 - p) * float((linear**2).sum()) + 2 * (p * (1 - p)) ** 2 * pairs) / T**2

    def risk_distribution(
        self, rep: Representation, perturbation: Perturbation
    ) -> Distribution | NoClosedForm:
        """The law of `measured_risks`, or one that bounds its tails."""
        variance = self.risk_variance(rep, perturbation)
        if isinstance(variance, NoClosedForm) or not isinstance(perturbation, AdditiveNoise):
            return NoClosedForm("the law is not known: estimate it from draws")
        (k, d), T = rep.W.shape, len(self.tasks)
        sigma, heads = perturbation.sigma, rep.heads
        if k * d > LARGEST_EIGENPROBLEM:
            # Q is at most the largest eigenvalue of all S_t times that of heads heads^T.
            most = max(float(task.covariance.values.max()) for task in self.tasks)
            curvature = sigma**2 * most * float(np.linalg.norm(heads, 2)) ** 2 / T
            return GammaBound(np.asarray(variance), np.asarray(2 * curvature))
        moments = np.array([task.second_moment for task in self.tasks])
        Q = np.einsum("it,jt,tab->iajb", heads, heads, moments, optimize=True)
        values, vectors = np.linalg.eigh(Q.reshape(k * d, k * d))
        pull = -2 * sigma * self._pull(rep, rep.W).ravel() @ vectors
        return GaussianQuadratic(sigma**2 * np.maximum(values, 0.0) / T, pull / T)

    def _pull(self, rep: Representation, W: Array) -> Array:
        """B (k, d) of weights W."""
        readouts = (W.T @ rep.heads).T[:, :, None]
        pulls = [
            task.covariance.apply(task.least_squares[0] - readout)[:, 0]
            for task, readout in zip(self.tasks, readouts, strict=True)
        ]
        return rep.heads @ np.array(pulls)

    def _risks(self, rep: Representation, failed: Array) -> Array:
        """The risk with each of the failed weights (m, k, d), (m,)."""
        _check_heads(rep, len(self.tasks))
        readouts = np.einsum("mkd,kt->tdm", failed, rep.heads, optimize=True)
        return np.mean(
            [task.squared_errors(b) for task, b in zip(self.tasks, readouts, strict=True)], axis=0
        )


_PAIRS: WeakKeyDictionary[LabelledInputs, dict[int, BinaryTask]] = WeakKeyDictionary()


def binary_tasks(data: LabelledInputs, T: int) -> RealTasks:
    """Task t = 0..T-1 tells class t (y = -1) from class t + 1 (y = +1), on the test part.

    Classes are in ascending order of label. Tasks are shared between calls on the same data, and
    with them their least squares. Raises ValueError unless 1 <= T <= number of classes - 1.
    """
    _check_tasks(data, T)
    pairs = _PAIRS.setdefault(data, {})
    for t in range(T):
        if t not in pairs:
            rows, labels = _pair(data.test_labels, data.classes, t)
            pairs[t] = BinaryTask(data.test_inputs[rows], labels)
    return RealTasks(tuple(pairs[t] for t in range(T)))


def learn_task_matrix(
    data: LabelledInputs, T: int, seed: int, settings: Procedure = Procedure()
) -> tuple[Array, TrainingRecord]:
    """D22's task matrix C (d, T); column t, of norm 1, tells class t from t + 1 by <c_t, x>.

    Of all `samples`, sample i belongs to task i mod T and is drawn from the training examples of
    its two classes, without replacement unless they are too few. Every epoch shuffles the samples
    of each task and cuts the sequence into batches, so each batch is split between the tasks as
    evenly as it can be; the last one may be smaller. AdamW (Loshchilov & Hutter 2019) minimises the
    loss of `Procedure` from columns uniform on the sphere; after each step every column is
    projected to unit norm. Float64; the same seed gives the same bits, and sparse inputs, made
    dense a batch at a time, the same as dense ones.

    Raises ValueError for T outside 1..classes-1, fewer samples than tasks, or training that
    overflows.
    """
    import jax

    _check_tasks(data, T)
    if settings.samples < T:
        raise ValueError(f"samples = {settings.samples} for T = {T} tasks: give one for each")
    rng = np.random.default_rng(seed)
    X, y = _training_samples(data, T, settings.samples, rng)
    C = rng.standard_normal((X.shape[1], T))
    C /= np.linalg.norm(C, axis=0)
    # Columns of no task, so that all T share a program: no sample sees them.
    filled = np.full((len(C), room(T, FEWEST_TASKS)), len(C) ** -0.5)
    filled[:, :T] = before = C
    step = _jitted_step()
    with jax.enable_x64(True):
        state: Any = (filled, np.zeros_like(filled), np.zeros_like(filled), np.float64(0))
        for _ in range(settings.epochs):
            before = np.asarray(state[0])[:, :T]
            for rows, weight in _batches(len(y), T, settings.batch, rng):
                inputs = X[rows] if isinstance(X, np.ndarray) else X[rows].toarray()
                state = step(state, inputs, y[rows], rows % T, weight, float(T), settings)
        C, steps = np.array(state[0])[:, :T], int(state[3])
    if not np.allclose(np.linalg.norm(C, axis=0), 1):
        rate = settings.learning_rate
        raise ValueError(f"training diverged (T = {T}, seed = {seed}): lower its rate {rate}")
    predictions = np.asarray(X @ C)[np.arange(len(y)), np.arange(len(y)) % T]
    loss = float(np.mean((predictions - y) ** 2) / 2 + settings.ridge * np.mean(C**2))
    return C, TrainingRecord(loss, float(np.linalg.norm(C - before) / np.linalg.norm(C)), steps)


@cache
def _jitted_step() -> Any:
    import jax

    from sim.devices import SOON_COMPILED

    return jax.jit(_step, static_argnums=6, compiler_options=SOON_COMPILED)


def _step(
    state: "tuple[jax.Array, ...]",
    X: "jax.Array",
    y: "jax.Array",
    task: "jax.Array",
    weight: "jax.Array",
    T: float,
    settings: Procedure,
) -> "tuple[jax.Array, ...]":
    """AdamW on a batch X (b, d), y, task, weight (b,), then the projection to unit columns, T of which have a task."""
    import jax
    import jax.numpy as jnp

    C, mean, square, count = state

    def loss(C: "jax.Array") -> "jax.Array":
        predictions = jnp.take_along_axis(X @ C, task[:, None], axis=1)[:, 0]
        return weight @ (predictions - y) ** 2 / 2 / weight.sum() + settings.ridge * jnp.sum(
            C**2
        ) / (len(C) * T)

    gradient = jax.grad(loss)(C)
    count = count + 1
    b1, b2 = ADAM_DECAYS
    mean = b1 * mean + (1 - b1) * gradient
    square = b2 * square + (1 - b2) * gradient**2
    direction = mean / (1 - b1**count) / (jnp.sqrt(square / (1 - b2**count)) + ADAM_EPS)
    C = C - settings.learning_rate * (direction + settings.weight_decay * C)
    return C / jnp.linalg.norm(C, axis=0), mean, square, count


def _training_samples(
    data: LabelledInputs, T: int, samples: int, rng: np.random.Generator
) -> tuple[Inputs, Array]:
    chosen, y = np.empty(samples, dtype=np.int64), np.empty(samples)
    for t in range(T):
        rows, labels = _pair(data.train_labels, data.classes, t)
        count = len(range(t, samples, T))
        picked = rng.choice(len(rows), count, replace=len(rows) < count)
        chosen[t::T], y[t::T] = rows[picked], labels[picked]
    return data.train_inputs[chosen], y


def _batches(
    samples: int, T: int, batch: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], Array]]:
    """One epoch: rows and weights (batch,) of each batch, weight 0 on what pads the last one."""
    batch = min(batch, samples)
    order = np.empty(samples, dtype=np.int64)
    for t in range(T):
        order[t::T] = rng.permutation(np.arange(t, samples, T))
    padding = -samples % batch
    rows = np.concatenate([order, np.zeros(padding, dtype=np.int64)]).reshape(-1, batch)
    weights = np.concatenate([np.ones(samples), np.zeros(padding)]).reshape(-1, batch)
    return list(zip(rows, weights, strict=True))


def _pair(
    labels: NDArray[np.int64], classes: NDArray[np.int64], t: int
) -> tuple[NDArray[np.int64], Array]:
    """The rows of classes t and t + 1, in file order, and their labels -1 and +1."""
    rows = np.flatnonzero((labels == classes[t]) | (labels == classes[t + 1]))
    return rows, np.where(labels[rows] == classes[t + 1], 1.0, -1.0)


def _check_tasks(data: LabelledInputs, T: int) -> None:
    limit = len(data.classes) - 1
    if not 1 <= T <= limit:
        raise ValueError(
            f"T = {T} tasks from {data.name}: it has {limit + 1} classes, so T is 1 to {limit}"
        )


def _coupling(moments: list[Array], products: Array) -> float:
    """sum over tasks t, u and inputs j, j' of S_t[j, j'] S_u[j, j'] products[t, u, j] products[t, u, j']."""
    return sum(
        float(products[t, u] @ (S_t * S_u) @ products[t, u])
        for (t, S_t), (u, S_u) in product(enumerate(moments), repeat=2)
    )


def _check_heads(rep: Representation, T: int) -> None:
    if rep.heads.shape[1] != T:
        raise ValueError(
            f"heads {rep.heads.shape} for T = {T} tasks: they are (k, T); "
            "use the tasks they were learnt on"
        )
