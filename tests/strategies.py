"""Hypothesis strategies for task matrices: every geometry, and the degenerate corners of each.

Decorate a test with `@seeded` above `@given` so that it draws the same examples on every run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from theory import geometry

Array = NDArray[np.float64]

seeded = settings(derandomize=True, deadline=None, database=None, max_examples=100)

OPTIONS: dict[str, dict[str, st.SearchStrategy]] = {
    "equicorrelated": {"correlation": st.floats(0, 0.99)},
    "clustered": {"spread": st.floats(0, 2)},
    "power-law": {"alpha": st.floats(0, 3)},
    "low-rank": {"noise": st.sampled_from([0.0, 1e-8, 0.1])},
    "cloned": {"angle": st.floats(0, np.pi)},
    "dominant": {"scale": st.floats(1, 100)},
    "integer": {"bound": st.integers(1, 9)},
    "adversarial": {"steps": st.integers(0, 10)},
}
"""Options drawn instead of a kind's defaults; each leaves the kind where its defaults exist."""


def _zero_column(C: Array, column: int) -> Array:
    C[:, column % C.shape[1]] = 0
    return C


def _identical(C: Array, column: int) -> Array:
    return np.repeat(C[:, [column % C.shape[1]]], C.shape[1], axis=1)


def _equal_singular_values(C: Array, _: int) -> Array:
    left, _sigma, right = np.linalg.svd(C, full_matrices=False)
    return left @ right


def _scaled(C: Array, exponent: int) -> Array:
    return C * 10.0**exponent


@dataclass(frozen=True)
class Corner:
    """A degeneration of C, its integer argument, and whether unit tasks stay unit tasks."""

    apply: Callable[[Array, int], Array]
    argument: st.SearchStrategy[int]
    unit: bool = False


CORNERS = {
    "none": Corner(lambda C, _: C, st.just(0), unit=True),
    "zero column": Corner(_zero_column, st.integers(0, 20)),
    "identical": Corner(_identical, st.integers(0, 20), unit=True),
    "equal singular values": Corner(_equal_singular_values, st.just(0)),
    "scaled": Corner(_scaled, st.sampled_from([-150, 150]) | st.integers(-150, 150)),
}


@dataclass(frozen=True)
class Drawn:
    """A drawn task matrix and where it came from."""

    C: Array
    kind: str
    corner: str


def _all_shapes(max_d: int, max_T: int) -> list[tuple[int, int]]:
    return [(d, T) for d in range(1, max_d + 1) for T in range(1, max_T + 1)]


def _has(kind: str, shape: tuple[int, int]) -> bool:
    return geometry.KINDS[kind].exists(*shape, **geometry.KINDS[kind].defaults)


def shapes(max_d: int = 6, max_T: int = 6) -> st.SearchStrategy[tuple[int, int]]:
    """(d, T) with 1 <= d <= max_d and 1 <= T <= max_T."""
    return st.sampled_from(_all_shapes(max_d, max_T))


def ranks(C: Array) -> st.SearchStrategy[int]:
    """A representation dimension for C (d, T): often 1 or min(d, T)."""
    return st.sampled_from([1, min(C.shape)]) | st.integers(1, min(C.shape))


@st.composite
def drawn_tasks(
    draw: st.DrawFn,
    max_d: int = 6,
    max_T: int = 6,
    *,
    min_T: int = 1,
    kinds: Sequence[str] = tuple(geometry.KINDS),
    corners: Sequence[str] = tuple(CORNERS),
    unit: bool = False,
) -> Drawn:
    """A Drawn of one of the kinds that exist at its shape, in one of the corners.

    With unit, only unit tasks.
    """
    possible = {
        name: [
            shape for shape in _all_shapes(max_d, max_T) if shape[1] >= min_T and _has(name, shape)
        ]
        for name in kinds
        if geometry.KINDS[name].unit or not unit
    }
    kind = draw(st.sampled_from([name for name, places in possible.items() if places]))
    d, T = draw(st.sampled_from(possible[kind]))
    options = {name: draw(values) for name, values in OPTIONS.get(kind, {}).items()}
    C = geometry.sample(kind, d, T, draw(st.integers(0, 2**32 - 1)), **options)
    places = [name for name in corners if CORNERS[name].unit or not unit]
    corner = draw(st.sampled_from(places + [name for name in places if name == "none"] * 3))
    return Drawn(CORNERS[corner].apply(C, draw(CORNERS[corner].argument)), kind, corner)


def task_matrices(max_d: int = 6, max_T: int = 6, **options) -> st.SearchStrategy[Array]:
    """C (d, T) alone; options as for drawn_tasks."""
    return drawn_tasks(max_d, max_T, **options).map(lambda drawn: drawn.C)


@st.composite
def task_matrices_and_ranks(
    draw: st.DrawFn, max_d: int = 6, max_T: int = 6, **options
) -> tuple[Array, int]:
    """(C, k) with 1 <= k <= min(d, T); options as for drawn_tasks."""
    C = draw(task_matrices(max_d, max_T, **options))
    return C, draw(ranks(C))
