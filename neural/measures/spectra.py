"""The singular values of every weight matrix of a GPT, and what is read off them, as a table.

Of a matrix W with singular values sigma_1 >= sigma_2 >= ..., in the order of the columns:

- spectral, frobenius   sigma_1 = ||W||, and ||W||_F with ||W||_F^2 = sum_i sigma_i^2
- sd                    the standard deviation of the entries, the unit of relative noise
- stable_rank           ||W||_F^2 / ||W||^2
- participation         the participation ratio (sum_i sigma_i^2)^2 / sum_i sigma_i^4, an effective rank: the number of
                        equal sigma_i^2 of the same sum and sum of squares; from stable_rank to the rank
- share_k               the Ky Fan share sum_{i<=k} sigma_i^2 / ||W||_F^2, 1 from the rank on

Sums are of squares, as in the slope rho_k of the theory, which is share_k of ||C||_F^2 / T.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theory.spectra import singular_values

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SHARES = (1, 4, 16, 64)
QKV = "attn.c_attn.weight"
"""The queries', keys' and values' weights of all heads, side by side: three matrices here."""


def spectra(parameters: Mapping[str, Any], *, shares: Sequence[int] = SHARES) -> "pd.DataFrame":
    """A row a weight matrix, or a copy and a weight matrix where parameters have an axis of copies in front.

    Columns: copy, name (that of the parameter; q, k and v stand for c_attn), layer (NA outside the blocks), component
    (embedding, attention, mlp, head), rows and columns of the matrix, and what the module describes. A matrix of zeros
    has no ranks and shares, but NaN. Raises ValueError for entries that are not finite.
    """
    import pandas as pd

    rows = []
    for name, matrix in _matrices(parameters):
        values = singular_values(matrix)
        for copy, (W, sigma) in enumerate(zip(matrix, values, strict=True)):
            shape = dict(zip(("rows", "columns"), W.shape, strict=True))
            rows.append({"copy": copy, **_place(name), **shape, **_measures(W, sigma, shares)})
    table = pd.DataFrame(rows).astype({"layer": "Int64"})
    return table.sort_values("copy", kind="stable", ignore_index=True)


def _matrices(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    """Every weight matrix in float64, (copies, rows, columns), with its name."""
    for name, value in parameters.items():
        if not name.endswith(".weight") or "ln_" in name:
            continue
        stack = np.asarray(value, np.float64)
        stack = stack if stack.ndim == 3 else stack[None]
        if name.endswith(QKV):
            for part, matrix in zip("qkv", np.split(stack, 3, axis=-1), strict=True):
                yield name.replace("c_attn", part), matrix
        else:
            yield name, stack


def _place(name: str) -> dict[str, Any]:
    """Where in the model the matrix is."""
    if name.startswith("h."):
        _, layer, component, *_ = name.split(".")
        component = "attention" if component == "attn" else component
        return {"name": name, "layer": int(layer), "component": component}
    return {"name": name, "layer": None, "component": "head" if "head" in name else "embedding"}


def _measures(W: Array, sigma: Array, shares: Sequence[int]) -> dict[str, float]:
    largest = float(sigma[0])
    energies = (sigma / largest if largest else np.full_like(sigma, np.nan)) ** 2
    energy = energies.sum()
    return {
        "spectral": largest,
        "frobenius": float(np.linalg.norm(W)),
        "sd": float(W.std()),
        "stable_rank": float(energy),
        "participation": float(energy**2 / (energies**2).sum()),
        **{f"share_{k}": float(energies[:k].sum() / energy) for k in shares},
    }
