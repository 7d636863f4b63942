import json
import os
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neural.gpt import checkpoint, hf
from neural.gpt.config import ModelConfig
from neural.gpt.foreign import located, read
from neural.gpt.hf import export_model, import_model, tokenizer_of
from neural.gpt.model import logits, shapes
from neural.text.corpus import Corpus
from neural.text.documents import document
from neural.text.tokenizer import ByteTokenizer
from neural.text.tokenizer import save as save_tokenizer
from neural.text.tokenizer import train as train_tokenizer
from tests.command_line import as_process, in_process
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.places import FIXTURES

FIXTURE = FIXTURES / "gpt2"
AGREEMENT = 1e-4
"""Of logits of some units, in float32: some hundred roundings of 6e-8 relative."""


@pytest.fixture
def folder(tmp_path):
    """A copy of the fixture, to damage."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "gpt2"))


@pytest.fixture(scope="module")
def byte_pairs():
    documents = [document("1", "the king and the queen and the ring " * 9)]
    empty: list = []
    corpus = Corpus({"en": {"train": documents, "valid": empty, "test": empty}})
    return train_tokenizer(corpus, 265)


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edited(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def test_logits_are_those_of_transformers():
    parameters, config = read(FIXTURE)
    assert config == ModelConfig(layers=2, width=16, heads=4, context=16, vocabulary=48)
    assert {name: array.shape for name, array in parameters.items()} == shapes(config)
    expected = load_file(FIXTURE / "expected.safetensors")
    placed = jax.device_put(parameters)
    ours = logits(placed, expected["tokens"].astype(np.int32), config)
    assert np.abs(expected["logits"]).max() > 1
    np.testing.assert_allclose(ours, expected["logits"], rtol=0, atol=AGREEMENT)


def test_older_files_are_read_too(folder):
    """Without prefix, with that of data parallelism, with masks, with the tied head, in half precision."""
    whole, _ = read(FIXTURE)
    masks = {
        "h.0.attn.bias": np.tril(np.ones((1, 1, 16, 16), np.float32)),
        "h.1.attn.masked_bias": np.float32([-1e4]),
    }
    edited(folder, lambda tensors: {k.removeprefix("transformer."): v for k, v in tensors.items()})
    edited(folder, lambda tensors: tensors | masks | {"lm_head.weight": tensors["wte.weight"]})
    edited(folder, lambda tensors: {f"module.{name}": a for name, a in tensors.items()})
    parameters, config = read(folder)
    assert config.tied
    for name, array in whole.items():
        np.testing.assert_array_equal(parameters[name], array)
    edited(folder, lambda tensors: {k: v.astype(np.float16) for k, v in tensors.items()})
    parameters, _ = read(folder)
    assert {array.dtype for array in parameters.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        parameters["wpe.weight"], whole["wpe.weight"], rtol=2**-10, atol=1e-6
    )


def test_weights_in_several_files_are_joined(folder):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    where = {}
    for number, part in enumerate((names[:9], names[9:]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    assert read(folder)[0].keys() == read(FIXTURE)[0].keys()
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors" in message(read, folder)


def test_a_file_alone_tells_its_sizes_but_not_its_heads(folder):
    (folder / "config.json").unlink()
    path = folder / "model.safetensors"
    assert read(path, heads=4)[1] == read(FIXTURE)[1]
    assert "say how many --heads" in message(read, path)
    assert "do not divide" in message(read, path, heads=5)
    edited(folder, lambda tensors: tensors | {"lm_head.weight": tensors["transformer.wte.weight"]})
    assert read(path, heads=4)[1].tied
    edited(
        folder, lambda tensors: tensors | {"lm_head.weight": 2 * tensors["transformer.wte.weight"]}
    )
    parameters, config = read(path, heads=4)
    assert not config.tied
    np.testing.assert_array_equal(parameters["lm_head.weight"], 2 * parameters["wte.weight"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "llama"}, "model_type = llama, not gpt2"),
        ({"activation_function": "relu"}, "activation_function = relu"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"n_head": 3}, "do not divide"),
        ({"n_layer": 3}, "h.2.ln_1.weight is missing"),
        ({"n_layer": 1}, "h.1.attn.c_attn.bias is (48,), and should be missing"),
        ({"n_positions": 32}, "wpe.weight is (16, 16), and should be (32, 16)"),
        ({"n_embd": None}, "n_embd = null: give a whole number"),
        ({"tie_word_embeddings": False}, "lm_head.weight is missing"),
        ({"n_inner": 32}, "n_inner = 32, not 4 times n_embd"),
        ({"n_inner": 64.0}, "n_inner = 64.0, not 4 times n_embd"),
    ],
)
def test_what_is_no_gpt2_of_its_config_is_refused(folder, changes, words):
    edit(folder, **changes)
    assert words in message(read, folder)


def test_damage_is_refused(folder):
    assert "leave out --heads" in message(read, folder, heads=4)
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    assert "no safetensors file" in message(read, folder)
    path.unlink()
    assert "holds no model.safetensors" in message(read, folder)
    (folder / "config.json").write_text("{")
    path.write_bytes(content)
    assert "no config.json" in message(read, folder)


def test_a_config_that_is_no_file_is_not_passed_over(folder):
    path = folder / "config.json"
    path.unlink()
    os.mkfifo(path)
    assert "config.json is a pipe, not a file" in message(read, folder)
    path.unlink()
    path.mkdir()
    assert "no config.json of a GPT-2" in message(read, folder)


def test_what_is_neither_here_nor_on_the_hub_is_refused(monkeypatch):
    assert "check the path" in message(located, "no/such/folder")
    assert "check the path" in message(located, "missing.pth")

    def offline(name, **_):
        raise ConnectionError(f"no way\nto {name}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    assert "no way to someone/gpt2" in message(located, "someone/gpt2")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install huggingface_hub" in message(located, "gpt2")


def test_a_model_of_the_hub_is_its_local_copy(monkeypatch, folder):
    asked = {}

    def copy(name, allow_patterns):
        asked[name] = allow_patterns
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", copy)
    assert located("openai-community/gpt2") == folder
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(
        asked["openai-community/gpt2"]
    )
    assert located(str(folder)) == folder
    assert len(asked) == 1


class Opened:
    """A pickle that makes a file when it is read as pickles are."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_are_read_by_torch_alone(folder, monkeypatch):
    path = folder / "bilingual.pth"
    path.write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install torch" in message(read, path, heads=4)


def test_state_dicts_of_torch_are_read(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    whole = load_file(folder / "model.safetensors")
    tensors = {f"module.{name}": torch.tensor(array).half() for name, array in whole.items()}
    path = folder.parent / "bilingual.pth"
    torch.save(tensors | {"module.lm_head.weight": tensors["module.transformer.wte.weight"]}, path)
    parameters, config = read(path, heads=4)
    assert config == read(FIXTURE)[1]
    np.testing.assert_allclose(
        parameters["wpe.weight"], whole["transformer.wpe.weight"], rtol=2**-10, atol=1e-6
    )
    torch.save(Opened(str(folder / "opened")), path)
    assert "no dictionary of tensors" in message(read, path, heads=4)
    assert not (folder / "opened").exists()


def with_vocabulary(folder, vocabulary):
    """The fixture with an embedding of so many ids."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((vocabulary, 16)).astype(np.float32)
    edited(folder, lambda tensors: tensors | {"transformer.wte.weight": rows})
    edit(folder, vocab_size=vocabulary)


def test_import_makes_a_run(folder, byte_pairs, tmp_path):
    with_vocabulary(folder, 265)
    save_tokenizer(byte_pairs, folder / "tokenizer.json")
    path = import_model(str(folder), tmp_path / "run")
    loaded = checkpoint.load(tmp_path / "run")
    assert loaded.path == path
    assert (loaded.step, loaded.model) == (0, read(folder)[1])
    assert loaded.tokenizer.fingerprint == byte_pairs.fingerprint
    for name, array in read(folder)[0].items():
        np.testing.assert_array_equal(loaded.parameters[name], array)
    assert "there already" in message(import_model, str(folder), tmp_path / "run")


def test_the_tokenizer_has_to_fit(folder, byte_pairs, tmp_path):
    """And nothing is left of an import that fails."""
    out = tmp_path / "run"
    assert "holds no tokenizer" in message(import_model, str(folder), out)
    save_tokenizer(byte_pairs, folder / "tokenizer.json")
    assert "265 ids, the model 48" in message(import_model, str(folder), out)
    (folder / "tokenizer.json").write_text("{}")
    assert "not a tokenizer" in message(import_model, str(folder), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpt2"]


def test_vocabulary_and_merges_make_the_same_tokenizer(byte_pairs, tmp_path):
    model = json.loads(byte_pairs.serialised())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    tokenizer = tokenizer_of(tmp_path)
    text = "the queen, ο βασιλιάς and the king <|endoftext|>"
    np.testing.assert_array_equal(tokenizer.encode(text), byte_pairs.encode(text))
    assert (tokenizer.vocabulary, tokenizer.end_of_text) == (265, byte_pairs.end_of_text)
    assert tokenizer_of(tmp_path / "merges.txt").vocabulary == 265
    (tmp_path / "merges.txt").write_text("no merges\n")
    assert "no tokenizer" in message(tokenizer_of, tmp_path)


@pytest.fixture
def run(tmp_path, byte_pairs):
    def made(tokenizer=byte_pairs, tied=True):
        config = ModelConfig(
            layers=2, width=16, heads=4, context=16, vocabulary=tokenizer.vocabulary, tied=tied
        )
        save_tokenizer(tokenizer, tmp_path / checkpoint.TOKENIZER)
        path = checkpoint.file_of(tmp_path / "seed-0", 1)
        checkpoint.save(
            path,
            random_parameters(config),
            config,
            step=1,
            seed=0,
            languages="",
            tokens={},
            fingerprint=tokenizer.fingerprint,
            run="0",
        )
        return checkpoint.load(path)

    return made


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_exported_is_imported_again(run, tied, tmp_path):
    model = run(tied=tied)
    export_model(model, tmp_path / "out")
    prefixes = {name.split(".")[0] for name in load_file(tmp_path / "out" / "model.safetensors")}
    assert prefixes == ({"transformer"} if tied else {"transformer", "lm_head"})
    again = checkpoint.load(import_model(str(tmp_path / "out"), tmp_path / "again"))
    assert again.model == model.model
    assert again.tokenizer.fingerprint == model.tokenizer.fingerprint
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
    assert "there already" in message(export_model, model, tmp_path / "out")


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_loads_what_is_exported(run, tied, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = run(tied=tied)
    export_model(model, tmp_path / "out")
    theirs, about = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(about.values())
    text = "the king and the queen"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer(text)["input_ids"]
    np.testing.assert_array_equal(ids, model.tokenizer.encode(text))
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits.numpy()
    ours = logits(jax.device_put(model.parameters), np.array([ids]), model.model)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=AGREEMENT)


def test_a_model_of_bytes_is_exported_and_read_back(run, tmp_path):
    model = run(ByteTokenizer())
    export_model(model, tmp_path / "out")
    again = checkpoint.load(import_model(str(tmp_path / "out"), tmp_path / "again"))
    assert isinstance(again.tokenizer, ByteTokenizer)
    assert again.fingerprint == model.fingerprint
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
    (tmp_path / "out" / "tokenizer.json").unlink()  # as exports were once written
    assert "or bytes, where its ids" in message(import_model, str(tmp_path / "out"), tmp_path / "b")
    path = import_model(str(tmp_path / "out"), tmp_path / "b", tokenizer="bytes")
    assert isinstance(checkpoint.load(path).tokenizer, ByteTokenizer)


def test_exports_and_imports_have_the_modes_that_the_umask_gives(run, tmp_path):
    before = os.umask(0o027)
    try:
        export_model(run(), tmp_path / "out")
        import_model(str(tmp_path / "out"), tmp_path / "again")
    finally:
        os.umask(before)
    made = [path for name in ("out", "again") for path in (tmp_path / name).rglob("*")]
    assert len(made) == 4 + 4
    for path in made:
        assert oct(path.stat().st_mode & 0o777) == oct(0o750 if path.is_dir() else 0o640)


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
    model = run()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hf, "_write", full)
    assert "No space left" in message(export_model, model, tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_the_commands(folder, byte_pairs, tmp_path, capfd):
    with_vocabulary(folder, 265)
    save_tokenizer(byte_pairs, folder / "tokenizer.json")
    done = as_process("neural.hf", "import", folder, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (0, "")
    export = ("neural.hf", "export", tmp_path / "run", "--out", tmp_path / "out")
    done = as_process(*export)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out'}\n")
    done = in_process(capfd, *export)
    assert done.returncode == 2
    assert done.stderr.startswith("neural.hf: ")
    assert done.stderr.count("\n") == 1
