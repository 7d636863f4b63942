"""When does one more task lower the slope? By d and T, and by coherence (statements 7-12)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from figures.engine import style
from figures.engine.runs import seed, swept
from theory.geometry import sample
from theory.spectra import coherence, slope

NAME = "phase-diagram"
DESCRIPTION = "when one more task lowers the slope: by d and T of Gaussian tasks, and by coherence"

K = 4
TASKS = range(K, 17)
DIMENSIONS = tuple(2**i for i in range(2, 15))
DRAWS = 100

COHERENT_K, COHERENT_T, COHERENT_D = 2, 4, 4096
CORRELATIONS = tuple(np.geomspace(2e-3, 1.0, 28))
FAMILIES = {
    "equicorrelated": lambda r: {"correlation": r},
    "clustered": lambda r: {"clusters": COHERENT_T, "spread": np.sqrt(1 / r - 1)},
    "cloned": lambda r: {"angle": np.arccos(r)},
}
"""The options that give tasks of a group (expected) correlation r, by geometry."""


def table(run: Path) -> pd.DataFrame:
    """As the configuration of the run alone determines it."""
    return table_of(swept(run))


def table_of(config: dict[str, Any]) -> pd.DataFrame:
    """Three kinds of rows, drawn with the seed of a sweep's configuration.

    "gaussian": share of draws in which task T + 1 lowers rho_k, by (d, T).
    "boundary": d as a function of T, namely T^3 and the least d at which statement 10 can hold,
    its epsilon -> 0; that statement is sufficient, and far from necessary.
    "coherence": relative change of rho_k when one task joins T others, for each of the T + 1 in
    turn, with the coherence of them all.
    """
    base = seed(config)
    # Many small matrices: several threads of BLAS are slower, and far slower on busy cores.
    with threadpool_limits(1):
        frames = {
            "gaussian": _gaussian_drops(base),
            "boundary": _boundaries(),
            "coherence": _coherence_changes(base),
        }
    return pd.concat([frame.assign(rows=name) for name, frame in frames.items()], ignore_index=True)


def _gaussian_drops(base: int) -> pd.DataFrame:
    largest = TASKS[-1] + 1
    grams = np.empty((len(DIMENSIONS), DRAWS, largest, largest))
    for i, d in enumerate(DIMENSIONS):
        for draw, number in enumerate(_seeds(base, d)):
            C = sample("gaussian", d, largest, number)
            grams[i, draw] = C.T @ C
    # Tasks are nested: the leading T x T block is the Gram matrix of the first T, its eigenvalues
    # sigma^2. Squaring costs digits of the small ones, which a sum of the k largest does not feel.
    slopes = {
        T: np.linalg.eigvalsh(grams[..., :T, :T])[..., -K:].sum(axis=-1) / T
        for T in range(TASKS[0], largest + 1)
    }
    parts = []
    for T in TASKS:
        share = (slopes[T + 1] < slopes[T]).mean(axis=-1)
        parts.append(pd.DataFrame({"d": DIMENSIONS, "share": share}).assign(T=T, k=K, draws=DRAWS))
    return pd.concat(parts)


def _boundaries() -> pd.DataFrame:
    T = np.linspace(TASKS[0], TASKS[-1], 61)
    root = np.sqrt((T + 1) / T)
    largest_a = (root - 1) / (root + 1)  # ((1 + a) / (1 - a))^2 < (T + 1) / T
    bounds = {"statement 10": (T + 1) / largest_a**2, "T^3": T**3}
    return pd.concat([pd.DataFrame({"T": T, "d": d}).assign(bound=b) for b, d in bounds.items()])


def _coherence_changes(base: int) -> pd.DataFrame:
    rows = []
    numbers = _seeds(base, COHERENT_D + 1)
    for geometry, options in FAMILIES.items():
        for r, number in zip(CORRELATIONS, numbers, strict=False):
            C = sample(geometry, COHERENT_D, COHERENT_T + 1, number, **options(min(float(r), 1.0)))
            mu, after = coherence(C), slope(C, COHERENT_K)
            for last in range(COHERENT_T + 1):
                before = slope(np.delete(C, last, axis=1), COHERENT_K)
                rows.append(
                    (geometry, COHERENT_D, COHERENT_T, COHERENT_K, mu, last, after / before - 1)
                )
    return pd.DataFrame(rows, columns=["geometry", "d", "T", "k", "coherence", "last", "change"])


def _seeds(base: int, stream: int) -> list[int]:
    """DRAWS seeds that depend on the run's seed and on what is drawn with them."""
    return [int(s) for s in np.random.SeedSequence([base, stream]).generate_state(DRAWS, np.uint64)]


def draw(table: pd.DataFrame) -> Figure:
    """Above: share of draws over d and T. Below: relative change of the slope against coherence."""
    figure = style.figure(style.COLUMN, 4.6)
    upper, lower = figure.subplots(2, 1)
    kinds = dict(iter(table.groupby("rows")))
    _draw_shares(figure, upper, kinds["gaussian"], kinds["boundary"])
    _draw_changes(lower, kinds["coherence"])
    return figure


def _draw_shares(figure: Figure, axes: Axes, shares: pd.DataFrame, bounds: pd.DataFrame) -> None:
    k = int(shares["k"].iloc[0])
    grid = shares.pivot(index="T", columns="d", values="share")
    dimensions, tasks = grid.columns.to_numpy(float), grid.index.to_numpy(float)
    axes.set_xscale("log", base=2)
    mesh = axes.pcolormesh(
        np.append(dimensions / 2**0.5, dimensions[-1] * 2**0.5),
        np.append(tasks - 0.5, tasks[-1] + 0.5),
        grid,
        cmap="cividis",
        vmin=0.4,
        vmax=1,
    )
    mesh.set_rasterized(True)
    bar = figure.colorbar(mesh, ax=axes, aspect=15, pad=0.02)
    bar.set_label("share of draws\nwith a smaller slope")
    bar.outline.set_linewidth(0.6)
    for name, line in bounds.groupby("bound"):
        axes.plot(line["d"], line["T"], color="black", linestyle="-" if name == "T^3" else "--")
    note: dict[str, Any] = {"va": "center", "fontsize": 7, "clip_on": True}
    axes.text(2**10.6, 12.5, "$d=T^3$", ha="right", **note)
    axes.text(2**12.2, 7.3, "statement 10", ha="center", rotation=53, **note)
    axes.set_xlim(dimensions[0] / 2**0.5, dimensions[-1] * 2**0.5)
    axes.set_ylim(tasks[0] - 0.5, tasks[-1] + 0.5)
    axes.set_xlabel("input dimension $d$")
    axes.set_ylabel("tasks before, $T$")
    style.panel(axes, 0, f"Gaussian tasks, $k={k}$")


def _draw_changes(axes: Axes, changes: pd.DataFrame) -> None:
    T, k = int(changes["T"].iloc[0]), int(changes["k"].iloc[0])
    axes.set_xscale("log")
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.axvspan(changes["coherence"].min() / 2, 1 / T**2, color=style.LIGHT, linewidth=0)
    for i, (geometry, part) in enumerate(changes.groupby("geometry")):
        look = style.category(i) | {"markersize": 3}
        axes.plot(part["coherence"], 100 * part["change"], linestyle="none", label=geometry, **look)
    axes.set_xlim(changes["coherence"].min() / 1.2, 1.2)
    axes.text(0.9 / T**2, -6, "statement 9:\n$\\mu<1/T^2$", ha="right", va="center", fontsize=7)
    axes.set_xlabel(r"coherence $\mu$")
    axes.set_ylabel("change of slope (%)")
    axes.legend(loc="upper left")
    style.panel(axes, 1, f"one task joins $T={T}$, $k={k}$")
