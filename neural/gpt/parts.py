"""Named groups of a GPT's parameters, and the structures in them: attention heads, MLP units, residual channels."""

from typing import NamedTuple

from neural.gpt.config import ModelConfig
from neural.gpt.model import shapes
from sim.runs.errors import UserError

HEADS, UNITS, CHANNELS = STRUCTURES = ("head-deletion", "unit-deletion", "channel-deletion")
"""The failures that take whole structures."""


class View(NamedTuple):
    """How a tensor is seen: its shape, and which axis is that of neurons."""

    shape: tuple[int, ...]
    axis: int


def groups_of(config: ModelConfig) -> tuple[str, ...]:
    """The groups of parameters that fail together."""
    layers = (f"layer-{layer}" for layer in range(config.layers))
    return ("attention", "mlp", "embeddings", "all", *layers)


def names_of(group: str, config: ModelConfig) -> tuple[str, ...]:
    """The parameters of a group, in the order of neural.gpt.model.shapes.

    attention: every name with "attn", weights and biases, as in Daras et al. 2022; mlp: likewise; embeddings: of tokens
    and positions, and the output where it is not tied; layer-i: block i, its layer norms too; all: everything.
    Raises UserError for an unknown group.
    """
    known = groups_of(config)
    if group not in known:
        raise UserError(f"unknown group of parameters {group!r}: choose from {', '.join(known)}")
    parts = {
        "attention": (".attn.",),
        "mlp": (".mlp.",),
        "embeddings": ("wte.", "wpe.", "lm_head."),
        "all": ("",),
    }
    within = parts.get(group, (f"h.{group.removeprefix('layer-')}.",))
    return tuple(name for name in shapes(config) if any(part in name for part in within))


def structures(failure: str, config: ModelConfig) -> dict[str, dict[str, View]]:
    """The tensors that lose the same heads, units or channels, by who owns these, and how to see them.

    A head is its columns of c_attn (query, key, value), their biases, and its rows of c_proj; a unit of the MLP its
    column of c_fc, its bias, and its row of c_proj. A residual channel, one for all layers, is what writes to it: its
    column of the embeddings, and of every c_proj column and bias.
    """
    d, H, E = config.width, config.heads, config.head_width
    whole = shapes(config)
    if failure == CHANNELS:
        writers = [name for name in whole if "c_proj" in name or name.startswith(("wte", "wpe"))]
        return {"channels": {name: View(whole[name], len(whole[name]) - 1) for name in writers}}
    if failure == HEADS:
        owner = "heads"
        parts = {
            "attn.c_attn.weight": View((d, 3, H, E), 2),
            "attn.c_attn.bias": View((3, H, E), 1),
            "attn.c_proj.weight": View((H, E, d), 0),
        }
    else:
        owner = "units"
        parts = {
            "mlp.c_fc.weight": View((d, 4 * d), 1),
            "mlp.c_fc.bias": View((4 * d,), 0),
            "mlp.c_proj.weight": View((4 * d, d), 0),
        }
    return {
        f"h.{layer}.{owner}": {f"h.{layer}.{part}": view for part, view in parts.items()}
        for layer in range(config.layers)
    }


def held(failure: str, names: tuple[str, ...], config: ModelConfig) -> dict[str, dict[str, View]]:
    """The structures of which every tensor is among the names."""
    by_owner = structures(failure, config)
    return {owner: parts for owner, parts in by_owner.items() if set(parts) <= set(names)}
