import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from sim.experiments.data.inputs import DataError, LabelledInputs, digits, load
from sim.runs.errors import UserError
from tests.places import SHARED

IMAGES = SHARED / "data" / "images"


def pictures(n=40, shape=(4, 3), classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n, dtype=np.uint8) % classes


def image_arrays(shape=(4, 3)):
    x, y = pictures(40, shape)
    x_test, y_test = pictures(12, shape, seed=1)
    return {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}


def word_arrays():
    rng = np.random.default_rng(2)
    arrays = {"vocabulary": np.array([f"word{i}" for i in range(9)], dtype="S8")}
    for part, n in (("train", 20), ("test", 8)):
        rows = csr_array(rng.integers(0, 4, (n, 9)) * (rng.random((n, 9)) < 0.4))
        arrays |= {
            f"indptr_{part}": rows.indptr,
            f"indices_{part}": rows.indices.astype(np.uint16),
            f"counts_{part}": rows.data.astype(np.uint8),
            f"y_{part}": np.arange(n, dtype=np.uint8) % 4,
        }
    return arrays


def no_words(part):
    none = np.zeros(0, dtype=int)
    return {f"indptr_{part}": np.zeros(21, int), f"indices_{part}": none, f"counts_{part}": none}


def save(path: Path, arrays) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def idx(array) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def save_idx(folder: Path, compress=False, sep="-") -> Path:
    folder.mkdir(exist_ok=True)
    a = image_arrays()
    for name, key in (("train-images{}idx3", "x_train"), ("train-labels{}idx1", "y_train")):
        for part in ("train", "t10k"):
            content = idx(a[key.replace("train", "test") if part == "t10k" else key])
            path = folder / (
                name.replace("train", part).format(sep) + "-ubyte" + (".gz" if compress else "")
            )
            path.write_bytes(gzip.compress(content) if compress else content)
    return folder


def save_cifar(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        x, y = pictures(20, (3, 32, 32), classes=10, seed=i)
        (folder / f"{name}.bin").write_bytes(np.column_stack([y, x.reshape(20, -1)]).tobytes())
    return folder


def flat(planes):
    """Images (n, channels, rows, columns) as vectors in the order (rows, columns, channels)."""
    return planes.transpose(0, 2, 3, 1).reshape(len(planes), -1)


def refused(path, *parts):
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message, message
    return message


def assert_standardised(data: LabelledInputs, raw_train, raw_test):
    raw_train, raw_test = (x.reshape(len(x), -1).astype(float) for x in (raw_train, raw_test))
    mean, deviation = raw_train.mean(), raw_train.std()
    # A few roundings of numbers of size 255 / deviation, and of sums of hundreds of them.
    np.testing.assert_allclose(
        data.train_inputs, (raw_train - mean) / deviation, rtol=0, atol=1e-13
    )
    np.testing.assert_allclose(data.test_inputs, (raw_test - mean) / deviation, rtol=0, atol=1e-13)
    assert data.train_inputs.dtype == data.test_inputs.dtype == np.float64


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3), (12,)])
def test_images_of_any_shape_are_standardised_by_two_numbers(tmp_path, shape):
    arrays = image_arrays(shape)
    data = load(save(tmp_path / "toys.npz", arrays))
    assert data.name == "toys"
    assert_standardised(data, arrays["x_train"], arrays["x_test"])
    np.testing.assert_array_equal(data.train_labels, arrays["y_train"])
    np.testing.assert_array_equal(data.test_labels, arrays["y_test"])
    assert list(data.classes) == [0, 1, 2, 3]


def test_one_part_is_split_by_class_in_file_order(tmp_path):
    x, y = pictures(43)
    data = load(save(tmp_path / "whole.npz", {"x": x, "y": y[:, None]}))
    expected = {c: np.flatnonzero(y == c) for c in range(4)}
    train = np.sort(np.concatenate([rows[: int(0.8 * len(rows))] for rows in expected.values()]))
    test = np.setdiff1d(np.arange(43), train)
    np.testing.assert_array_equal(data.train_labels, y[train])
    assert_standardised(data, x[train], x[test])


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    data, again = digits(), digits()
    assert data.train_inputs.shape == (1433, 64)
    assert data.test_inputs.shape == (364, 64)
    for c in range(10):
        rows = np.flatnonzero(y == c)
        assert (data.train_labels == c).sum() == int(0.8 * len(rows))
        # Standardising keeps the order of pixel values, so that rows match up to the affine map.
        first = data.train_inputs[data.train_labels == c][0]
        assert np.corrcoef(first, x[rows[0]])[0, 1] > 1 - 1e-12
    np.testing.assert_array_equal(data.train_inputs, again.train_inputs)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("sep", ["-", "."])
def test_idx_folder_and_its_images_file(tmp_path, compress, sep):
    folder = save_idx(tmp_path / "fashion", compress, sep)
    file = next(p for p in folder.iterdir() if p.name.startswith("train-images"))
    for path in (folder, file):
        data = load(path)
        assert data.name == "fashion"
        assert_standardised(data, image_arrays()["x_train"], image_arrays()["x_test"])
        np.testing.assert_array_equal(data.test_labels, image_arrays()["y_test"])


def test_cifar_binary_takes_the_constants_of_its_experiments(tmp_path):
    data = load(save_cifar(tmp_path / "cifar"))
    x, y = pictures(20, (3, 32, 32), classes=10, seed=2)
    assert data.train_inputs.shape == (100, 3072)
    assert data.test_inputs.shape == (20, 3072)
    # Two roundings of numbers at most 1.
    np.testing.assert_allclose(
        data.train_inputs[40:60], (flat(x) / 255 - 0.5) / 0.5, rtol=0, atol=1e-15
    )
    np.testing.assert_array_equal(data.train_labels[40:60], y)


def test_colours_come_last_however_images_are_stored(tmp_path):
    planes = {name: pictures(8, (3, 5, 4), classes=2, seed=0)[0] for name in ("x_train", "x_test")}
    labels = dict.fromkeys(("y_train", "y_test"), np.arange(8) % 2)
    last = {name: x.transpose(0, 2, 3, 1) for name, x in planes.items()}
    from_planes = load(save(tmp_path / "planes.npz", planes | labels))
    other = load(save(tmp_path / "last.npz", last | labels))
    np.testing.assert_array_equal(from_planes.train_inputs, other.train_inputs)
    assert_standardised(from_planes, last["x_train"], last["x_test"])


def test_word_counts_stay_sparse_with_entries_of_unit_mean_square(tmp_path):
    arrays = word_arrays()
    arrays["counts_train"][3] = 0
    data = load(save(tmp_path / "posts.npz", arrays))
    scales = []
    for part, rows in (("train", data.train_inputs), ("test", data.test_inputs)):
        triple = (arrays[f"counts_{part}"], arrays[f"indices_{part}"], arrays[f"indptr_{part}"])
        dense = np.log1p(csr_array(triple, shape=rows.shape).toarray().astype(float))
        ratio = rows.toarray()[dense > 0] / dense[dense > 0]
        assert rows.nnz == (dense > 0).sum() < dense.size / 2
        scales += list(ratio)
    # One scale for all entries of both parts, up to a few roundings.
    np.testing.assert_allclose(scales, scales[0], rtol=1e-14)
    # A mean of at most 180 squares.
    assert np.mean(data.train_inputs.data**2) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"y_train": np.zeros(39, dtype=int)}, ["39 labels in y_train for 40 inputs"]),
        ({"y_train": np.zeros((40, 2), dtype=int)}, ["y_train is int64 of shape (40, 2)"]),
        ({"y_train": np.zeros(40, dtype=int)}, ["only 1 class"]),
        ({"y_test": np.arange(12) % 3}, ["class 3 has no test examples"]),
        ({"y_test": np.arange(12) % 6}, ["class 4 has no training examples"]),
        ({"y_train": np.arange(40) / 2}, ["not whole numbers"]),
        ({"y_train": np.full(40, np.nan)}, ["not whole numbers"]),
        ({"x_test": np.ones((12, 5))}, ["12 pixels in x_train, 5 in x_test"]),
        ({"x_train": np.full((40, 12), np.nan)}, ["x_train has NaN"]),
        ({"x_test": np.full((12, 12), -np.inf)}, ["x_test has NaN or infinite"]),
        ({"x_train": np.full((40, 12), 7)}, ["standard deviation 0.0"]),
        ({"x_train": np.arange(480.0).reshape(40, 12) * 1e305}, ["standard deviation"]),
        ({"x_train": np.array(["a"] * 40)}, ["x_train is <U1 of shape (40,)"]),
        ({"x_train": np.zeros((0, 12)), "y_train": np.zeros(0)}, ["shape (0, 12)"]),
        ({"x_train": np.zeros((40, 12), dtype=complex)}, ["complex128"]),
        ({"x_train": np.array([{}] * 40)}, ["Python objects"]),
        (
            {
                "x_train": np.arange(480).reshape(40, 12) % 256,
                "x_test": np.arange(144).reshape(12, 12) / 144,
            },
            ["up to 255 in x_train, up to 0.993056 in x_test; scale both alike"],
        ),
        (
            {
                "x_train": np.arange(480).reshape(40, 12) / 480,
                "x_test": np.arange(144).reshape(12, 12) + 100,
            },
            ["in x_train, up to 243 in x_test; scale both alike"],
        ),
        (
            {
                "x_train": np.arange(480).reshape(40, 12) / 240 - 1,
                "x_test": np.arange(144).reshape(12, 12) / 144 + 0.5,
            },
            ["the mean pixel of x_test lies 1.7 standard deviations from that of x_train"],
        ),
        (
            {
                "x_train": np.ones((40, 3, 4, 4)) * np.arange(4),
                "x_test": np.ones((12, 4, 4, 3)) * np.arange(3),
            },
            ["images of (3, 4, 4) in x_train, of (4, 4, 3) in x_test; save both in one order"],
        ),
        ({"x_train": None}, ["lacks x_train", "it holds x_test, y_test, y_train"]),
    ],
)
def test_inconsistent_images_are_refused(tmp_path, change, parts):
    arrays = {key: value for key, value in (image_arrays() | change).items() if value is not None}
    refused(save(tmp_path / "bad.npz", arrays), *parts)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"indptr_train": np.arange(21)[::-1]}, ["indptr_train does not rise"]),
        (
            {"indptr_test": word_arrays()["indptr_test"][[0, 2, 1, *range(3, 9)]]},
            ["indptr_test does not rise"],
        ),
        ({"indptr_test": np.zeros(9, dtype=int)}, ["indptr_test ends at 0"]),
        ({"counts_train": np.ones(3, dtype=int)}, ["and 3 counts"]),
        ({"counts_train": np.ones(3)}, ["not lists of integers"]),
        ({"vocabulary": np.array([b"one", b"two"])}, ["vocabulary of 2 words"]),
        ({"vocabulary": np.array(b"one")}, ["vocabulary has shape ()"]),
        ({"y_test": np.arange(7)}, ["7 labels in y_test for 8 inputs"]),
        ({"counts_test": None}, ["lacks counts_test"]),
        (no_words("train"), ["counts_train has no word"]),
    ],
)
def test_inconsistent_word_counts_are_refused(tmp_path, change, parts):
    arrays = {key: value for key, value in (word_arrays() | change).items() if value is not None}
    refused(save(tmp_path / "bad.npz", arrays), *parts)


def test_a_class_of_one_cannot_be_split(tmp_path):
    x, _ = pictures(5)
    refused(save(tmp_path / "few.npz", {"x": x, "y": [0, 0, 1, 1, 2]}), "class 2 has one example")
    refused(save(tmp_path / "short.npz", {"x": x, "y": [0, 0, 1, 1]}), "4 labels in y for 5 inputs")
    refused(
        save(tmp_path / "scalar.npz", {"x": np.float64(1), "y": [0, 0]}),
        "2 labels in y for 1 inputs",
    )


@pytest.mark.parametrize("arrays", [image_arrays(), word_arrays()], ids=["images", "words"])
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path, arrays):
    content = save(tmp_path / "whole.npz", arrays).read_bytes()
    path = tmp_path / "cut.npz"
    for length in (*range(0, len(content), 37), len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)


def test_a_damaged_archive_never_leaks_another_error(tmp_path):
    """Every fourth byte flipped in turn: what is not refused must have read the same numbers."""
    whole = load(save(tmp_path / "whole.npz", image_arrays((2, 2))))
    content = (tmp_path / "whole.npz").read_bytes()
    path, refusals = tmp_path / "whole.npz", 0
    for i in range(0, len(content), 4):
        path.write_bytes(content[:i] + bytes([content[i] ^ 0xFF]) + content[i + 1 :])
        try:
            data = load(path)
        except DataError:
            refusals += 1
        else:
            np.testing.assert_array_equal(data.train_inputs, whole.train_inputs)
    # Most bytes of a zip are under a checksum or in a header that is used.
    assert refusals > len(content) / 4 / 2


@pytest.mark.parametrize("compress", [False, True])
def test_a_truncated_idx_file_is_refused_wherever_it_ends(tmp_path, compress):
    folder = save_idx(tmp_path / "mnist", compress)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for length in (0, 1, 3, 4, 7, 9, 15, 16, 19, len(content) - 1):
            path.write_bytes(content[:length])
            with pytest.raises(DataError, match=r"truncated|damaged") as caught:
                load(folder)
            assert str(path) in str(caught.value)
        path.write_bytes(content)
    load(folder)


def test_wrong_idx_files_are_refused(tmp_path):
    folder = save_idx(tmp_path / "mnist")
    images, labels = folder / "train-images-idx3-ubyte", folder / "t10k-labels-idx1-ubyte"
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte: magic number 00000801 instead of 00000803"
    ):
        load(folder)
    images.write_bytes(content + b"\0")
    with pytest.raises(DataError, match="too long"):
        load(folder)
    images.write_bytes(bytes((0, 0, 8, 3)) + b"\xff" * 12)
    with pytest.raises(DataError, match="truncated"):
        load(folder)
    images.write_bytes(idx(np.zeros((0, 4, 3), dtype=np.uint8)))
    with pytest.raises(DataError, match=r"x_train is uint8 of shape \(0, 4, 3\)"):
        load(folder)
    images.write_bytes(content)
    labels.unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: no such file; keep all files"):
        load(folder)
    (tmp_path / "some-idx").write_bytes(content)
    refused(tmp_path / "some-idx", "call MNIST's images train-images-idx3-ubyte")


def test_wrong_cifar_files_are_refused(tmp_path):
    folder = save_cifar(tmp_path / "cifar")
    third = folder / "data_batch_3.bin"
    content = third.read_bytes()
    for length in (0, 1, 3072, 3074, len(content) - 1):
        third.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"data_batch_3.bin: truncated"):
            load(folder)
    third.write_bytes(content[: 3073 * 19])
    refused(folder, "batches of 20, 20, 19, 20, 20, 20")
    third.write_bytes(b"\x0a" + content[1:])
    with pytest.raises(DataError, match=r"label 10 is not in 0\.\.9"):
        load(folder)
    third.unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin: no such file"):
        load(folder)


def test_what_is_no_data_set_is_refused(tmp_path):
    refused(tmp_path / "absent.npz", "no such file")
    refused(tmp_path, "holds no known format")
    (tmp_path / "empty.npz").write_bytes(b"")
    refused(tmp_path / "empty.npz", "is empty")
    (tmp_path / "text.npz").write_bytes(b"hello")
    refused(tmp_path / "text.npz", "no known format")
    (tmp_path / "objects.npz").write_bytes(pickle.dumps(image_arrays()))
    refused(tmp_path / "objects.npz", "pickle")
    (tmp_path / "data_batch_1").write_bytes(b"\x80")
    refused(tmp_path, "pickled version of CIFAR-10")
    (tmp_path / "locked.npz").symlink_to(tmp_path / "locked.npz")
    refused(tmp_path / "locked.npz")


def test_relatives_of_known_data_sets_are_called_by_their_names(tmp_path):
    for name, file, said in (
        (
            "cifar100",
            "train.bin",
            "the binary version of CIFAR-100, whose records have two labels; save images",
        ),
        (
            "cifar100p",
            "meta",
            "the pickled version of CIFAR-100, which could run code; take the binary",
        ),
        (
            "qmnist",
            "qmnist-train-images-idx3-ubyte",
            "QMNIST, whose labels have eight columns; save images",
        ),
    ):
        (tmp_path / name).mkdir()
        for part in ("train.bin", "test.bin") if file == "train.bin" else (file, "train"):
            (tmp_path / name / part).write_bytes(bytes(3074))
        refused(tmp_path / name, said)
    refused(tmp_path / "qmnist" / "qmnist-train-images-idx3-ubyte", "QMNIST")


def test_a_packed_file_without_its_ending_is_named(tmp_path):
    folder = save_idx(tmp_path / "mnist")
    path = folder / "train-labels-idx1-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))
    refused(
        folder, "train-labels-idx1-ubyte: is packed by gzip; name it train-labels-idx1-ubyte.gz"
    )


def test_a_pipe_is_no_data_set(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(UserError, match="is a pipe, not a file"):
        load(tmp_path / "x.npz")


@pytest.mark.skipif(not IMAGES.is_dir(), reason=f"no images in {IMAGES}")
@pytest.mark.parametrize("name", ["mnist.npz", "sign_digits32.npz"])
def test_no_shared_images_are_refused(name):
    assert len(load(IMAGES / name).classes) == 10
