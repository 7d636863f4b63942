"""GPT-2 as pure functions of a flat dictionary of parameters, named and oriented as in Hugging Face's state dict.

Sequences B, tokens T, width d, heads H of width E, vocabulary V. A dense layer is x @ weight + bias. Within, tokens of
all sequences are one axis: two-dimensional products are what every backend is best at. Everything works under vmap
with a leading axis of seeds on every parameter.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.layers import attend, dense, norm
from neural.gpt.loss import logits as unembed
from neural.gpt.loss import losses, mean_loss
from sim.runs.errors import UserError

Parameters = dict[str, jax.Array]

STANDARD_DEVIATION = 0.02
"""Of initial weights; of those that write to the residual stream, over sqrt(2 layers)."""

DEFAULT = Compute()


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by name, in the order of Hugging Face's state dict."""
    d, V = config.width, config.vocabulary
    block = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, 4 * d),
        "mlp.c_fc.bias": (4 * d,),
        "mlp.c_proj.weight": (4 * d, d),
        "mlp.c_proj.bias": (d,),
    }
    by_name: dict[str, tuple[int, ...]] = {"wte.weight": (V, d), "wpe.weight": (config.context, d)}
    for layer in range(config.layers):
        by_name |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    by_name |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    return by_name if config.tied else by_name | {"lm_head.weight": (V, d)}


@jax.jit
def taken(stacks: Parameters, places: Any) -> Parameters:
    """The models at some places of stacks (S, ...) of them, or at one place, by one program for all tensors."""
    return {name: value[places] for name, value in stacks.items()}


def init(config: ModelConfig, key: jax.Array) -> Parameters:
    """Initial parameters, as GPT-2's: normal weights, biases 0, layer norms 1; a function of the key alone."""
    config.check()
    residual = STANDARD_DEVIATION / math.sqrt(2 * config.layers)

    def draw(key: jax.Array, name: str, shape: tuple[int, ...]) -> jax.Array:
        if name.endswith(".bias"):
            return jnp.zeros(shape)
        if "ln_" in name:
            return jnp.ones(shape)
        scale = residual if name.endswith("c_proj.weight") else STANDARD_DEVIATION
        return scale * jax.random.normal(key, shape)

    parameters: Parameters = {}
    for place, (name, shape) in enumerate(shapes(replace(config, layers=1)).items()):
        # All layers at once: one program to compile for each kind of weight, however many layers.
        copies = config.layers if name.startswith("h.0.") else 1
        drawn = draw(jax.random.fold_in(key, place), name, (copies, *shape))
        parameters |= {name.replace("h.0.", f"h.{layer}."): drawn[layer] for layer in range(copies)}
    return {name: parameters[name] for name in shapes(config)}


def logits(
    parameters: Parameters, tokens: Any, config: ModelConfig, compute: Compute = DEFAULT
) -> jax.Array:
    """Of the token after each of tokens (B, T): (B, T, V) float32."""
    return unembed(*_final(parameters, tokens, config, compute)).reshape(*tokens.shape, -1)


def token_losses(
    parameters: Parameters,
    tokens: Any,
    targets: Any,
    config: ModelConfig,
    compute: Compute = DEFAULT,
    without: Any = None,
) -> jax.Array:
    """-log p(target) after each of tokens (B, T), for targets (B, T): (B, T) float32, in nats.

    Given ids (n,) `without` which the targets are: (2, B, T), where these ids cannot come and where they can.
    """
    x, head = _final(parameters, tokens, config, compute)
    nats = losses(x, head, targets.reshape(-1), compute.logits, without)
    return nats.T.reshape(*nats.shape[1:], *tokens.shape)


def loss(
    parameters: Parameters,
    tokens: Any,
    targets: Any,
    config: ModelConfig,
    compute: Compute = DEFAULT,
) -> jax.Array:
    """The mean of token_losses: what training minimises. Its gradient is made along with it."""
    x, head = _final(parameters, tokens, config, compute)
    return mean_loss(x, head, targets.reshape(-1), compute.logits)


def states(
    parameters: Parameters, tokens: Any, config: ModelConfig, compute: Compute = DEFAULT
) -> jax.Array:
    """The residual stream after the embeddings and after each block, (layers + 1, B, T, d); the last before ln_f."""
    stream = jnp.stack(_stream(parameters, tokens, config, compute))
    return stream.reshape(len(stream), *tokens.shape, config.width)


def continued_losses(
    parameters: Parameters,
    state: jax.Array,
    targets: Any,
    layer: int,
    config: ModelConfig,
    compute: Compute = DEFAULT,
) -> jax.Array:
    """-log p(target) (B, T) where the residual stream after `layer` blocks is the given state (B, T, d)."""
    B = len(state)
    x = state.reshape(-1, config.width)
    for i in range(layer, config.layers):
        x = _block(block_parameters(parameters, i), x, B, config, compute)
    nats = losses(
        normed(parameters, "ln_f", x), head(parameters), targets.reshape(-1), compute.logits
    )
    return nats.reshape(targets.shape)


def activations(compute: Compute) -> Any:
    """The type of activations. Raises UserError for float64 where JAX would quietly make it float32."""
    if jax.dtypes.canonicalize_dtype(compute.dtype) != compute.dtype:
        raise UserError(
            f"{compute.dtype} is off in JAX: set JAX_ENABLE_X64=1, or compute in float32"
        )
    return jnp.dtype(compute.dtype)


def embed(parameters: Parameters, tokens: Any) -> jax.Array:
    """The embeddings of tokens, (..., d); NaN of an id that the vocabulary has not."""
    return parameters["wte.weight"].at[tokens].get(mode="fill", fill_value=jnp.nan)


def head(parameters: Parameters) -> jax.Array:
    """What turns final states into logits, (V, d): the token embedding where the output is tied."""
    return parameters.get("lm_head.weight", parameters["wte.weight"])


def block_parameters(parameters: Parameters, layer: int) -> Parameters:
    """Those of one block, named from within: attn.c_attn.weight, ..."""
    prefix = f"h.{layer}."
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def split_heads(p: Parameters, x: jax.Array, B: int, config: ModelConfig) -> list[jax.Array]:
    """Queries, keys and values (B, H, T, E) that a block makes of the residual stream x (B T, d)."""
    qkv = dense(normed(p, "ln_1", x), p["attn.c_attn.weight"], p["attn.c_attn.bias"])
    parts = qkv.reshape(B, -1, 3, config.heads, config.head_width)
    return [parts[:, :, i].transpose(0, 2, 1, 3) for i in range(3)]


def after_attention(p: Parameters, x: jax.Array, mixed: jax.Array) -> jax.Array:
    """The residual stream (B T, d) after a block: x, plus what its attention (B, H, T, E) and its MLP make of it."""
    joined = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
    x = x + dense(joined, p["attn.c_proj.weight"], p["attn.c_proj.bias"])
    hidden = dense(normed(p, "ln_2", x), p["mlp.c_fc.weight"], p["mlp.c_fc.bias"])
    hidden = jax.nn.gelu(hidden, approximate=True)
    return x + dense(hidden, p["mlp.c_proj.weight"], p["mlp.c_proj.bias"])


def normed(p: Parameters, name: str, x: jax.Array) -> jax.Array:
    """The layer norm of that name."""
    return norm(x, p[f"{name}.weight"], p[f"{name}.bias"])


def _final(
    parameters: Parameters, tokens: Any, config: ModelConfig, compute: Compute
) -> tuple[jax.Array, jax.Array]:
    """The states (B T, d) that the head reads, and the head."""
    x = _stream(parameters, tokens, config, compute)[-1]
    return normed(parameters, "ln_f", x), head(parameters)


def _stream(
    parameters: Parameters, tokens: Any, config: ModelConfig, compute: Compute
) -> list[jax.Array]:
    """The residual stream (B T, d) after the embeddings and after each block."""
    B, T = tokens.shape
    if config.context < T:
        raise ValueError(f"{T} tokens in a context of {config.context}")
    placed = embed(parameters, tokens) + parameters["wpe.weight"][:T]
    x = placed.reshape(B * T, -1).astype(activations(compute))
    block: Callable[..., jax.Array] = partial(_block, B=B, config=config, compute=compute)
    blocks = [block_parameters(parameters, layer) for layer in range(config.layers)]
    if compute.scan or compute.remat:
        if compute.remat:
            block = jax.checkpoint(block, prevent_cse=False)
        stacked = {name: jnp.stack([p[name] for p in blocks]) for name in blocks[0]}
        last, after = jax.lax.scan(lambda x, p: (block(p, x),) * 2, x, stacked)
        return [x, *after[:-1], last]
    stream = [x]
    for p in blocks:
        stream.append(block(p, stream[-1]))
    return stream


def _block(p: Parameters, x: jax.Array, B: int, config: ModelConfig, compute: Compute) -> jax.Array:
    q, k, v = split_heads(p, x, B, config)
    if compute.attention == "cudnn":
        rows = [part.swapaxes(1, 2) for part in (q, k, v)]  # (B, T, H, E), as they lay in qkv
        mixed = jax.nn.dot_product_attention(*rows, is_causal=True, implementation="cudnn")
        return after_attention(p, x, mixed.swapaxes(1, 2))
    one_axis = [part.reshape(-1, *part.shape[2:]) for part in (q, k, v)]
    return after_attention(p, x, attend(*one_axis).reshape(q.shape))
