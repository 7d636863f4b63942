"""What a sweep costs beside what it could not do without, and how its cost grows."""

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.config import STRENGTHS
from sim.failures import MAKE
from sim.measure import draw, measure
from sim.train import INITIAL_SCALE, STEP, TOLERANCE, train
from theory.geometry import KINDS, existing, sample

ROOT = Path(__file__).resolve().parents[2]
MODELS, D, T, K, DRAWS = 8, 64, 12, 4, 1024


def keys(n: int):
    return jax.vmap(jax.random.key)(np.arange(n))


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["additive-noise", "multiplicative-noise", "weight-deletion"])
def test_measuring_costs_little_more_than_its_draws_and_products(ratio, name: str) -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal((MODELS, K, D))
    heads, C = rng.standard_normal((MODELS, K, T)), rng.standard_normal((MODELS, D, T))
    strengths = STRENGTHS[name]

    @jax.jit
    def draws_and_products(keys, G, S):
        def of_model(model):
            key, G = model
            drawn = draw(MAKE[name](0.1), key, (DRAWS, K, D))
            product = lambda s: jnp.einsum("ij,njd->nid", G * s, drawn).sum()  # noqa: E731
            return drawn.sum() + jax.lax.map(product, S).sum()

        return jax.lax.map(of_model, (keys, G))

    with jax.enable_x64(True):
        G, S = jnp.asarray(heads @ heads.mT), jnp.asarray(strengths)
    assert (
        ratio(
            lambda: measure(name, strengths, W, heads, C, keys(MODELS), draws=DRAWS),
            lambda: draws_and_products_in_x64(draws_and_products, keys(MODELS), G, S),
        )
        < 1.5
    )


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
@pytest.mark.parametrize(
    ("step", "most", "aim"),
    [(jax.jit(plain_step), 100_000, 10), (plain_step, 50, 300)],
    ids=["jitted", "not-jitted"],
)
def test_training_beats_a_loop_over_cells(ratio, step, most: int, aim: float) -> None:
    """Cells per second against a loop over cells; where steps are not jitted, 50 of each cell stand for all."""
    C = tasks(256)
    trained = train("descent", C, 3, keys(len(C)))
    some = C[:8]

    def loop() -> None:
        with jax.enable_x64(True):
            for seed, c in enumerate(some):
                descend(c, 3, seed, step, most)

    share = min(1.0, most / trained.steps[: len(some)].mean())
    found = ratio(lambda: train("descent", C, 3, keys(len(C))), loop, rounds=3)
    faster = len(C) / (len(some) * share) / found
    print(f"{faster:.0f} times the cells per second")
    assert faster > aim


def sweep_of(cells: int, out: Path) -> tuple[float, float, str]:
    """Seconds, peak GiB and report of a sweep of about so many cells, in a process of its own."""
    kinds = [kind for kind in KINDS if kind in existing(12, 4) and kind in existing(12, 6)]
    seeds = round(cells / (len(kinds) * 2 * 3))
    command = [sys.executable, "-m", "sim.sweep", "--geometries", *kinds, "--images", "none"]
    command += "--d 12 --T 4 6 --k 3 --draws 64 --workers 2".split()
    command += ["--seeds", str(seeds), "--out", str(out)]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # the verdict by 64 draws is not what is measured
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert int(re.search(r"(\d+) trained models", done.stdout)[1]) == seeds * len(kinds) * 6
    return seconds, peak, done.stdout


@pytest.mark.benchmark
def test_a_large_sweep_takes_linear_time_and_flat_memory(tmp_path: Path) -> None:
    found = {n: sweep_of(n, tmp_path / str(n)) for n in (10_000, 100_000)}
    for n, (seconds, peak, report) in found.items():
        print(f"\n{n} cells: {seconds:.0f} s, at most {peak:.2f} GiB in a process\n{report}")
    (small, small_peak, _), (large, large_peak, _) = found.values()
    assert large < 11 * small
    assert large_peak < 1.5 * small_peak
