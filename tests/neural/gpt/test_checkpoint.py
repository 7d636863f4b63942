import json
import os
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from neural.gpt import checkpoint
from neural.gpt.checkpoint import file_of, halves, load, models, read, save, steps, write
from neural.gpt.config import ModelConfig
from neural.gpt.model import shapes
from neural.text.tokenizer import ByteTokenizer
from neural.text.tokenizer import save as save_tokenizer
from sim.runs.errors import UserError
from tests.neural.refusal import message
from tests.strategies import seeded

MODEL = ModelConfig(layers=1, width=4, heads=2, context=3, vocabulary=5)


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes(MODEL).items()
    }


def saved(folder, step=7, seed=0):
    path = file_of(folder, step)
    save(
        path,
        parameters(seed),
        MODEL,
        step=step,
        seed=seed,
        languages="el,en",
        tokens={"el": 21, "en": 21},
        fingerprint=ByteTokenizer().fingerprint,
        run="0123",
    )
    return path


@pytest.fixture
def run(tmp_path):
    save_tokenizer(ByteTokenizer(), tmp_path / checkpoint.TOKENIZER)
    saved(tmp_path / "seed-0")
    saved(tmp_path / "seed-0", step=12, seed=1)
    return tmp_path


def test_what_is_loaded_is_what_was_saved(run):
    loaded = load(run / "seed-0", step=7)
    for name, array in parameters().items():
        assert loaded.parameters[name].dtype == np.float32
        np.testing.assert_array_equal(loaded.parameters[name], array)
    assert list(loaded.parameters) == list(shapes(MODEL))
    assert (loaded.model, loaded.step, loaded.seed, loaded.run) == (MODEL, 7, 0, "0123")
    assert (loaded.languages, loaded.tokens) == ("el,en", {"el": 21, "en": 21})
    assert loaded.tokenizer.vocabulary == 257


def test_a_file_a_record_a_model_and_a_run_of_one_model_can_be_given(run):
    last = file_of(run / "seed-0", 12)
    for where in (run, run / "seed-0", last, last.with_suffix(".json"), str(last)):
        assert load(where).step == 12
    assert steps(run / "seed-0") == (7, 12)
    assert models(run) == (run / "seed-0",)


def test_safetensors_alone_reads_a_checkpoint_and_the_same_tensors_are_the_same_bytes(run):
    first = file_of(run / "seed-0", 7)
    np.testing.assert_array_equal(load_file(first)["wpe.weight"], parameters()["wpe.weight"])
    again = saved(run / "elsewhere")
    assert again.read_bytes() == first.read_bytes()
    assert again.with_suffix(".json").read_bytes() == first.with_suffix(".json").read_bytes()


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("intact"))


@seeded
@given(
    part=st.sampled_from([".safetensors", ".json"]), place=st.floats(0, 1), bit=st.integers(0, 7)
)
def test_no_flipped_bit_goes_unseen(intact, part, place, bit):
    path = intact.with_suffix(part)
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[int(place * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        assert "damaged" in message(load, intact) or "format" in message(load, intact)
    finally:
        path.write_bytes(content)


@seeded
@given(part=st.sampled_from([".safetensors", ".json"]), kept=st.floats(0, 0.99))
def test_no_truncation_goes_unseen(intact, part, kept):
    path = intact.with_suffix(part)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    try:
        assert "damaged" in message(load, intact)
    finally:
        path.write_bytes(content)


class Trap:
    """Pickled, it makes a file when read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.pth", "step-00000001.safetensors"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_refused_unread(tmp_path, name, zipped):
    sprung = tmp_path / "sprung"
    content = b"PK\x03\x04" if zipped else b""
    (tmp_path / name).write_bytes(content + pickle.dumps(Trap(sprung)))
    (tmp_path / name).with_suffix(".json").write_text("{}")
    assert "can run code" in message(load, tmp_path / name)
    assert not sprung.exists()


@pytest.mark.parametrize("part", [".safetensors", ".json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run, part):
    path = file_of(run / "seed-0", 12)
    path.with_suffix(part).unlink()
    os.mkfifo(path.with_suffix(part))
    assert f"{path.with_suffix(part)} is a pipe, not a file" in message(read, path)


def test_foreign_files_are_refused(run):
    save_file(parameters(), run / "foreign.safetensors")
    assert "foreign.json" in message(load, run / "foreign.safetensors")
    (run / "foreign.json").write_text(json.dumps({"format": "other"}))
    assert "format other" in message(load, run / "foreign.safetensors")
    for content in ("[]", "null", "3", "{", '{"format": "' + checkpoint.FORMAT + '"}'):
        (run / "foreign.json").write_text(content)
        assert "damaged" in message(load, run / "foreign.safetensors")


def test_a_record_of_other_tensors_is_refused(run):
    other, mine = file_of(run / "seed-0", 12), file_of(run / "seed-0", 7)
    other.with_suffix(".json").replace(mine.with_suffix(".json"))
    assert "damaged" in message(load, mine)


def test_a_state_is_no_model_and_a_model_of_other_sizes_is_refused(tmp_path):
    write(tmp_path / "step-00000001.safetensors", parameters(), {"step": 1})
    assert "no model" in message(load, tmp_path)
    about = json.loads(saved(tmp_path / "b").with_suffix(".json").read_text())
    about = {k: about[k] for k in about.keys() - {"format", "tensors", "sha256", "digest"}}
    less = {name: array for name, array in parameters().items() if name != "ln_f.bias"}
    for tensors in (less, {k: v.astype(np.float64) for k, v in parameters().items()}):
        write(tmp_path / "step-00000002.safetensors", tensors, about)
        assert "tensors of" in message(load, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_whose_training_diverged_is_refused(run, value):
    tensors = parameters()
    tensors["wpe.weight"][1, 2] = value
    path = file_of(run / "seed-0", 12)
    write(path, tensors, {k: v for k, v in read(path)[1].items() if k not in ("sha256", "tensors")})
    assert "wpe.weight holds numbers that are not finite" in message(load, run)
    assert load(run, step=7).step == 7


def test_what_is_not_there_is_said(run, tmp_path):
    assert "no checkpoint of step 8: it has 7, 12" in message(load, run, step=8)
    assert "No such file" in message(load, run / "nowhere")
    (run / "seed-1").mkdir()
    assert "several models" in message(load, run)
    assert "none yet" in message(load, run / "seed-1") or "holds no checkpoint" in message(
        load, run / "seed-1"
    )


@pytest.mark.parametrize("gone", [".json", ".safetensors"])
def test_half_of_the_last_checkpoint_is_an_error_that_names_it(run, gone):
    """Not an older step without a word; which can be asked for."""
    file_of(run / "seed-0", 12).with_suffix(gone).unlink()
    for where in (run, run / "seed-0"):
        refusal = message(load, where)
        assert "step-00000012" in refusal
        assert f"without step-00000012{gone}" in refusal
        assert "whole: 7" in refusal
        assert message(load, where, step=12) == refusal
        assert load(where, step=7).step == 7
    assert "step-00000012" in message(load, file_of(run / "seed-0", 12))
    assert steps(run / "seed-0") == (7,)
    assert halves(run / "seed-0") == (12,)
    file_of(run / "seed-0", 7).with_suffix(gone).unlink()
    assert "step-00000012" in message(load, run)
    assert "whole: none yet" in message(load, run)


def test_half_of_an_older_checkpoint_does_not_matter(run):
    file_of(run / "seed-0", 7).unlink()
    assert load(run).step == 12
    assert "step-00000007" in message(load, run, step=7)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save_tokenizer(ByteTokenizer(), tmp_path / checkpoint.TOKENIZER)
        saved(tmp_path / "seed-0")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {oct(mode)}
    assert len(files) == 3


def test_another_tokenizer_is_refused(run):
    (run / checkpoint.TOKENIZER).write_text('{"type": "bytes"} \n')
    with pytest.raises(UserError, match="tokenizer"):
        _ = load(run).tokenizer


def test_a_full_disk_leaves_what_was_saved(run):
    path = file_of(run / "seed-0", 12)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        refusal = message(saved, run / "seed-0", step=13)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in refusal
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    assert load(path).step == 12


class Killed(BaseException):
    """What a test raises in place of a kill: nobody catches it."""


@pytest.fixture
def kill_at(monkeypatch):
    """kill_at(n): the n-th call that changes the folder, and all after it, do nothing but raise."""

    def arm(count):
        left = count

        def guarded(call):
            def wrapper(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return call(*arguments, **options)

            return wrapper

        for name in ("replace", "unlink", "fsync"):
            monkeypatch.setattr(os, name, guarded(getattr(os, name)))
        return lambda: left >= 0

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("step", [12, 13])
def test_a_kill_leaves_the_old_checkpoint_or_the_new(tmp_path, kill_at, monkeypatch, step):
    """Whether a step is written the first time or again, its pair is whole or not there."""
    outcomes = set()
    for count in range(20):
        folder = tmp_path / str(count)
        saved(folder, step=7)
        saved(folder, step=12)
        survived = kill_at(count)
        try:
            saved(folder, step=step, seed=1)
        except Killed:
            pass
        finally:
            monkeypatch.undo()
        assert 7 in steps(folder)
        seeds = {n: load(folder, step=n).seed for n in steps(folder)}
        outcomes.add((step in seeds, seeds.get(step)))
        if survived():
            break
    else:
        pytest.fail("the write has more than 20 places to die at")
    assert seeds[step] == 1
    assert {there for there, _ in outcomes} == {False, True}
    assert read(file_of(folder, step))[1]["step"] == step
