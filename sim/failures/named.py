"""The theory's perturbations by the names a sweep uses, and as pytrees whose strength may be traced."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from typing import Any

from theory import perturbation as p

MAKE: dict[str, Callable[[Any], p.Perturbation]] = {
    "additive-noise": p.AdditiveNoise,
    "multiplicative-noise": p.MultiplicativeNoise,
    "weight-deletion": p.WeightDeletion,
    "weight-deletion-rescaled": partial(p.WeightDeletion, rescale=True),
    "neuron-deletion": p.NeuronDeletion,
    "neuron-deletion-rescaled": partial(p.NeuronDeletion, rescale=True),
    "magnitude-pruning": p.MagnitudePruning,
    "quantisation": p.Quantisation,
    "adversarial-frobenius": partial(p.Adversarial, "frobenius"),
    "adversarial-spectral": partial(p.Adversarial, "spectral"),
}
"""name -> the perturbation of a given strength."""

EVERY = MAKE | {
    "largest-deletion": p.LargestDeletion,
    "quantisation-per-channel": partial(p.Quantisation, per_row=True),
}
"""Those of a sweep, and those that only named parameters suffer; a channel is a row of W."""


@cache
def register() -> None:
    """Make the perturbations jax pytrees: strength and rescaling are data, the class and everything else static.

    Not by jax.tree_util.register_dataclass: the structures it makes of two classes compare equal when their static
    fields do (jaxlib 0.10), and where their hashes collide one failure then runs the compiled program of another.
    """
    data: dict[type[p.Perturbation], tuple[str, ...]] = {
        p.AdditiveNoise: ("sigma",),
        p.MultiplicativeNoise: ("sigma",),
        p.WeightDeletion: ("p", "rescale"),
        p.NeuronDeletion: ("p", "rescale"),
        p.MagnitudePruning: ("fraction",),
        p.LargestDeletion: ("fraction",),
        p.Quantisation: ("bits",),
        p.Adversarial: ("radius",),
    }
    for kind, names in data.items():
        _register(kind, names)


def _register(kind: type[p.Perturbation], data: tuple[str, ...]) -> None:
    import jax

    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    static = [name for name in names if name not in data]

    def flatten(failure: p.Perturbation) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        fixed = (getattr(failure, name) for name in static)
        return tuple(getattr(failure, name) for name in data), (kind, *fixed)

    def unflatten(aux: tuple[Any, ...], children: tuple[Any, ...]) -> p.Perturbation:
        of_kind: type[p.Perturbation] = aux[0]
        return of_kind(**dict(zip((*data, *static), (*children, *aux[1:]), strict=True)))

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


def exposure(name: str, strength: float, trace: float, trainer: str) -> float:
    """What multiplies the spectral slope in the damage R' - R at the optimum; NaN where the damage is not a slope.

    Additive noise: sigma^2 tr S, for every trainer. At the orthonormal optimum also sigma^2 for multiplicative noise,
    p for deletion, p/(1-p) rescaled, radius^2 over a spectral ball (statements 3, 16-18, 22; S = I).
    """
    if name == "additive-noise":
        return strength**2 * trace
    if trainer != "orthonormal":
        return float("nan")
    if name in ("multiplicative-noise", "adversarial-spectral"):
        return strength**2
    if name in ("weight-deletion", "neuron-deletion"):
        return strength
    if name in ("weight-deletion-rescaled", "neuron-deletion-rescaled"):
        return strength / (1 - strength)
    return float("nan")
