"""Images that look like those of a known format and are not: what they are, and the remedy."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

AS_ARRAYS = "as x_train, y_train, x_test, y_test of an .npz"

SCALES = 8
"""How many times as large, in root mean square, the pixels of one part can be: parts of one data set are within 1.1."""


def relative(path: Path) -> tuple[str, str] | None:
    """What a file or folder holds that is a relative of MNIST or CIFAR-10, and the remedy; None for anything else."""
    if path.name.startswith("qmnist-") or any(path.glob("qmnist-*")):
        return (
            "is QMNIST, whose labels have eight columns",
            f"save images and the first column {AS_ARRAYS}, or take MNIST",
        )
    if (path / "train.bin").exists() and not (path / "data_batch_1.bin").exists():
        return (
            "is the binary version of CIFAR-100, whose records have two labels",
            f"save images and one label {AS_ARRAYS}, or take CIFAR-10",
        )
    if (path / "meta").exists() and (path / "train").is_file():
        return (
            "is the pickled version of CIFAR-100, which could run code",
            "take the binary version of CIFAR-10, or an .npz",
        )
    return None


def size(x: NDArray[Any]) -> tuple[float, float]:
    """The largest absolute value of an array, and its root mean square."""
    with np.errstate(over="ignore"):  # what cannot be standardised is refused as such
        return float(np.abs(x).max()), float(np.sqrt(np.vdot(x, x) / x.size))


def scaled_apart(train: tuple[float, float], test: tuple[float, float]) -> bool:
    """Whether, by their sizes, the pixels of one part are in 0..1 or so, and those of the other in 0..255."""
    (largest, spread), (of_test, spread_of_test) = train, test
    small, large = sorted((spread, spread_of_test))
    in_one = min(largest, of_test) <= 1 and max(largest, of_test) > 2
    return small > 0 and (in_one or large > SCALES * small)
