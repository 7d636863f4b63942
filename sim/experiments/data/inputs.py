"""Labelled inputs for the real tasks: digits, MNIST-like archives, IDX, CIFAR-10 and word counts.

Images become float64 rows standardised by two numbers, the mean and the standard deviation over all
training pixels; for MNIST these are the .1307 and .3081 of Daras et al. 2022. CIFAR-10 takes their
.5 and .5 of pixels in [0, 1] instead.

Word counts become log(1 + count), uncentred so that they stay sparse, times one number that gives
the nonzero entries of the training part a mean square of 1, as pixels have. A mean squared norm of
d, as images have, would put all of it into the few words of a post, whose predictions then
overshoot any label at the learning rate of those experiments: 20 Newsgroups is not learnt.

No format that runs code when read is accepted, pickles included.
"""

import gzip
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sim.experiments.data.lookalikes import relative, scaled_apart, size
from sim.runs.errors import UserError
from sim.runs.files import regular

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Pair = tuple[float, float]
Inputs = Any
"""(n, d) float64: a numpy array, or a scipy.sparse.csr_array for word counts."""

IMAGE_KEYS = ("x_train", "y_train", "x_test", "y_test")
TEXT_KEYS = (
    *("indptr_train", "indices_train", "counts_train"),
    *("indptr_test", "indices_test", "counts_test"),
    "vocabulary",
)
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_RECORD = 1 + 3 * 32 * 32
APART = 1.0
"""Standard deviations of pixels: means of parts of one data set are within 0.1 of one another."""
TOGETHER = "keep all files of the data set in one folder"
FORMATS = (
    "an .npz with x_train, y_train, x_test, y_test (or x, y), an .npz of word counts, "
    "a folder of the four IDX files of MNIST or a folder of the CIFAR-10 binary version"
)


class DataError(UserError, ValueError):
    """Inputs that cannot be used, in one line: path, problem; remedy."""

    def __init__(self, path: Path | str, problem: object, remedy: str) -> None:
        super().__init__(" ".join(f"{path}: {problem}; {remedy}".split()))


@dataclass(frozen=True, eq=False)
class LabelledInputs:
    """Inputs (n, d) and whole labels (n,), the training and the test part of the same classes."""

    name: str
    train_inputs: Inputs
    train_labels: NDArray[np.int64]
    test_inputs: Inputs
    test_labels: NDArray[np.int64]

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """The distinct labels, ascending."""
        return np.unique(self.train_labels)


def digits() -> LabelledInputs:
    """scikit-learn's 1797 digits of 8x8 pixels; the first 80 % of each class are for training."""
    # Its file, since importing it takes two seconds.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("digits", "no scikit-learn", "pip install scikit-learn")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    x, y = table[:, :-1], table[:, -1].astype(np.int64)
    return _images("digits", "digits", _split({"x": x, "y": y}, "digits"))


def load(path: str | Path) -> LabelledInputs:
    """Labelled inputs from a file or folder, called after it; the format is told by the content.

    Takes an .npz of images (any image shape) with x_train, y_train, x_test, y_test, or with x, y,
    split like `digits`; an .npz of word counts in compressed sparse rows (indptr, indices, counts
    and y of each part, and vocabulary); a folder of the four MNIST files in IDX, gzipped or not, or
    its training images; a folder of CIFAR-10's .bin files.

    Raises DataError for anything missing, unreadable, truncated, of another format, or
    inconsistent.
    """
    path = regular(Path(path))
    if known := relative(path):
        raise DataError(path, *known)
    try:
        if path.is_dir():
            return _folder(path)
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise DataError(path, "no such file or folder", "check the path") from None
    except OSError as error:
        raise DataError(path, error.strerror or error, "make it readable") from None
    if head == b"PK\x03\x04":
        return _archive(path)
    if head[:2] in (b"\0\0", b"\x1f\x8b"):
        if path.name not in _idx_names("train-images-idx3-ubyte"):
            raise DataError(path, "no known name", "call MNIST's images train-images-idx3-ubyte")
        return _idx_folder(path.absolute().parent)
    if head[:1] == b"\x80":
        raise DataError(path, "is a pickle, which could run code", f"give {FORMATS}")
    if not head:
        raise DataError(path, "is empty", "fetch it again")
    raise DataError(path, f"starts with {head!r}, which is no known format", f"give {FORMATS}")


def _folder(path: Path) -> LabelledInputs:
    if any(path.glob("*.bin")):
        return _cifar(path)
    if any((path / name).exists() for name in _idx_names("train-images-idx3-ubyte")):
        return _idx_folder(path)
    if (path / "data_batch_1").exists():
        raise DataError(path, "is the pickled version of CIFAR-10", "take the binary version")
    raise DataError(path, "holds no known format", f"give {FORMATS}")


def _archive(path: Path) -> LabelledInputs:
    arrays: dict[str, Array] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            keys = set(archive.files)
            wanted: tuple[str, ...] = ("x", "y")
            if keys & set(TEXT_KEYS):
                wanted = (*TEXT_KEYS, "y_train", "y_test")
            elif keys & set(IMAGE_KEYS):
                wanted = IMAGE_KEYS
            if missing := [key for key in wanted if key not in keys]:
                _missing_arrays(path, missing, keys)
            for key in wanted:
                arrays[key] = archive[key]
    except DataError:
        raise
    except Exception as error:  # whatever zipfile, zlib or the .npy parser meets first
        if "pickle" in str(error):
            raise DataError(path, "holds Python objects", "save plain numeric arrays") from None
        raise DataError(path, f"truncated or damaged ({error})", "fetch it again") from None
    if "vocabulary" in arrays:
        return _word_counts(path, arrays)
    return _images(path.stem, path, arrays if "x_train" in arrays else _split(arrays, path))


def _missing_arrays(path: Path, missing: list[str], keys: set[str]) -> NoReturn:
    present = ", ".join(sorted(keys)[:8]) or "nothing"
    raise DataError(path, f"lacks {', '.join(missing)} (it holds {present})", f"give {FORMATS}")


def _idx_names(name: str) -> tuple[str, ...]:
    dotted = name.replace("-idx", ".idx")
    return name, dotted, f"{name}.gz", f"{dotted}.gz"


def _idx_folder(folder: Path) -> LabelledInputs:
    arrays = {}
    for key, name, dimensions in (
        ("x_train", "train-images-idx3-ubyte", 3),
        ("y_train", "train-labels-idx1-ubyte", 1),
        ("x_test", "t10k-images-idx3-ubyte", 3),
        ("y_test", "t10k-labels-idx1-ubyte", 1),
    ):
        present = [folder / alias for alias in _idx_names(name) if (folder / alias).exists()]
        if not present:
            raise DataError(folder / name, "no such file", TOGETHER)
        arrays[key] = _idx(present[0], dimensions)
    return _images(folder.name, folder, arrays)


def _idx(path: Path, dimensions: int) -> Array:
    """Unsigned bytes in IDX: 0, 0, 8, dimensions; each length as a big-endian uint32; the bytes."""
    content = _read(path)
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    if content[:4] != magic[: len(content)]:
        problem = f"magic number {content[:4].hex()} instead of {magic.hex()}"
        raise DataError(path, problem, "check which file this is")
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    expected = header + math.prod(shape)
    if len(content) < header or len(content) != expected:
        kind = "too long" if len(content) > expected else "truncated"
        problem = f"{kind}: {len(content)} bytes instead of {expected}"
        raise DataError(path, problem, "fetch it again")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _cifar(folder: Path) -> LabelledInputs:
    parts = [_cifar_batch(folder / name) for name in (*CIFAR_TRAIN, "test_batch.bin")]
    if len({len(part) for part in parts}) > 1:
        sizes = ", ".join(str(len(part)) for part in parts)
        raise DataError(folder, f"batches of {sizes} images", "fetch the shorter ones again")
    train, test = np.concatenate(parts[:-1]), parts[-1]
    planes = (-1, 3, 32, 32)
    arrays = {"x_train": train[:, 1:].reshape(planes), "y_train": train[:, 0]}
    arrays |= {"x_test": test[:, 1:].reshape(planes), "y_test": test[:, 0]}
    return _images(folder.name, folder, arrays, standard=(127.5, 127.5))


def _cifar_batch(path: Path) -> Array:
    content = _read(path)
    if not content or len(content) % CIFAR_RECORD:
        problem = f"truncated: {len(content)} bytes are not whole records of {CIFAR_RECORD}"
        raise DataError(path, problem, "fetch it again")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, CIFAR_RECORD)
    if records[:, 0].max() > 9:
        problem = f"label {records[:, 0].max()} is not in 0..9"
        raise DataError(path, problem, "take the binary version of CIFAR-10")
    return records


def _read(path: Path) -> bytes:
    try:
        content = regular(path).read_bytes()
    except FileNotFoundError:
        raise DataError(path, "no such file", TOGETHER) from None
    except OSError as error:
        raise DataError(path, error.strerror or error, "make it readable") from None
    if path.suffix != ".gz":
        if content.startswith(b"\x1f\x8b"):
            raise DataError(path, "is packed by gzip", f"name it {path.name}.gz")
        return content
    try:
        return gzip.decompress(content)
    except Exception as error:  # by where the damage is: OSError, EOFError, zlib.error, ...
        raise DataError(path, f"truncated or damaged ({error})", "fetch it again") from None


def _split(arrays: Arrays, path: Path | str) -> dict[str, Array]:
    """x, y as x_train, ..., y_test: the first 80 % of each class, rounded down, train."""
    x, y = arrays["x"], _labels(path, "y", arrays["y"], len(np.atleast_1d(arrays["x"])))
    train = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        if len(rows) < 2:
            raise DataError(path, f"class {label} has one example", "give two, or drop the class")
        train[rows[: 4 * len(rows) // 5]] = True
    return {"x_train": x[train], "y_train": y[train], "x_test": x[~train], "y_test": y[~train]}


def _images(
    name: str, path: Path | str, arrays: Arrays, standard: Pair | None = None
) -> LabelledInputs:
    train, test = (_pixels(path, key, arrays[key]) for key in ("x_train", "x_test"))
    if train.shape[1] != test.shape[1]:
        problem = f"{train.shape[1]} pixels in x_train, {test.shape[1]} in x_test"
        raise DataError(path, problem, "crop or resize to one shape")
    shapes = [[n for n in arrays[key].shape[1:] if n > 1] for key in ("x_train", "x_test")]
    if (
        shapes[0] != shapes[1] and min(map(len, shapes)) > 1
    ):  # a flat part is in the order of the other
        problem = f"images of {arrays['x_train'].shape[1:]} in x_train, of {arrays['x_test'].shape[1:]} in x_test"
        raise DataError(path, problem, "save both in one order of rows, columns and channels")
    sizes = [size(part) for part in (train, test)]
    labels = _label_pair(path, arrays, len(train), len(test))
    with np.errstate(all="ignore"):  # what overflows or divides by zero is refused below
        mean = standard[0] if standard else float(train.mean())
        train -= mean
        deviation = standard[1] if standard else float(np.sqrt(np.vdot(train, train) / train.size))
        train /= deviation
        test -= mean
        test /= deviation
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        problem = f"training pixels of standard deviation {deviation} cannot be standardised"
        raise DataError(path, problem, "check the images")
    if scaled_apart(*sizes):
        problem = f"pixels up to {sizes[0][0]:g} in x_train, up to {sizes[1][0]:g} in x_test"
        raise DataError(path, problem, "scale both alike, for example to 0..255")
    if (apart := abs(float(test.mean() - train.mean()))) > APART:
        problem = (
            f"the mean pixel of x_test lies {apart:.2g} standard deviations from that of x_train"
        )
        raise DataError(path, problem, "shift and scale both alike, for example to 0..255")
    return LabelledInputs(name, train, labels[0], test, labels[1])


def _pixels(path: Path | str, key: str, x: Array) -> NDArray[np.float64]:
    """Images (n, …) as float64 (n, d), in the order (rows, columns, channels) wherever a file has its colours."""
    if x.dtype.kind not in "buif" or x.ndim < 2 or not x.size:
        problem = f"{key} is {x.dtype} of shape {x.shape}"
        raise DataError(path, problem, "give numbers of shape (n, ...), n images of some pixels")
    if not np.isfinite(x).all():
        raise DataError(path, f"{key} has NaN or infinite pixels", "drop or mend those images")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        x = np.moveaxis(x, 1, 3)
    return x.reshape(len(x), -1).astype(np.float64)


def _word_counts(path: Path, arrays: Arrays) -> LabelledInputs:
    words = arrays["vocabulary"].shape
    if len(words) != 1:
        raise DataError(path, f"vocabulary has shape {words}", "give one word for each column")
    train, test = (_count_rows(path, part, arrays, words[0]) for part in ("train", "test"))
    labels = _label_pair(path, arrays, train.shape[0], test.shape[0])
    scale = np.sqrt(train.nnz / (train.data**2).sum())
    train.data *= scale
    test.data *= scale
    return LabelledInputs(path.stem, train, labels[0], test, labels[1])


def _count_rows(path: Path, part: str, arrays: Arrays, d: int) -> Any:
    """log(1 + counts) as a csr_array (n, d), its compressed rows checked."""
    from scipy.sparse import csr_array

    indptr, indices, counts = (arrays[f"{key}_{part}"] for key in ("indptr", "indices", "counts"))
    if any(a.ndim != 1 or a.dtype.kind not in "iu" for a in (indptr, indices, counts)):
        problem = f"indptr, indices or counts of {part} are not lists of integers"
        raise DataError(path, problem, "save them as such")
    indptr, indices, counts = (a.astype(np.int64) for a in (indptr, indices, counts))
    if len(indptr) < 2 or indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise DataError(path, f"indptr_{part} does not rise from 0", "save that of a csr matrix")
    if not indptr[-1] == len(indices) == len(counts):
        lengths = f"{len(indices)} indices and {len(counts)} counts"
        problem = f"indptr_{part} ends at {indptr[-1]}, with {lengths}"
        raise DataError(path, problem, "save the three arrays of one csr matrix")
    if len(counts) and (indices.min() < 0 or indices.max() >= d or counts.min() < 0):
        problem = f"indices_{part} leave the vocabulary of {d} words, or counts_{part} are negative"
        raise DataError(path, problem, "save counts and vocabulary together")
    if not counts.any():
        raise DataError(path, f"counts_{part} has no word", "check the vocabulary")
    rows = csr_array((counts.astype(np.float64), indices, indptr), shape=(len(indptr) - 1, d))
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows.log1p()


def _labels(path: Path | str, key: str, y: Array, n: int) -> NDArray[np.int64]:
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or y.dtype.kind not in "buif":
        raise DataError(path, f"{key} is {y.dtype} of shape {y.shape}", "give one label an input")
    if len(y) != n:
        problem = f"{len(y)} labels in {key} for {n} inputs"
        raise DataError(path, problem, "give one label an input")
    numbers = y.astype(np.float64)
    if not (np.abs(numbers) < 2**53).all() or (numbers != np.floor(numbers)).any():
        problem = f"{key} has labels that are not whole numbers"
        raise DataError(path, problem, "number the classes 0, 1, 2, ...")
    return numbers.astype(np.int64)


def _label_pair(
    path: Path | str, arrays: Arrays, n_train: int, n_test: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    train = _labels(path, "y_train", arrays["y_train"], n_train)
    test = _labels(path, "y_test", arrays["y_test"], n_test)
    classes = set(train.tolist())
    if len(classes) < 2:
        raise DataError(path, f"only {len(classes)} class to train on", "give at least two classes")
    if one_sided := classes ^ set(test.tolist()):
        label = min(one_sided)
        part = "test" if label in classes else "training"
        problem = f"class {label} has no {part} examples"
        raise DataError(path, problem, "drop the class or split the data anew")
    return train, test
