"""Traces of a GPT's curvature against those of its whole Hessian and Gauss-Newton matrix, and damage against both."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import logits, loss, shapes
from neural.measures import curvature as module
from neural.measures.curvature import Damages, _placed, curvature, damages
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message

pytestmark = pytest.mark.usefixtures("soon_compiled")

TINY = ModelConfig(layers=1, width=8, heads=2, context=6, vocabulary=11)
FLOAT64 = Compute("float64")
WINDOWS = np.random.default_rng(0).integers(11, size=(6, 7))
GROUPS = {
    "attention": tuple(name for name in shapes(TINY) if "attn" in name),
    "mlp": tuple(name for name in shapes(TINY) if "mlp" in name),
    "embeddings": ("wte.weight", "wpe.weight"),
    "norms": tuple(name for name in shapes(TINY) if "ln_" in name),
    "all": tuple(shapes(TINY)),
    "attention weights": ("h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight"),
}
PROBES = {FLOAT64: 800, Compute(): 50}
PAIRS = 200
ERRORS = 4
"""Standard errors between an estimate and the exact value: chance 6e-5 each if normal, seeds fixed."""


OTHER = {"hessian": "gauss_newton", "gauss_newton": "hessian"}


class Exact(NamedTuple):
    """The diagonals of H and G, by parameter."""

    hessian: dict[str, np.ndarray]
    gauss_newton: dict[str, np.ndarray]

    def slopes(self, matrix: str, *, relative: bool = False) -> np.ndarray:
        diagonal = getattr(self, matrix)
        unit = {
            name: np.std(model()[name], dtype=float) ** 2 if relative else 1 for name in diagonal
        }
        halves = {name: unit[name] * diagonal[name].sum() / 2 for name in diagonal}
        return np.array([sum(halves[name] for name in names) for names in GROUPS.values()])


def model(seed: int = 0) -> dict[str, np.ndarray]:
    return random_parameters(TINY, seed)


@cache
def exact() -> Exact:
    """One parameter at a time by the Hessian of the mean loss, one logit at a time by its gradient."""
    flat = np.concatenate([value.ravel() for value in model().values()]).astype(np.float64)
    ends = np.cumsum([value.size for value in model().values()])[:-1]

    def unravel(flat: Any, split: Any = np.split) -> dict[str, Any]:
        parts = zip(shapes(TINY).items(), split(flat, ends), strict=True)
        return {name: part.reshape(shape) for (name, shape), part in parts}

    with jax.enable_x64(True):
        tokens, targets = WINDOWS[:, :-1], WINDOWS[:, 1:]

        def risk(flat: Any) -> Any:
            return loss(unravel(flat, jnp.split), tokens, targets, TINY, FLOAT64)

        def scores(flat: Any) -> Any:
            token_logits = logits(unravel(flat, jnp.split), tokens, TINY, FLOAT64)
            return token_logits.reshape(tokens.size, -1)

        def derivatives(flat: Any) -> Any:
            slope, (out, pull) = jax.grad(risk), jax.vjp(scores, flat)
            column = lambda e: jax.jvp(slope, (flat,), (e,))[1] @ e  # noqa: E731
            row = lambda e: pull(e.reshape(out.shape))[0]  # noqa: E731
            H = jax.lax.map(column, jnp.eye(flat.size))
            return H, jax.lax.map(row, jnp.eye(out.size)), jax.nn.softmax(out)

        H, J, p = map(np.asarray, jax.jit(derivatives)(flat))
    J, p = J.reshape(tokens.size, -1, flat.size), p[..., None]
    G = ((p * J**2).sum(axis=1) - (p * J).sum(axis=1) ** 2).mean(axis=0)
    return Exact(unravel(H), unravel(G))


@cache
def sampled(compute: Compute = FLOAT64, seed: int = 0, model_seed: int = 0) -> Any:
    return curvature(
        model(model_seed),
        TINY,
        WINDOWS,
        probes=PROBES[compute],
        batch=2,
        seed=seed,
        compute=compute,
    )


def damaged(
    parameters: Any,
    groups: Any,
    sigmas: tuple[float, float],
    compute: Compute = FLOAT64,
    **options: Any,
) -> Any:
    """Always of as many windows, sigmas and pairs, for which a program is compiled."""
    return damages(
        parameters, TINY, WINDOWS, groups, sigmas, pairs=PAIRS, batch=2, compute=compute, **options
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_windows_come_in_batches(batch: int) -> None:
    with jax.enable_x64(True):
        _, batches = _placed(model(), TINY, WINDOWS, batch, FLOAT64)
    assert batches.shape == (len(WINDOWS) // batch, batch, WINDOWS.shape[1])
    np.testing.assert_array_equal(batches.reshape(WINDOWS.shape), WINDOWS)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_traces_are_those_of_the_whole_matrix(matrix: Any, relative: bool) -> None:
    slopes = sampled().slopes(GROUPS, matrix=matrix, relative=relative)
    expected = exact().slopes(matrix, relative=relative)
    assert (np.abs(slopes.value - expected) < ERRORS * slopes.standard_error).all()
    # Precise enough to tell the two matrices apart.
    other = exact().slopes(OTHER[matrix], relative=relative)
    assert (np.abs(slopes.value - other) > ERRORS * slopes.standard_error).any()


def test_a_group_is_the_sum_of_its_tensors() -> None:
    value = dict(zip(GROUPS, sampled().slopes(GROUPS).value, strict=True))
    parts = sum(value[name] for name in ("attention", "mlp", "embeddings", "norms"))
    assert value["all"] == pytest.approx(parts, rel=1e-12)  # a sum of 16 terms, in another order


@pytest.mark.slow
def test_float32_is_float64_to_rounding() -> None:
    for matrix in ("hessian", "gauss_newton"):
        narrow, wide = (
            sampled(compute).slopes(GROUPS, matrix=matrix) for compute in (Compute(), FLOAT64)
        )
        # Other probes, since random signs and labels depend on the type; so within standard errors.
        error = np.hypot(narrow.standard_error, wide.standard_error)
        assert (np.abs(narrow.value - wide.value) < ERRORS * error).all()


@pytest.mark.parametrize("compute", [FLOAT64, Compute()], ids=["float64", "float32"])
@pytest.mark.parametrize("relative", [False, True])
def test_measured_slopes_are_the_predicted(relative: bool, compute: Compute) -> None:
    expected = exact().slopes("hessian", relative=relative)
    damage = damaged(model(), GROUPS, (0.004, 0.008), compute, relative=relative)
    slopes, limit = damage.slopes(), damage.slopes_at_zero()
    assert (np.abs(slopes.value[:, 0] - expected) < ERRORS * slopes.standard_error[:, 0]).all()
    assert (np.abs(limit.value - expected) < ERRORS * limit.standard_error).all()
    # Precise enough to tell groups apart.
    assert (np.abs(np.diff(expected)) > 2 * ERRORS * slopes.standard_error[1:, 0]).sum() >= 2


def test_the_limit_cancels_the_next_order() -> None:
    """A pair's damage is sigma^2 (a + b sigma^2) up to sigma^6, so larger sigmas have the limit of smaller ones."""
    near, far = damaged(model(), GROUPS, (0.001, 0.002)), damaged(model(), GROUPS, (0.02, 0.01))
    limit, bent = near.slopes_at_zero().value, far.slopes().value[:, 1]
    assert (np.abs(far.slopes_at_zero().value - limit) < 0.1 * np.abs(bent - limit)).all()


def test_groups_and_units_share_their_noise() -> None:
    alone = {"wpe": ("wpe.weight",), "again": ("wpe.weight",)}
    absolute = damaged(model(), alone, (0.01, 0.02)).samples
    assert absolute[0].tobytes() == absolute[1].tobytes()
    unit = float(np.std(model()["wpe.weight"], dtype=float))
    relative = damaged(model(), alone, (0.01 / unit, 0.02 / unit), relative=True).samples
    # Losses of order 1 round at 1e-16 in each of a few operations.
    np.testing.assert_allclose(relative, absolute, atol=1e-14)


def test_same_seed_same_bits_and_one_program_for_all_models() -> None:
    programs = {module._trace_program: PROBES[Compute()], module._damage_program: PAIRS}

    def traced(model_seed: int, seed: int) -> bytes:
        sampled.cache_clear()
        traces = sampled(Compute(), seed, model_seed)
        damage = damaged(
            model(model_seed), {"all": GROUPS["all"]}, (0.1, 0.2), Compute(), seed=seed
        )
        samples = traces.hessian, traces.gauss_newton, damage.samples
        return b"".join(map(np.ndarray.tobytes, samples))

    bits = traced(0, 1)
    assert traced(0, 1) == bits
    assert traced(0, 2) != bits
    assert traced(9, 1) != bits
    for program, count in programs.items():
        assert program(TINY, Compute(), count)._cache_size() == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probes": 1}, "probes = 1: give 2 or more"),
        ({"batch": 4}, "N a multiple of the batch"),
        ({"compute": Compute("bfloat16")}, "lost in the rounding of bfloat16"),
    ],
)
def test_traces_refused(options: dict[str, Any], said: str) -> None:
    assert said in message(curvature, model(), TINY, WINDOWS, **{"probes": 2, "batch": 2} | options)


@pytest.mark.parametrize(
    ("groups", "sigmas", "pairs", "said"),
    [
        ({"a": ("wte",)}, (0.1,), 2, "group 'a' names wte, which the model has not"),
        ({"a": ()}, (0.1,), 2, "group 'a' names no parameter"),
        (GROUPS, (0.0, 0.1), 2, "give one or more numbers above 0"),
        (GROUPS, (), 2, "give one or more numbers above 0"),
        (GROUPS, (0.1,), 1, "pairs = 1: give 2 or more"),
    ],
)
def test_damages_refused(groups: Any, sigmas: Any, pairs: int, said: str) -> None:
    assert said in message(damages, model(), TINY, WINDOWS, groups, sigmas, pairs=pairs)


def test_a_limit_needs_two_sigmas() -> None:
    damage = Damages(("all",), np.array([0.1]), np.zeros((1, 1, 2)))
    assert "measure the damage at two or more" in message(damage.slopes_at_zero)
