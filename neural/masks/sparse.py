"""What a mask saves when a model is run: stored bytes, multiply-adds and time, in several forms of its matrices.

- dense: the matrices with zeros in them, as they are trained;
- packed: the weights that are kept and one bit for every weight; multiplied as dense, after unpacking;
- rows: compressed sparse rows (scipy), one for each output, with a 4-byte index beside every weight;
- compacted: dense, less the MLP units and attention heads that the mask has emptied, to the same logits.

Costs are of the prunable matrices of a model, multiply-adds those for one token; attention between tokens, embeddings
and head are left out, which no mask changes but for heads that are gone.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import ModelConfig
from neural.gpt.layers import attend, dense
from neural.gpt.loss import logits as unembed
from neural.gpt.model import Parameters, block_parameters, embed, head, normed
from neural.masks.mask import Mask

Form = Literal["dense", "packed", "rows", "compacted"]
FORMS: tuple[Form, ...] = get_args(Form)

VALUE, INDEX = 4, 4
"""Bytes of a float32 and of an int32."""


class Cost(NamedTuple):
    """Of a form of the prunable matrices: bytes stored, and multiply-adds for one token."""

    form: Form
    bytes: int
    multiply_adds: int


class Live(NamedTuple):
    """Of a layer: what has both inputs and outputs, and what has outputs alone, and is constant: (H,) or (4d,) each."""

    alive: NDArray[np.bool_]
    constant: NDArray[np.bool_]


def cost(mask: Mask) -> tuple[Cost, ...]:
    """The cost of each form of FORMS."""
    n, kept = mask.size, mask.kept
    starts = sum(mask[name].shape[1] + 1 for name in mask)
    left = sum(
        int(heads(mask, layer).alive.sum()) * 4 * mask.config.width * mask.config.head_width
        + int(units(mask, layer).alive.sum()) * 2 * mask.config.width
        for layer in range(mask.config.layers)
    )
    return (
        Cost("dense", VALUE * n, n),
        Cost("packed", VALUE * kept + sum((mask[name].size + 7) // 8 for name in mask), n),
        Cost("rows", (VALUE + INDEX) * kept + INDEX * starts, kept),
        Cost("compacted", VALUE * left, left),
    )


def heads(mask: Mask, layer: int) -> Live:
    """The attention heads of a layer. One without values is constant: attention's weights sum to 1."""
    H, E = mask.config.heads, mask.config.head_width
    into = np.any(mask.component(layer, "value").reshape(-1, H, E), axis=(0, 2))
    out = np.any(mask.component(layer, "attention-output").reshape(H, -1), axis=1)
    return _live(into, out)


def units(mask: Mask, layer: int) -> Live:
    """The units of a layer's MLP."""
    into = np.any(mask.component(layer, "mlp-in"), axis=0)
    out = np.any(mask.component(layer, "mlp-out"), axis=1)
    return _live(into, out)


def _live(into: Any, out: Any) -> Live:
    return Live(into & out, out & ~into)


def compacted(parameters: Mapping[str, Any], mask: Mask) -> dict[str, NDArray[Any]]:
    """One model under a mask, less the units and heads that it empties: numpy, of the same logits by `logits`.

    What a constant one adds is added to the bias of its output, so logits are equal to the rounding of float32.
    """
    tensors = {name: np.asarray(value) for name, value in mask.apply(parameters).items()}
    for layer in range(mask.config.layers):
        _drop_heads(tensors, f"h.{layer}.attn.", heads(mask, layer), mask.config)
        _drop_units(tensors, f"h.{layer}.mlp.", units(mask, layer))
    return tensors


def _drop_heads(p: dict[str, NDArray[Any]], prefix: str, live: Live, config: ModelConfig) -> None:
    alive, constant = (np.repeat(which, config.head_width) for which in live)
    into, out = f"{prefix}c_attn", f"{prefix}c_proj"
    values = p[f"{into}.bias"][-config.width :]
    p[f"{out}.bias"] = _moved(p[f"{out}.bias"], values[constant], p[f"{out}.weight"][constant])
    p[f"{into}.weight"] = p[f"{into}.weight"][:, np.tile(alive, 3)]
    p[f"{into}.bias"] = p[f"{into}.bias"][np.tile(alive, 3)]
    p[f"{out}.weight"] = p[f"{out}.weight"][alive]


def _drop_units(p: dict[str, NDArray[Any]], prefix: str, live: Live) -> None:
    into, out = f"{prefix}c_fc", f"{prefix}c_proj"
    values = np.asarray(jax.nn.gelu(p[f"{into}.bias"], approximate=True))[live.constant]
    p[f"{out}.bias"] = _moved(p[f"{out}.bias"], values, p[f"{out}.weight"][live.constant])
    p[f"{into}.weight"] = p[f"{into}.weight"][:, live.alive]
    p[f"{into}.bias"] = p[f"{into}.bias"][live.alive]
    p[f"{out}.weight"] = p[f"{out}.weight"][live.alive]


def logits(parameters: Mapping[str, Any], tokens: Any, config: ModelConfig) -> jax.Array:
    """neural.gpt.model.logits in float32, of a model that may have fewer heads and units in each layer: (B, T, V)."""
    parameters = {name: jnp.asarray(value) for name, value in parameters.items()}
    x = (embed(parameters, tokens) + parameters["wpe.weight"][: tokens.shape[1]]).reshape(
        -1, config.width
    )
    for layer in range(config.layers):
        p = block_parameters(parameters, layer)
        mixed = _mixed(p, x, len(tokens), config.head_width)
        x = x + dense(mixed, p["attn.c_proj.weight"], p["attn.c_proj.bias"])
        hidden = dense(normed(p, "ln_2", x), p["mlp.c_fc.weight"], p["mlp.c_fc.bias"])
        hidden = jax.nn.gelu(hidden, approximate=True)
        x = x + dense(hidden, p["mlp.c_proj.weight"], p["mlp.c_proj.bias"])
    scores = unembed(normed(parameters, "ln_f", x), head(parameters))
    return scores.reshape(*tokens.shape, -1)


def in_rows(parameters: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """The prunable matrices of one model in compressed sparse rows: (out, in) of scipy, exactly what the mask keeps."""
    from scipy.sparse import csr_array

    matrices = {}
    for name in mask:
        kept = np.ascontiguousarray(mask[name].T)
        values = np.ascontiguousarray(np.asarray(parameters[name]).T)[kept]
        starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
        places = np.nonzero(kept)[1].astype(np.int32)
        matrices[name] = csr_array((values, places, starts), shape=kept.shape)
    return matrices


def product(matrix: Any, x: NDArray[Any]) -> NDArray[Any]:
    """x (tokens, in) @ W (in, out), where the matrix is W, or its sparse rows (out, in)."""
    return x @ matrix if isinstance(matrix, np.ndarray) else (matrix @ x.T).T


def products(
    parameters: Mapping[str, Any], mask: Mask, form: Form, tokens: int
) -> Callable[[], None]:
    """What multiplies every prunable matrix, in a form, by as many tokens, on the CPU. Raises ValueError for packed."""
    if form == "dense":
        masked = mask.apply(parameters)
        matrices = {name: np.asarray(masked[name]) for name in mask}
    elif form == "rows":
        matrices = in_rows(parameters, mask)
    elif form == "compacted":
        small = compacted(parameters, mask)
        matrices = {name: np.ascontiguousarray(small[name]) for name in mask}
    else:
        raise ValueError(f"{form!r} is not multiplied: choose dense, rows or compacted")
    rng = np.random.default_rng(0)
    widths = {matrix.shape[form == "rows"] for matrix in matrices.values()}
    x = {width: rng.standard_normal((tokens, width), dtype=np.float32) for width in widths}

    def multiply() -> None:
        for matrix in matrices.values():
            product(matrix, x[matrix.shape[form == "rows"]])

    return multiply


def seconds(
    parameters: Mapping[str, Any], mask: Mask, tokens: int, *, repeats: int = 9
) -> dict[Form, float]:
    """The median time of all prunable products for as many tokens, in the forms that are multiplied, taking turns."""
    forms: tuple[Form, ...] = ("dense", "rows", "compacted")
    work = {form: products(parameters, mask, form, tokens) for form in forms}
    taken: dict[Form, list[float]] = {form: [] for form in forms}
    for turn in range(repeats + 1):
        for form in forms:
            started = time.perf_counter()
            work[form]()
            if turn:  # the first warms up
                taken[form].append(time.perf_counter() - started)
    return {form: statistics.median(times) for form, times in taken.items()}


def _mixed(p: Parameters, x: jax.Array, B: int, E: int) -> jax.Array:
    """What the heads of a block make of the residual stream x (B T, d): (B T, heads E)."""
    H = len(p["attn.c_proj.weight"]) // E
    if not H:
        return jnp.zeros((len(x), 0), x.dtype)
    qkv = dense(normed(p, "ln_1", x), p["attn.c_attn.weight"], p["attn.c_attn.bias"])
    parts = qkv.reshape(B, -1, 3, H, E).transpose(2, 0, 3, 1, 4)
    q, k, v = parts.reshape(3, B * H, -1, E)
    return attend(q, k, v).reshape(B, H, -1, E).swapaxes(1, 2).reshape(len(x), -1)


def _moved(bias: NDArray[Any], constants: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """A bias (d,) plus what constants (m,) add to it through weights (m, d), summed in float64."""
    added = constants.astype(np.float64) @ weights.astype(np.float64)
    return (bias + added).astype(bias.dtype)
