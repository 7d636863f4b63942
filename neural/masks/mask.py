"""Masks: which of a GPT's prunable weights are kept, as values that are checked when they are made.

Prunable are the matrices of the blocks, as in Foroutan et al. 2022: attention's queries, keys, values and output, and
both of the MLP; no embedding, bias, layer norm or head of a task. A mask is one vector of n bits, over these matrices
in the order of neural.gpt.model.shapes, each row by row; by name it is read as arrays of the shapes of the weights.
A stack of masks, one for each of S models, is a dictionary of arrays (S, ...), as parameters are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, reduce
from math import prod
from operator import and_, or_
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neural.gpt import checkpoint
from neural.gpt.config import ModelConfig
from sim.runs.errors import UserError
from sim.runs.identity import canonical, identity

Bits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Masks = dict[str, Bits]
"""Of S models: by name, arrays (S, ...)."""

OF_BLOCK = {
    "attn.c_attn.weight": ("query", "key", "value"),
    "attn.c_proj.weight": ("attention-output",),
    "mlp.c_fc.weight": ("mlp-in",),
    "mlp.c_proj.weight": ("mlp-out",),
}
"""The prunable weights of a block; of each, the components that lie side by side in its columns."""

COMPONENTS = tuple(component for side_by_side in OF_BLOCK.values() for component in side_by_side)
"""The six matrices of a block."""


def prunable(config: ModelConfig) -> tuple[str, ...]:
    """The names of the prunable weights, in the order of neural.gpt.model.shapes."""
    return tuple(_places(config))


def size(config: ModelConfig) -> int:
    """n, the number of prunable weights."""
    return sum(prod(place.shape) for place in _places(config).values())


def sizes(config: ModelConfig) -> Counts:
    """The weights of each component of each layer, (layers, 6), in the order of COMPONENTS."""
    of_layer = [
        prod(_places(config)[f"h.0.{name}"].shape) // len(components)
        for name, components in OF_BLOCK.items()
        for _ in components
    ]
    return np.tile(np.array(of_layer, np.int64), (config.layers, 1))


def kept_at(density: float, config: ModelConfig) -> int:
    """The whole number of weights nearest to a density. Raises UserError for one that is not within 0 to 1."""
    if not 0 <= density <= 1:
        raise UserError(f"density {density}: give a share of the weights, 0 to 1")
    return round(density * size(config))


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Mapping[str, Bits]):
    """What is kept of the prunable weights of a model: `bits` (n,), read-only; by name, arrays of the weights' shapes.

    Masks of one model combine by |, &, - and ~, and a <= b is inclusion. Equal masks are equal values. Raises
    ValueError for bits that are not n booleans, and where masks of different models meet.
    """

    config: ModelConfig
    bits: Bits

    def __post_init__(self) -> None:
        n = size(self.config)
        if self.bits.dtype != np.bool_ or self.bits.shape != (n,):
            raise ValueError(
                f"{self.bits.dtype}{list(self.bits.shape)} is no mask: give {n} booleans, for {self.config}"
            )
        own = self.bits.copy()
        own.setflags(write=False)
        object.__setattr__(self, "bits", own)

    def __getitem__(self, name: str) -> Bits:
        place = _places(self.config)[name]
        return self.bits[place.where].reshape(place.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(_places(self.config))

    def __len__(self) -> int:
        return len(_places(self.config))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.config == other.config and np.array_equal(self.bits, other.bits)

    def __hash__(self) -> int:
        return hash((self.config, self.digest))

    def __repr__(self) -> str:
        return f"Mask({self.kept} of {self.size}, {self.digest[:8]})"

    def __or__(self, other: "Mask") -> "Mask":
        return Mask(self.config, self.bits | self._bits_of(other))

    def __and__(self, other: "Mask") -> "Mask":
        return Mask(self.config, self.bits & self._bits_of(other))

    def __sub__(self, other: "Mask") -> "Mask":
        return Mask(self.config, self.bits & ~self._bits_of(other))

    def __invert__(self) -> "Mask":
        return Mask(self.config, ~self.bits)

    def __le__(self, other: "Mask") -> bool:
        return not np.any(self.bits & ~self._bits_of(other))

    def _bits_of(self, other: "Mask") -> Bits:
        if other.config != self.config:
            raise ValueError(f"masks of {self.config} and of {other.config}: give those of one")
        return other.bits

    @cached_property
    def kept(self) -> int:
        return int(np.count_nonzero(self.bits))

    @property
    def size(self) -> int:
        return len(self.bits)

    @property
    def density(self) -> float:
        return self.kept / self.size

    @cached_property
    def digest(self) -> str:
        """sha256 of the bits."""
        return hashlib.sha256(np.packbits(self.bits).tobytes()).hexdigest()

    def component(self, layer: int, name: str) -> Bits:
        """One of COMPONENTS in a layer, (in, out): a third of c_attn's columns is its queries, keys or values."""
        for of_block, components in OF_BLOCK.items():
            if name in components:
                side_by_side = np.split(self[f"h.{layer}.{of_block}"], len(components), axis=1)
                return side_by_side[components.index(name)]
        raise ValueError(f"unknown component {name!r}: choose from {', '.join(COMPONENTS)}")

    @cached_property
    def counts(self) -> Counts:
        """The weights kept of each component of each layer, (layers, 6)."""
        return np.array(
            [
                [np.count_nonzero(self.component(layer, name)) for name in COMPONENTS]
                for layer in range(self.config.layers)
            ],
            dtype=np.int64,
        )

    @property
    def density_by_layer(self) -> NDArray[np.float64]:
        """(layers,)."""
        return self.counts.sum(axis=1) / sizes(self.config).sum(axis=1)

    @property
    def density_by_component(self) -> NDArray[np.float64]:
        """(6,), in the order of COMPONENTS."""
        return self.counts.sum(axis=0) / sizes(self.config).sum(axis=0)

    def apply(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, of one model or of a stack, with 0 for the weights that are not kept."""
        return applied(self, parameters)


def from_tensors(config: ModelConfig, tensors: Mapping[str, Any]) -> Mask:
    """The mask of boolean arrays by name. Raises ValueError unless names and shapes are the prunable ones, exactly."""
    if unknown := tensors.keys() - _places(config).keys():
        raise ValueError(f"{', '.join(sorted(unknown))} is not prunable: leave it out")
    return Mask(config, flat(tensors, config))


def flat(tensors: Mapping[str, Any], config: ModelConfig) -> NDArray[Any]:
    """The prunable weights of one model, (n,), in the order of a mask's bits. Raises ValueError for others."""
    rows = []
    for name, place in _places(config).items():
        weights = np.asarray(tensors[name]) if name in tensors else None
        if weights is None or weights.shape != place.shape:
            shape = "missing" if weights is None else weights.shape
            raise ValueError(f"{name} is {shape}, not {place.shape}: give one whole model")
        rows.append(weights.reshape(-1))
    return np.concatenate(rows)


def full(config: ModelConfig) -> Mask:
    """Every prunable weight."""
    return Mask(config, np.ones(size(config), np.bool_))


def union_of(masks: Iterable[Mask]) -> Mask:
    """What any of one or more masks keeps."""
    return reduce(or_, masks)


def intersection_of(masks: Iterable[Mask]) -> Mask:
    """What all of one or more masks keep."""
    return reduce(and_, masks)


def applied(masks: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with 0 where the masks have False, numpy or JAX as they were; leading axes are broadcast.

    Raises ValueError for masks of weights that are not among the parameters.
    """
    if missing := masks.keys() - parameters.keys():
        raise ValueError(f"no {', '.join(sorted(missing))} to mask: give a whole model")
    return {
        name: _masked(masks[name], value) if name in masks else value
        for name, value in parameters.items()
    }


def stacked(masks: Sequence[Mask]) -> Masks:
    """By name, the masks of S models on a leading axis. Raises ValueError for masks of different models."""
    for other in masks[1:]:
        masks[0]._bits_of(other)
    return {name: np.stack([mask[name] for mask in masks]) for name in masks[0]}


def unstacked(masks: Mapping[str, Any], config: ModelConfig) -> tuple[Mask, ...]:
    """The mask of each model of a stack."""
    arrays = {name: np.asarray(value) for name, value in masks.items()}
    S = len(next(iter(arrays.values())))
    return tuple(
        from_tensors(config, {name: array[s] for name, array in arrays.items()}) for s in range(S)
    )


def random(config: ModelConfig, seed: int | Sequence[int], *, kept: int) -> Mask:
    """`kept` of all prunable weights, drawn at random: a function of the seed."""
    return random_within(full(config), seed, kept=kept)


def random_within(mask: Mask, seed: int | Sequence[int], *, kept: int) -> Mask:
    """`kept` of the weights that a mask keeps, drawn at random. Raises UserError where it has fewer."""
    if not 0 <= kept <= mask.kept:
        raise UserError(f"cannot keep {kept} of the {mask.kept} weights of a mask: give fewer")
    bits = np.zeros(mask.size, np.bool_)
    bits[_drawn(np.random.default_rng(seed), np.flatnonzero(mask.bits), kept)] = True
    return Mask(mask.config, bits)


def random_like(mask: Mask, seed: int | Sequence[int], *, within: Mask | None = None) -> Mask:
    """As many weights of each component of each layer as the mask keeps there, drawn at random; `within` another.

    Raises UserError where the other has fewer.
    """
    rng, bits = np.random.default_rng(seed), np.zeros(mask.size, np.bool_)
    for cell, count in zip(_cells(mask.config), mask.counts.flat, strict=True):
        places = cell if within is None else cell[within.bits[cell]]
        if count > len(places):
            raise UserError(f"cannot keep {count} of {len(places)} weights: give a denser mask")
        bits[_drawn(rng, places, int(count))] = True
    return Mask(mask.config, bits)


def save(path: Path, mask: Mask, provenance: Mapping[str, Any]) -> None:
    """Write what `load` reads, whole or not at all, in place of what is there; path ends in .safetensors.

    Bits are packed, eight to a byte. The record beside has the model and its identity, counts, digest and provenance,
    plain JSON values. Raises UserError where it cannot be written.
    """
    about = {
        "model": asdict(mask.config),
        "identity": identity(mask.config),
        "kept": mask.kept,
        "size": mask.size,
        "components": list(COMPONENTS),
        "counts": mask.counts.tolist(),
        "digest": mask.digest,
    }
    packed = {name: np.packbits(mask[name]) for name in mask}
    checkpoint.write(path, packed, {"mask": about, "provenance": canonical(dict(provenance))})


def load(path: Path, config: ModelConfig) -> tuple[Mask, dict[str, Any]]:
    """The mask of a file and its provenance.

    Raises UserError, in one line, if it is not there, damaged, no mask, or that of another model.
    """
    if not path.is_file():
        raise UserError(f"{path} is not there: give a mask that the study saved")
    tensors, record = checkpoint.read(path)
    try:
        about, provenance = record["mask"], record["provenance"]
        model, digest = ModelConfig(**about["model"]), about["digest"]
    except (KeyError, TypeError):
        raise UserError(f"{path} holds no mask: give one that the study saved") from None
    if model != config:
        raise UserError(f"{path} is a mask of {model}, not of {config}: give one of this model")
    places = _places(config)
    packed = {name: ((prod(place.shape) + 7) // 8,) for name, place in places.items()}
    if {name: array.shape for name, array in tensors.items()} == packed:
        bits = [
            np.unpackbits(tensors[name], count=prod(place.shape)) for name, place in places.items()
        ]
        mask = Mask(config, np.concatenate(bits).astype(np.bool_))
        if mask.digest == digest:
            return mask, provenance
    raise UserError(f"{path} does not hold the mask of its record: prune again")


class _Place(NamedTuple):
    where: slice
    shape: tuple[int, ...]


@lru_cache(maxsize=16)
def _places(config: ModelConfig) -> dict[str, _Place]:
    """Of each prunable weight, its bits and its shape."""
    from neural.gpt.model import shapes

    places, start = {}, 0
    for name, shape in shapes(config).items():
        if name.startswith("h.") and name.split(".", 2)[2] in OF_BLOCK:
            places[name] = _Place(slice(start, start + prod(shape)), shape)
            start += prod(shape)
    return places


def _cells(config: ModelConfig) -> Iterator[NDArray[np.int64]]:
    """The places among the n bits of each component of each layer, in the order of Mask.counts."""
    for layer in range(config.layers):
        for name, components in OF_BLOCK.items():
            where, shape = _places(config)[f"h.{layer}.{name}"]
            places = np.arange(where.start, where.stop).reshape(shape)
            for component in np.split(places, len(components), axis=1):
                yield component.reshape(-1)


def _drawn(rng: np.random.Generator, places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return rng.choice(places, count, replace=False, shuffle=False)


def _masked(mask: Any, value: Any) -> Any:
    if isinstance(mask, np.ndarray) and isinstance(value, np.ndarray):
        return np.where(mask, value, np.zeros((), value.dtype))
    import jax.numpy as jnp

    return jnp.where(mask, value, jnp.zeros((), value.dtype))
