"""The theory's perturbations by the names a sweep uses, and as pytrees whose strength may be traced."""

from dataclasses import fields
from functools import cache
from typing import Any

from theory.perturbation import Perturbation, failures, kinds

MAKE = failures()
"""name -> the perturbation of a given strength."""

KIND = {name: kind for kind in kinds() for name in (*kind.names, *kind.relative_names)}
"""name -> the class of the perturbation."""


@cache
def register() -> None:
    """Make the perturbations jax pytrees: strength and rescaling are data, the class and everything else static.

    Not by jax.tree_util.register_dataclass: the structures it makes of two classes compare equal when their static
    fields do (jaxlib 0.10), and where their hashes collide one failure then runs the compiled program of another.
    """
    for kind in kinds():
        _register(kind, kind.traced or (kind.strength,))


def _register(kind: type[Perturbation], data: tuple[str, ...]) -> None:
    import jax

    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    static = [name for name in names if name not in data]

    def flatten(failure: Perturbation) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        fixed = (getattr(failure, name) for name in static)
        return tuple(getattr(failure, name) for name in data), (kind, *fixed)

    def unflatten(aux: tuple[Any, ...], children: tuple[Any, ...]) -> Perturbation:
        of_kind: type[Perturbation] = aux[0]
        return of_kind(**dict(zip((*data, *static), (*children, *aux[1:]), strict=True)))

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


def exposure(name: str, strength: float, trace: float, trainer: str) -> float:
    """What multiplies the spectral slope in the damage R' - R of a trainer's optimum; NaN where it is not a slope."""
    return MAKE[name](strength).exposure(trace, orthonormal=trainer == "orthonormal")
