"""What a sweep costs beside what it could not do without, and how its cost grows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.config import STRENGTHS
from sim.experiments.linear.measure import draw, measure
from sim.experiments.linear.train import INITIAL_SCALE, STEP, TOLERANCE, train
from sim.failures.named import MAKE
from tests.benchmarks.large_sweep import sweep_of
from theory.geometry import existing, sample
from theory.perturbation import Adversarial, Deterministic

MODELS, D, T, K, DRAWS = 8, 64, 12, 4, 1024
RANDOM = [
    name
    for name, (some, *_) in STRENGTHS.items()
    if not isinstance(MAKE[name](some), Deterministic | Adversarial)
]


def keys(n: int):
    return jax.vmap(jax.random.key)(np.arange(n))


@pytest.mark.benchmark
@pytest.mark.line("Monte Carlo of {name} over its draws and products", most=1.5)
@pytest.mark.parametrize("name", RANDOM)
def test_measuring_costs_little_more_than_its_draws_and_products(
    side_by_side, judge, name: str
) -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal((MODELS, K, D))
    heads, C = rng.standard_normal((MODELS, K, T)), rng.standard_normal((MODELS, D, T))
    strengths = STRENGTHS[name]

    @jax.jit
    def draws_and_products(keys, W, G, S):
        def of_model(model):
            key, W, G = model
            drawn = draw(MAKE[name](0.1), key, (DRAWS, K, D))
            failed = drawn if drawn.shape == (DRAWS, K, D) else drawn * W  # a draw for a whole row
            product = lambda s: jnp.einsum("ij,njd->nid", G * s, failed).sum()  # noqa: E731
            return drawn.sum() + jax.lax.map(product, S).sum()

        return jax.lax.map(of_model, (keys, W, G))

    with jax.enable_x64(True):
        G, S = jnp.asarray(heads @ heads.mT), jnp.asarray(strengths)
    ratios = side_by_side(
        lambda: measure(name, strengths, W, heads, C, keys(MODELS), draws=DRAWS),
        lambda: draws_and_products_in_x64(draws_and_products, keys(MODELS), W, G, S),
    )
    judge(ratios)


def draws_and_products_in_x64(program, *arguments) -> None:
    with jax.enable_x64(True):
        program(*arguments).block_until_ready()


def tasks(n: int) -> list[np.ndarray]:
    kinds = list(existing(12, 6))
    return [sample(kinds[i % len(kinds)], 12, 6, i) for i in range(n)]


def descend(C: np.ndarray, k: int, seed: int, step, most: int) -> None:
    """Gradient descent as a script would write it, one model, until the gradient is small or after most steps."""
    rng = np.random.default_rng(seed)
    C = jnp.asarray(C / np.linalg.norm(C, ord=2))
    W = jnp.asarray(INITIAL_SCALE * rng.standard_normal((k, len(C))) / np.sqrt(len(C)))
    heads = jnp.asarray(INITIAL_SCALE * rng.standard_normal((k, C.shape[1])) / np.sqrt(C.shape[1]))
    for _ in range(most):
        W, heads, residual = step(C, W, heads)
        if residual <= TOLERANCE:
            break


def plain_step(C, W, heads):
    loss = lambda W, heads: jnp.sum((C - W.T @ heads) ** 2) / 2  # noqa: E731
    dW, dheads = jax.grad(loss, argnums=(0, 1))(W, heads)
    size = jnp.sqrt(jnp.sum(W**2) + jnp.sum(heads**2))
    residual = jnp.sqrt(jnp.sum(dW**2) + jnp.sum(dheads**2)) / size
    return W - STEP * dW, heads - STEP * dheads, residual


@pytest.mark.benchmark
@pytest.mark.line("linear cells a second over those of a loop whose steps are {steps}")
@pytest.mark.parametrize(
    ("steps", "longest", "least"),
    [("jitted", 100_000, 10), ("not jitted", 50, 300)],
)
def test_training_beats_a_loop_over_cells(
    side_by_side, judge, steps: str, longest: int, least: float
) -> None:
    """Cells per second against a loop over cells; where steps are not jitted, 50 of each cell stand for all."""
    C = tasks(256)
    step = jax.jit(plain_step) if steps == "jitted" else plain_step
    trained = train("descent", C, 3, keys(len(C)))
    some = C[:8]

    def loop() -> None:
        with jax.enable_x64(True):
            for seed, c in enumerate(some):
                descend(c, 3, seed, step, longest)

    share = min(1.0, longest / trained.steps[: len(some)].mean())
    ratios = side_by_side(lambda: train("descent", C, 3, keys(len(C))), loop, rounds=3)
    judge(len(C) / (len(some) * share) / ratios)


@pytest.fixture(scope="module")
def growth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Seconds and peak memory of 100,000 cells over those of 10,000, each swept once."""
    folder = tmp_path_factory.mktemp("sweeps")
    small, large = (sweep_of(n, folder / str(n)) for n in (10_000, 100_000))
    return {"time": large[0] / small[0], "peak memory of a process": large[1] / small[1]}


@pytest.mark.benchmark
@pytest.mark.line("sweep of 100,000 cells by two processes over one of 10,000: {what}")
@pytest.mark.parametrize(("what", "most"), [("time", 11), ("peak memory of a process", 1.5)])
def test_a_large_sweep_takes_linear_time_and_flat_memory(growth, judge, what: str, most) -> None:
    judge([growth[what]])
