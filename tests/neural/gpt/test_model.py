"""The GPT computes what GPT-2 is, by whatever route it computes it; its gradients are those of what it computes."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural.gpt import layers
from neural.gpt.cache import empty, read
from neural.gpt.config import PRESETS, Compute, ModelConfig, compute_on, preset
from neural.gpt.layers import attend, norm
from neural.gpt.loss import losses, mean_loss
from neural.gpt.model import DEFAULT, Parameters, init, logits, loss, shapes, states, token_losses
from sim.runs.errors import UserError

MINUTE = ModelConfig(layers=2, width=16, heads=2, context=12, vocabulary=23)
SMALL = ModelConfig(layers=3, width=64, heads=4, context=32, vocabulary=512, tied=False)
ROUTES = {
    "straight": Compute(),
    "loop": Compute(scan=True, logits=23 * 5),
    "remat": Compute(remat=True),
}
SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("loop", "remat")]
EPS = float(np.finfo(np.float32).eps)


compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""jax.jit, in less than half the time: these programs run once."""


DRAWN = compiled(partial(init, SMALL))
READ = compiled(partial(read, config=MINUTE))


@cache
def logits_by(compute: Compute = DEFAULT) -> Callable[..., jax.Array]:
    return compiled(partial(logits, config=MINUTE, compute=compute))


Sloped = Callable[..., tuple[jax.Array, Parameters]]


def with_slope(compute: Compute) -> Sloped:
    return jax.value_and_grad(partial(loss, config=MINUTE, compute=compute))


@cache
def loss_and_slope(compute: Compute = DEFAULT) -> Sloped:
    return compiled(with_slope(compute))


def batch(config: ModelConfig, B: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    shape = (B, config.context + 1)
    tokens = np.random.default_rng(seed).integers(config.vocabulary, size=shape, dtype=np.int32)
    return tokens[:, :-1], tokens[:, 1:]


def stirred(config: ModelConfig, seed: int = 0, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Parameters of order 0.3, none of them 0 or 1: every term of the model and of its gradient counts."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            ("ln_" in name and name.endswith("weight")) + 0.3 * rng.standard_normal(shape)
        ).astype(dtype)
        for name, shape in shapes(config).items()
    }


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of queries in a context of 12, the last of them shorter."""
    monkeypatch.setattr(layers, "QUERIES", 5)


def forward(
    parameters: dict[str, np.ndarray], tokens: np.ndarray, config: ModelConfig
) -> np.ndarray:
    """GPT-2 in numpy, a sequence, a head and a query at a time: logits (B, T, V)."""
    p = {name: value.astype(np.float64) for name, value in parameters.items()}
    E = config.width // config.heads

    def layer_norm(name: str, x: np.ndarray) -> np.ndarray:
        mean, variance = x.mean(), x.var()
        return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def logits_of(sequence: np.ndarray) -> np.ndarray:
        x = [p["wte.weight"][token] + p["wpe.weight"][t] for t, token in enumerate(sequence)]
        for layer in range(config.layers):
            h = f"h.{layer}"
            c_attn, c_proj, c_fc, mlp_proj = (
                (p[f"{h}.{name}.weight"], p[f"{h}.{name}.bias"])
                for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
            )
            qkv = [layer_norm(f"{h}.ln_1", row) @ c_attn[0] + c_attn[1] for row in x]
            q, k, v = (
                np.array([row[i * config.width : (i + 1) * config.width] for row in qkv])
                for i in range(3)
            )
            after = []
            for t, row in enumerate(x):
                mixed = np.zeros(config.width)
                for head in range(config.heads):
                    mine = slice(head * E, (head + 1) * E)
                    weights = np.exp(k[: t + 1, mine] @ q[t, mine] / math.sqrt(E))
                    mixed[mine] = weights @ v[: t + 1, mine] / weights.sum()
                row = row + mixed @ c_proj[0] + c_proj[1]
                u = layer_norm(f"{h}.ln_2", row) @ c_fc[0] + c_fc[1]
                gelu = u / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
                after.append(row + gelu @ mlp_proj[0] + mlp_proj[1])
            x = after
        output = p["wte.weight"] if config.tied else p["lm_head.weight"]
        return np.array([output @ layer_norm("ln_f", row) for row in x])

    return np.array([logits_of(sequence) for sequence in tokens])


@pytest.mark.parametrize(
    ("route", "tied"), [("straight", True), ("straight", False), ("loop", True), ("remat", True)]
)
def test_logits_are_gpt_2_s(route: str, tied: bool) -> None:
    config, compute = replace(MINUTE, tied=tied), ROUTES[route]
    parameters, (tokens, targets) = stirred(config), batch(config)
    computed, each, mean = compiled(
        lambda p: (
            logits(p, tokens, config, compute),
            token_losses(p, tokens, targets, config, compute),
            loss(p, tokens, targets, config, compute),
        )
    )(parameters)
    expected = forward(parameters, tokens, config)
    assert computed.dtype == jnp.float32
    # A few hundred roundings of float32 numbers, relative to the largest.
    np.testing.assert_allclose(computed, expected, atol=300 * EPS * np.abs(expected).max())
    true = np.take_along_axis(expected, targets[..., None], -1)[..., 0]
    nats = np.log(np.exp(expected).sum(-1)) - true
    np.testing.assert_allclose(each, nats, atol=300 * EPS * np.abs(expected).max())
    assert float(mean) == pytest.approx(nats.mean(), rel=100 * EPS)


def test_a_shorter_sequence_is_a_prefix() -> None:
    parameters, (tokens, _) = stirred(MINUTE), batch(MINUTE)
    whole, part = (np.asarray(logits_by()(parameters, tokens[:, :n])) for n in (12, 7))
    np.testing.assert_allclose(part, whole[:, :7], atol=1e-4)


def test_states_are_the_residual_stream() -> None:
    parameters, (tokens, _) = stirred(MINUTE), batch(MINUTE)
    stream, looped = compiled(
        lambda p: tuple(states(p, tokens, MINUTE, ROUTES[route]) for route in ("straight", "loop"))
    )(parameters)
    assert stream.shape == (MINUTE.layers + 1, *tokens.shape, MINUTE.width)
    first = parameters["wte.weight"][tokens] + parameters["wpe.weight"]
    np.testing.assert_array_equal(stream[0], first)
    last = np.asarray(
        compiled(norm)(stream[-1], parameters["ln_f.weight"], parameters["ln_f.bias"])
    )
    computed = logits_by()(parameters, tokens)
    np.testing.assert_allclose(last @ parameters["wte.weight"].T, computed, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(looped, stream, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("route", ["straight", *SLOWER])
def test_no_token_hears_of_later_ones(route: str) -> None:
    """The gradient of a token's loss in every later embedding is 0 exactly, and in none of the earlier ones."""
    config = replace(MINUTE, tied=False)
    parameters = stirred(config)
    tokens, targets = np.arange(config.context)[None], batch(config, B=1)[1]

    def nats(embedding: jax.Array) -> jax.Array:
        given = parameters | {"wte.weight": embedding}
        return token_losses(given, tokens, targets, config, ROUTES[route])[0]

    gradient = np.asarray(compiled(jax.jacrev(nats))(parameters["wte.weight"]))
    heard = np.abs(gradient[:, : config.context]).max(axis=-1)
    assert not np.triu(heard, 1).any()
    assert (heard[np.tril_indices(config.context)] > 0).all()


@pytest.mark.parametrize("route", ["straight", *SLOWER])
def test_gradients_are_finite_differences(route: str) -> None:
    """In float64, parameter by parameter, along a random direction."""
    step = 1e-5
    with jax.enable_x64(True):
        compute = replace(ROUTES[route], dtype="float64")
        parameters, (tokens, targets) = stirred(MINUTE, dtype="float64"), batch(MINUTE)
        of_loss = lambda p: loss(p, tokens, targets, MINUTE, compute)  # noqa: E731
        value, gradient = compiled(of_loss), compiled(jax.grad(of_loss))(parameters)
        rng = np.random.default_rng(1)
        for name, array in parameters.items():
            along = rng.standard_normal(array.shape)
            ends = [value(parameters | {name: array + sign * step * along}) for sign in (1, -1)]
            slope = float(ends[0] - ends[1]) / (2 * step)
            # Third derivatives times step^2, and rounding over step: 1e-10 of a loss of order 1 each.
            assert np.vdot(gradient[name], along) == pytest.approx(slope, rel=1e-6, abs=1e-8), name


@pytest.mark.slow
def test_gradients_have_gradients() -> None:
    """Curvature takes the derivative of the gradient along a direction; custom gradients must let it."""
    step = 1e-5
    with jax.enable_x64(True):
        compute = Compute(dtype="float64")
        parameters, (tokens, targets) = stirred(MINUTE, dtype="float64"), batch(MINUTE)
        along = stirred(MINUTE, seed=5, dtype="float64")
        slope = jax.grad(lambda p: loss(p, tokens, targets, MINUTE, compute))
        _, curvatures = compiled(lambda p, v: jax.jvp(slope, (p,), (v,)))(parameters, along)
        moved = [
            compiled(slope)({n: parameters[n] + sign * step * along[n] for n in along})
            for sign in (1, -1)
        ]
        for name, curvature in curvatures.items():
            expected = (moved[0][name] - moved[1][name]) / (2 * step)
            np.testing.assert_allclose(
                curvature, expected, atol=1e-6 * max(1.0, float(jnp.abs(expected).max()))
            )


def test_attention_s_gradient_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    q, k, v, out = (jnp.asarray(rng.standard_normal((3, 12, 4)), jnp.float32) for _ in range(4))

    def formula(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        seen = jnp.tril(jnp.ones(scores.shape[1:], bool))
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1) @ v

    def with_gradients(function: Callable[..., jax.Array]) -> tuple[jax.Array, ...]:
        mixed, pull = jax.vjp(function, q, k, v)
        return mixed, *pull(out)

    computed, expected = compiled(lambda: (with_gradients(attend), with_gradients(formula)))()
    for ours, other in zip(computed, expected, strict=True):
        np.testing.assert_allclose(ours, other, atol=100 * EPS)


def test_attention_survives_large_scores() -> None:
    q = jnp.full((1, 12, 4), 100.0)
    total, gradient = compiled(jax.value_and_grad(lambda q: attend(q, q, q).sum()))(q)
    assert float(total) == float(q.sum())
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("most", [1, 23, 23 * 7, 23 * 36, 10**6])
def test_the_fused_loss_is_the_plain_one(most: int) -> None:
    """Whatever the chunks: one token each, some that do not divide 36, all at once."""
    rng = np.random.default_rng(0)
    x, head = (rng.standard_normal(shape).astype(np.float32) for shape in ((36, 8), (23, 8)))
    targets = rng.integers(23, size=36)

    def plain(x: jax.Array, head: jax.Array) -> jax.Array:
        return -jax.nn.log_softmax(x @ head.T)[jnp.arange(36), targets]

    weights = rng.standard_normal(36).astype(np.float32)

    def with_gradients(
        each: Callable[..., jax.Array], mean: Callable[..., jax.Array]
    ) -> list[object]:
        sums = (lambda x, h: 3 * mean(x, h), lambda x, h: weights @ each(x, h))
        return [each(x, head), *(jax.value_and_grad(f, (0, 1))(x, head) for f in sums)]

    fused = (partial(f, targets=targets, most=most) for f in (losses, mean_loss))
    computed, expected = compiled(
        lambda: (with_gradients(*fused), with_gradients(plain, lambda x, h: plain(x, h).mean()))
    )()
    np.testing.assert_allclose(computed[0], expected[0], atol=50 * EPS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=100 * EPS), computed, expected)


def test_a_loss_holds_few_logits() -> None:
    """The whole training gradient needs less memory than the logits of the batch alone would."""
    config = ModelConfig(layers=1, width=8, heads=1, context=10, vocabulary=20_000)
    tokens = np.zeros((100, 10), np.int32)
    gradient = compiled(
        jax.value_and_grad(lambda p: loss(p, tokens, tokens, config, Compute(logits=2**20)))
    )
    program = gradient.lower(stirred(config)).compile()
    assert program.memory_analysis().temp_size_in_bytes < 4 * tokens.size * config.vocabulary / 2


def gradients(config: ModelConfig, compute: Compute) -> jax.stages.Compiled:
    tokens, targets = batch(config, B=64)
    of_loss = compiled(jax.value_and_grad(lambda p: loss(p, tokens, targets, config, compute)))
    return of_loss.lower(stirred(config)).compile()


@pytest.mark.slow
def test_rematerialisation_saves_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "QUERIES", 128)
    config = ModelConfig(layers=6, width=16, heads=2, context=20, vocabulary=16)
    plain, again = (gradients(config, Compute(remat=remat)) for remat in (False, True))
    memory = [program.memory_analysis().temp_size_in_bytes for program in (plain, again)]
    assert memory[1] < memory[0] / 2
    parameters = stirred(config)
    (_, gradient), (_, other) = plain(parameters), again(parameters)
    for name in gradient:
        scale = float(jnp.abs(gradient[name]).max())
        np.testing.assert_allclose(gradient[name], other[name], atol=1e-4 * scale, err_msg=name)


def test_no_layer_s_gradient_waits_for_all_later_ones() -> None:
    """On CPUs XLA fuses sums of residual gradients of all later layers into every layer, where norms let it."""

    def most_operands(depth: int) -> int:
        config = replace(MINUTE, layers=depth)
        fusions = re.findall(r" fusion\((.*?)\), kind", gradients(config, Compute()).as_text())
        return max(fusion.count("%") for fusion in fusions)

    assert most_operands(6) == most_operands(3)


def test_bfloat16_is_float32_to_its_rounding() -> None:
    parameters, (tokens, targets) = stirred(MINUTE), batch(MINUTE)
    compute = Compute(dtype="bfloat16")
    precisions = Compute(), compute
    exact, rounded = (np.asarray(logits_by(c)(parameters, tokens)) for c in precisions)
    assert rounded.dtype == np.float32
    # Eight bits of mantissa, and a dozen roundings on the way.
    assert np.abs(rounded - exact).max() < 12 * 2**-8 * np.abs(exact).max()
    assert np.abs(rounded - exact).max() > 2**-12
    gradient, other = (loss_and_slope(c)(parameters, tokens, targets)[1] for c in precisions)
    for name in gradient:
        assert other[name].dtype == np.float32
        a, b = np.asarray(gradient[name]).ravel(), np.asarray(other[name]).ravel()
        assert a @ b > 0.99 * np.linalg.norm(a) * np.linalg.norm(b), name


def test_the_flash_kernel_gets_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its GPU, the same call by JAX's own attention: (B, T, H, E), causal."""
    asked = []

    def stand_in(*qkv: jax.Array, is_causal: bool, implementation: str) -> jax.Array:
        asked.append(implementation)
        return real(*qkv, is_causal=is_causal)

    real = jax.nn.dot_product_attention
    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    parameters, (tokens, _) = stirred(MINUTE), batch(MINUTE)
    compute = Compute(dtype="bfloat16")
    ours = np.asarray(logits_by(compute)(parameters, tokens))
    theirs = compiled(lambda p: logits(p, tokens, MINUTE, replace(compute, attention="cudnn")))(
        parameters
    )
    assert asked == ["cudnn"] * MINUTE.layers
    np.testing.assert_allclose(ours, theirs, atol=12 * 2**-8 * np.abs(ours).max())


@pytest.mark.parametrize("route", ["straight", *SLOWER])
def test_seeds_train_together_as_alone(route: str) -> None:
    tokens, targets = batch(MINUTE)
    alone = [stirred(MINUTE, seed) for seed in range(3)]
    stacked = {name: np.stack([p[name] for p in alone]) for name in alone[0]}
    of_many = jax.vmap(with_slope(ROUTES[route]), in_axes=(0, None, None))
    together = compiled(of_many)(stacked, tokens, targets)
    for seed, parameters in enumerate(alone):
        # The same sums in another order.
        jax.tree.map(
            lambda a, b, seed=seed: np.testing.assert_allclose(
                np.asarray(a)[seed], b, atol=300 * EPS * np.abs(b).max()
            ),
            together,
            loss_and_slope(ROUTES[route])(parameters, tokens, targets),
        )


def test_initial_loss_is_that_of_a_uniform_guess() -> None:
    tokens, targets = batch(SMALL, B=8)
    parameters = DRAWN(jax.random.key(0))
    nats = compiled(lambda p: loss(p, tokens, targets, SMALL, Compute(scan=True)))(parameters)
    # Logits have a variance of 0.02^2 width, of which the log-sum-exp gains half.
    assert float(nats) == pytest.approx(math.log(512), abs=2 * 0.02**2 * 64)


def test_initial_parameters() -> None:
    def drawn(seed: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in DRAWN(jax.random.key(seed)).items()}

    parameters = drawn(0)
    assert {name: value.shape for name, value in parameters.items()} == shapes(SMALL)
    assert sum(value.size for value in parameters.values()) == SMALL.parameters
    for name, value in parameters.items():
        if name.endswith("bias") or "ln_" in name:
            assert (value == (name.endswith("weight"))).all(), name
        else:
            scale = 0.02 / math.sqrt(6) if "c_proj" in name else 0.02
            # Five standard errors of a standard deviation.
            assert value.std(dtype=float) == pytest.approx(scale, rel=5 / math.sqrt(2 * value.size))
    again, other = drawn(0), drawn(1)
    weights = [value for value in parameters.values() if value.ndim > 1]
    assert all((parameters[name] == again[name]).all() for name in parameters)
    assert not (parameters["wte.weight"] == other["wte.weight"]).any()
    assert all(not np.isin(a.ravel()[:100], b.ravel()[:100]).any() for a, b in pairwise(weights))


def test_names_are_hugging_face_s() -> None:
    names = list(shapes(replace(MINUTE, layers=1, tied=False)))
    assert names[:3] == ["wte.weight", "wpe.weight", "h.0.ln_1.weight"]
    assert names[-3:] == ["ln_f.weight", "ln_f.bias", "lm_head.weight"]
    assert shapes(MINUTE)["h.1.attn.c_attn.weight"] == (16, 48)
    assert shapes(MINUTE)["h.1.mlp.c_proj.weight"] == (64, 16)
    assert "lm_head.weight" not in shapes(MINUTE)


@pytest.mark.parametrize("prompt", [1, 5])
def test_reading_on_is_reading_whole(prompt: int) -> None:
    parameters, (tokens, _) = stirred(MINUTE), batch(MINUTE)
    whole = np.asarray(logits_by()(parameters, tokens))
    piece, cache = READ(parameters, tokens[:, :prompt], empty(MINUTE, len(tokens)))
    pieces = [piece]
    for t in range(prompt, MINUTE.context):
        piece, cache = READ(parameters, tokens[:, t : t + 1], cache)
        pieces.append(piece)
    assert int(cache.length) == MINUTE.context
    scale = np.abs(whole).max()
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole, atol=300 * EPS * scale)


def test_nothing_is_read_beyond_the_context() -> None:
    parameters, (tokens, _) = stirred(MINUTE), batch(MINUTE)
    cache = empty(MINUTE, len(tokens))
    for start in (0, 5):
        _, cache = READ(parameters, tokens[:, start : start + 5], cache)
    computed, _ = READ(parameters, tokens[:, :5], cache)
    assert np.isnan(computed).all(axis=-1)[0].tolist() == [False, False, True, True, True]
    with pytest.raises(ValueError, match="13 tokens in a context of 12"):
        logits(parameters, np.zeros((1, 13), np.int32), MINUTE)
    with pytest.raises(ValueError, match="13 tokens in a context of 12"):
        read(parameters, np.zeros((1, 13), np.int32), empty(MINUTE, 1), MINUTE)


def test_an_id_beyond_the_vocabulary_is_no_number() -> None:
    parameters, (tokens, targets) = stirred(MINUTE), batch(MINUTE)
    unknown = tokens.copy(), targets.copy()
    for ids in unknown:
        ids[0, 3] = 23

    def loss_at(tokens: np.ndarray, targets: np.ndarray) -> jax.Array:
        return loss_and_slope()(parameters, tokens, targets)[0]

    assert np.isfinite(loss_at(tokens, targets))
    assert np.isnan(loss_at(unknown[0], targets))
    assert np.isnan(loss_at(tokens, unknown[1]))


def test_presets_are_the_sizes_of_their_names() -> None:
    millions = {name: round(PRESETS[name].parameters / 1e6) for name in PRESETS}
    assert millions["tiny"] == 1
    # As published, with 1024 positions and 50257 ids.
    assert [millions[f"gpt2{size}"] for size in ("", "-medium", "-large", "-xl")] == [
        124,
        355,
        774,
        1558,
    ]
    for config in PRESETS.values():
        config.check()


def test_training_flops_are_those_of_the_program() -> None:
    """XLA's count of the gradient of a model so wide that matrix products are nearly all of it."""
    config = ModelConfig(layers=2, width=256, heads=2, context=5, vocabulary=1024)
    tokens, targets = batch(config, B=64)
    of_loss = jax.jit(jax.value_and_grad(lambda p: loss(p, tokens, targets, config)))
    counted = of_loss.lower(stirred(config)).cost_analysis()["flops"]
    assert counted / tokens.size == pytest.approx(config.training_flops(), rel=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 3}, "3 heads do not divide a width of 16: make the width a multiple of 3"),
        ({"layers": 0}, "layers = 0: give a whole number >= 1"),
        ({"vocabulary": -1}, "vocabulary = -1: give a whole number >= 1"),
    ],
)
def test_no_gpt(change: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(MINUTE, **change).check()
    with pytest.raises(UserError, match=message):
        init(replace(MINUTE, **change), jax.random.key(0))


def test_no_preset_no_option() -> None:
    with pytest.raises(UserError, match="unknown preset 'huge': choose from tiny, mini"):
        preset("huge")
    for compute, message in (
        (Compute(dtype="int8"), "unknown dtype 'int8': choose from float32, bfloat16"),  # type: ignore[arg-type]
        (Compute(attention="flash"), "unknown attention 'flash': choose from xla, cudnn"),  # type: ignore[arg-type]
        (Compute(attention="cudnn"), "cudnn attention computes in bfloat16, not float32"),
        (Compute(logits=0), "logits = 0: give a whole number >= 1"),
    ):
        with pytest.raises(UserError, match=message):
            compute.check()
    with pytest.raises(UserError, match="float64 is off in JAX: set JAX_ENABLE_X64=1"):
        logits_by(Compute(dtype="float64"))(stirred(MINUTE), batch(MINUTE)[0])


def test_what_suits_a_platform() -> None:
    assert compute_on("cpu") == Compute()
    gpu = compute_on("gpu")
    assert (gpu.dtype, gpu.attention) == ("bfloat16", "cudnn")
    assert compute_on("gpu", dtype="float32").attention == "xla"
    for platform in ("cpu", "gpu", "tpu"):
        compute_on(platform, remat=True).check()
