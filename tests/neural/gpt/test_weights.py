"""Weights of others: what types of numbers are read, in which files, and which of them are no weights of a GPT-2."""

import json
import pickle
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neural.gpt import checkpoint
from neural.gpt.foreign import read
from neural.train.run import Run
from tests.neural.refusal import message
from tests.places import FIXTURES

FIXTURE = FIXTURES / "gpt2"
HEAD, EMBEDDING = "lm_head.weight", "transformer.wte.weight"


@pytest.fixture
def folder(tmp_path):
    """A copy of the fixture, to damage."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "gpt2"))


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edited(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64])
def test_other_floating_point_is_read_as_float32(folder, dtype):
    whole, _ = read(FIXTURE)
    edited(folder, lambda tensors: {name: a.astype(dtype) for name, a in tensors.items()})
    parameters, _ = read(folder)
    for name, array in whole.items():
        assert parameters[name].dtype == np.float32
        np.testing.assert_array_equal(parameters[name], array.astype(dtype).astype(np.float32))


def test_bfloat16_is_read_by_its_bits(folder):
    """Written here byte by byte, as a file of another program: 0x3fc0 is 1.5, 0xc000 is -2."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    header, content = {}, b""
    for name, array in tensors.items():
        bits = np.resize(np.array([0x3FC0, 0xC000], "<u2"), array.shape).tobytes()
        offsets = [len(content), len(content) + len(bits)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
        content += bits
    about = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(about)) + about + content)
    parameters, _ = read(folder)
    assert parameters["wte.weight"][0, :4].tolist() == [1.5, -2, 1.5, -2]


@pytest.mark.parametrize(
    "dtype",
    [np.int8, np.uint8, np.int32, np.bool_, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2],
)
@pytest.mark.parametrize("name", ["transformer.h.1.mlp.c_fc.weight", "transformer.ln_f.bias"])
def test_codes_of_quantised_weights_are_no_weights(folder, dtype, name):
    edited(folder, lambda tensors: tensors | {name: np.ones_like(tensors[name]).astype(dtype)})
    refusal = message(read, folder)
    assert f"{name} is of type" in refusal
    assert "before quantisation" in refusal


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(folder, value):
    name = "transformer.h.0.attn.c_proj.weight"

    def spoilt(tensors):
        array = tensors[name].astype(np.float64)
        array[1, 2] = value
        return tensors | {name: array}

    edited(folder, spoilt)
    refusal = message(read, folder)
    assert f"1 of 256 numbers of {name} are not finite" in refusal


def test_a_mask_of_any_type_is_left_out(folder):
    mask = np.tril(np.ones((1, 1, 16, 16), bool))
    masks = {"transformer.h.0.attn.bias": mask, "h.1.attn.masked_bias": np.float32([-np.inf])}
    edited(folder, lambda tensors: tensors | masks)
    assert read(folder)[0].keys() == read(FIXTURE)[0].keys()


@pytest.mark.parametrize("said", [{"tie_word_embeddings": None}, {"tie_word_embeddings": True}, {}])
def test_a_gpt2_is_tied_unless_its_config_says_otherwise(folder, said):
    about = json.loads((folder / "config.json").read_text())
    about.pop("tie_word_embeddings", None)
    (folder / "config.json").write_text(json.dumps(about | said))
    assert read(folder)[1].tied
    edited(folder, lambda tensors: tensors | {HEAD: tensors[EMBEDDING]})
    parameters, config = read(folder)
    assert config.tied
    assert HEAD not in parameters
    edited(folder, lambda tensors: tensors | {HEAD: tensors[EMBEDDING] + 1e-3})
    refusal = message(read, folder)
    assert "lm_head.weight is not wte.weight" in refusal
    assert '"tie_word_embeddings": false' in refusal
    edit(folder, tie_word_embeddings=False)
    assert not read(folder)[1].tied
    edited(folder, lambda t: {name: array for name, array in t.items() if name != EMBEDDING})
    edit(folder, **{"tie_word_embeddings": None} | said)
    assert "lm_head.weight and no wte.weight" in message(read, folder)


@pytest.mark.parametrize("name", ["n_layer", "n_embd", "n_head", "n_positions", "vocab_size"])
@pytest.mark.parametrize("value", [True, 2.0, 1.5, "2", None, float("nan"), [2], 0, -2, 10**15])
def test_sizes_are_whole_numbers(folder, name, value):
    edit(folder, **{name: value})
    refusal = message(read, folder)
    assert str(folder) in refusal
    if value != 10**15:
        assert "give a whole number >= 1" in refusal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tie_word_embeddings": 1}, "tie_word_embeddings = 1: give true, false"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings = false"),
        ({"scale_attn_weights": 1}, "scale_attn_weights = 1"),
        ({"model_type": "a\nb" * 100}, "model_type = a ba b"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon = NaN"),
    ],
)
def test_words_of_a_config_are_those_of_a_gpt2(folder, changes, words):
    edit(folder, **changes)
    assert words in message(read, folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"3", b"", b"\xff"])
@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json"])
def test_json_that_says_nothing_is_refused(folder, content, file):
    (folder / file).write_bytes(content)
    if file != "config.json":
        (folder / "model.safetensors").unlink()
    assert str(folder / file) in message(read, folder)


def test_a_run_whose_json_is_nested_too_deep_is_refused(tmp_path):
    (tmp_path / "config.json").write_bytes(b"[" * 100_000)
    assert Run(tmp_path).record == {}
    path = tmp_path / "step-00000001.safetensors"
    save_file({"a": np.ones(1)}, path)
    path.with_suffix(".json").write_bytes(b"[" * 100_000)
    assert "damaged" in message(checkpoint.load, path)


def in_parts(folder, **placed):
    """The fixture's weights in two files, and an index which places these tensors elsewhere."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    where = dict.fromkeys(names[:9], "a.safetensors") | dict.fromkeys(names[9:], "b.safetensors")
    for part in ("a.safetensors", "b.safetensors"):
        save_file({n: tensors[n] for n in names if where[n] == part}, folder / part)
    index = {"weight_map": where | placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return tensors


@pytest.mark.parametrize(
    "part",
    [
        *(3, None, ["a.safetensors"], "", ".", "..", "../x.safetensors", "sub/../x.safetensors"),
        *("/tmp/x.safetensors", "sub/x.safetensors", "a\0.safetensors", "\ud800.safetensors"),
    ],
)
def test_parts_lie_beside_their_index(folder, part):
    tensors = in_parts(folder, **{EMBEDDING: part})
    save_file({EMBEDDING: tensors[EMBEDDING]}, folder.parent / "x.safetensors")
    assert "no name of a file beside it" in message(read, folder)


def test_parts_may_be_links(folder):
    """As in the cache of the hub."""
    in_parts(folder)
    (folder / "a.safetensors").rename(folder.parent / "blob")
    (folder / "a.safetensors").symlink_to(folder.parent / "blob")
    whole = read(FIXTURE)[0]
    for name, array in read(folder)[0].items():
        np.testing.assert_array_equal(array, whole[name])


def test_what_the_index_says_counts(folder):
    """A part that holds another tensor of that name does not; one that lacks a tensor is refused."""
    tensors = in_parts(folder)
    part = folder / "b.safetensors"
    save_file(load_file(part) | {"transformer.h.0.ln_1.bias": np.ones(16, np.float32)}, part)
    np.testing.assert_array_equal(
        read(folder)[0]["h.0.ln_1.bias"], tensors["transformer.h.0.ln_1.bias"]
    )
    index = folder / "model.safetensors.index.json"
    where = json.loads(index.read_text())["weight_map"]
    where["transformer.h.0.ln_1.weight"] = "b.safetensors"
    index.write_text(json.dumps({"weight_map": where}))
    assert "b.safetensors holds transformer.h.0.ln_1.weight, which" in message(read, folder)
    index.write_text(json.dumps({"weight_map": {}}))
    assert "damaged" in message(read, folder)


def test_two_tensors_of_one_name_are_refused(folder):
    edited(folder, lambda tensors: tensors | {"wte.weight": tensors[EMBEDDING]})
    assert read(folder)[1].vocabulary == 48
    edited(folder, lambda tensors: tensors | {"module.wte.weight": 2 * tensors[EMBEDDING]})
    assert "two tensors for wte.weight" in message(read, folder)


@pytest.mark.parametrize("name", ["wte.weight", "wpe.weight"])
def test_embeddings_that_are_no_matrices_are_refused(folder, name):
    (folder / "config.json").unlink()
    edited(folder, lambda t: t | {f"transformer.{name}": np.ones(16, np.float32)})
    assert "no matrices" in message(read, folder / "model.safetensors")


class Tensor:
    """As much of torch's as is asked of it."""

    def __init__(self, array, dtype="float32"):
        self.array, self.dtype = array, f"torch.{dtype}"

    def detach(self):
        return self

    def float(self):
        return self

    def numpy(self):
        return self.array.astype(np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda array: Tensor(array), None),
        (lambda array: Tensor(array, "bfloat16"), None),
        (lambda array: Tensor(array, "int8"), "of type int8"),
        (lambda array: Tensor(array * np.nan), "not finite"),
        (lambda array: {"a": array}, "no dictionary of tensors"),
    ],
)
def test_state_dicts_are_judged_as_safetensors_are(folder, monkeypatch, change, words):
    """By a torch of our own: the real one is tested where it is installed."""
    tensors = {
        name: Tensor(array) for name, array in load_file(FIXTURE / "model.safetensors").items()
    }
    tensors["h.0.attn.bias"] = Tensor(np.ones((2, 2)), "uint8")
    tensors[EMBEDDING] = change(load_file(FIXTURE / "model.safetensors")[EMBEDDING])
    torch = SimpleNamespace(load=lambda path, map_location, weights_only: tensors)
    monkeypatch.setitem(sys.modules, "torch", torch)
    path = folder / "state.pth"
    path.write_bytes(b"\x80\x02}q\x00.")
    if words is None:
        np.testing.assert_array_equal(read(path)[0]["wte.weight"], read(FIXTURE)[0]["wte.weight"])
    else:
        assert words in message(read, path)


class Sprung:
    """A pickle that makes a folder when it is read as pickles are."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


def test_a_checkpoint_of_nanogpt_is_named_and_not_unpickled(folder, tmp_path):
    keys = ("model", "optimizer", "model_args", "iter_num", "best_val_loss", "config")
    content = pickle.dumps(dict.fromkeys(keys, Sprung(tmp_path / "sprung")))
    path = folder / "ckpt.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ckpt/data.pkl", content)
    (folder / "model.safetensors").unlink()
    for refusal in (message(read, folder), message(read, path), message(checkpoint.load, path)):
        assert f"{path} is a checkpoint of nanoGPT" in refusal
        assert "give a GPT-2 that transformers saved" in refusal
    assert not (tmp_path / "sprung").exists()
    path.write_bytes(path.read_bytes()[:50])
    assert "nanoGPT" not in message(checkpoint.load, path)
