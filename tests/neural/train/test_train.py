import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from neural.gpt.checkpoint import load, models, steps
from neural.gpt.config import ModelConfig
from neural.gpt.model import loss, token_losses
from neural.train import loop, parallel
from neural.train import step as step_
from neural.train.__main__ import Arguments, config_of, main, report
from neural.train.data import batch, mixtures, windows
from neural.train.loop import train
from neural.train.metrics import JsonLines
from neural.train.optim import schedule
from neural.train.recipe import numbers
from neural.train.run import Run
from sim.runs.identity import identity
from sim.runs.lock import LOCK
from tests.neural.refusal import message
from tests.neural.small_run import CONFIG, MODEL, config, data, files, lines
from tests.places import ROOT

ENSEMBLE = config(seeds=(3, 0), languages=("a:0.75,b:0.25", "a"), accumulation=4, evaluation=2)
"""Two seeds on each of two mixtures, every batch in four parts."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    return train(CONFIG, tmp_path_factory.mktemp("whole"), data=data()).folder


def program(recipe=CONFIG):
    mesh = parallel.mesh_of(len(recipe.members))
    return step_.program(recipe.model, recipe.compute, recipe.optimiser, mesh, recipe.shard)


# What a run leaves


def test_a_run_keeps_what_was_asked_for(whole):
    assert steps(whole / "seed-0") == (0, 4, 12)
    assert not steps(whole / "state")
    assert not list(whole.rglob("*.tmp"))
    kept = load(whole)
    assert (kept.step, kept.model, kept.run) == (12, MODEL, identity(CONFIG))
    assert kept.tokens == mixtures(CONFIG, data())[0].tokens_seen(0, 12)
    assert Run.existing(whole).record["config"]["batch"] == 8


def test_metrics_have_a_line_an_update_and_one_a_language_and_evaluation(whole):
    metrics = lines(whole)
    updates = [line for line in metrics if line["kind"] == "train"]
    assert [line["step"] for line in updates] == list(range(1, 13))
    assert [line["tokens"] for line in updates] == [step * 8 * 16 for step in range(1, 13)]
    rates = [float(schedule(CONFIG.optimiser)(i)) for i in range(12)]
    np.testing.assert_allclose([line["learning_rate"] for line in updates], rates, rtol=1e-6)
    evaluations = [(line["step"], line["language"]) for line in metrics if line["kind"] == "valid"]
    assert evaluations == [(step, name) for step in (0, 5, 10, 12) for name in "ab"]
    assert [line["step"] for line in metrics] == sorted(line["step"] for line in metrics)


def test_it_learns(whole):
    losses = [line["loss"] for line in lines(whole) if line["kind"] == "train"]
    assert losses[0] == pytest.approx(np.log(MODEL.vocabulary), abs=0.1)  # a small random model
    assert losses[-1] < losses[0] - 0.5


def device(parameters):
    return jax.tree.map(jax.numpy.asarray, parameters)


def test_the_first_line_is_of_the_model_at_step_0(whole):
    """Its loss and gradient on its batch; float32 sums in another order, so relative 1e-5 and, squared, 1e-4."""
    tokens = batch(CONFIG, mixtures(CONFIG, data()), 0)[0, 0]
    gradient = jax.jit(jax.value_and_grad(loss), static_argnums=3)
    parameters = device(load(whole, step=0).parameters)
    value, gradients = gradient(parameters, tokens[:, :-1], tokens[:, 1:], MODEL)
    first = next(line for line in lines(whole) if line["kind"] == "train")
    assert first["loss"] == pytest.approx(float(value), rel=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values()))
    assert first["gradient_norm"] == pytest.approx(norm, rel=1e-4)


def test_validation_is_the_mean_loss_of_the_kept_model_on_the_windows(whole):
    placed = windows(CONFIG, data())
    assert placed.shape == (2, 1, 8, 17)
    parameters = device(load(whole).parameters)
    last = [line for line in lines(whole) if line["kind"] == "valid" and line["step"] == 12]
    for line, tokens in zip(last, placed, strict=True):
        losses = jax.jit(token_losses, static_argnums=3)
        mean = float(losses(parameters, tokens[0, :, :-1], tokens[0, :, 1:], MODEL).mean())
        assert line["loss"] == pytest.approx(mean, rel=1e-5)  # float32 sums in another order
        bytes_a_token = {"a": 1, "b": 2}[line["language"]]
        assert line["bits_per_byte"] == pytest.approx(mean / np.log(2) / bytes_a_token, rel=1e-5)


def test_validation_windows_are_spread_over_the_text_of_each_language():
    ids = {"a": np.arange(500) % 100, "b": 100 + np.arange(18)}
    placed = windows(CONFIG, replace(data(), valid=ids))
    assert placed.shape == (2, 1, 8, 17)
    np.testing.assert_array_equal(np.diff(placed[0], axis=-1) % 100, 1)  # each is consecutive text
    starts = placed[0, 0, :, 0] % 100
    np.testing.assert_array_equal(starts, np.linspace(0, 500 - 17, 8).astype(int) % 100)
    assert set(placed[1, 0, :, 0]) == {100, 101}


def test_equal_runs_have_equal_bits_and_one_trace(whole, tmp_path):
    step_.shared_program.cache_clear()  # other tests may have traced it for other numbers of models
    train(CONFIG, tmp_path, data=data())
    assert files(tmp_path) == files(whole)
    assert lines(tmp_path) == lines(whole)
    assert program().step.compiled._cache_size() == 1
    assert program().evaluate._cache_size() == 1


def test_every_update_reads_the_batch_of_its_step_and_seed(ensemble, tmp_path, monkeypatch):
    read = []

    def recording(*arguments):
        made = step_.program(*arguments)

        def step(state, tokens):
            read.append(np.asarray(tokens))
            return made.step(state, tokens)

        return replace(made, step=step)

    monkeypatch.setattr(loop, "program", recording)
    train(ENSEMBLE, tmp_path, data=data())
    assert files(tmp_path) == files(ensemble)
    assert len(read) == 12
    for number, tokens in enumerate(read):
        assert tokens.shape == (4, 4, 2, 17)
        for stack, member in zip(tokens, ENSEMBLE.members, strict=True):
            mixture = mixtures(ENSEMBLE, data())[member.mixture]
            wanted, _ = mixture.batch(member.seed, number)
            np.testing.assert_array_equal(stack.reshape(8, 17), wanted)


def test_where_nothing_is_asked_nothing_is_kept_but_the_end(tmp_path):
    plain = config(evaluate_every=0, save_every=0, checkpoints="12")
    train(plain, tmp_path, data=data())
    assert steps(tmp_path / "seed-0") == (12,)
    assert {line["kind"] for line in lines(tmp_path)} == {"train"}


def test_no_bits_per_byte_of_text_that_the_tokenizer_alters(whole, tmp_path, capsys):
    """Losses are kept, bits per byte are null, and the reason is said."""
    text = replace(
        data(), tokens_per_byte={"a": 1.0, "b": math.nan}, altered={"b": "it is lower-cased"}
    )
    run = train(CONFIG, tmp_path, data=text)
    assert capsys.readouterr().err == "b: no bits per byte: it is lower-cased\n"
    for line, before in zip(lines(tmp_path), lines(whole), strict=True):
        if line.get("language") == "b":
            assert line.pop("bits_per_byte") is None
            before.pop("bits_per_byte")
        assert line == before
    table = report(run, 0).splitlines()
    assert [len(row.split()) for row in table if "seed-0" in row] == [4, 3, 3]


# Parts, seeds and mixtures


def final(folder, model="seed-0"):
    return load(folder / model).parameters


def assert_close(actual, wanted):
    """Twelve updates of at most 3e-3 that started equal: float32 rounding moves Adam's steps by some 1e-6 of them,
    more where a gradient is nearly 0 and its sign decides."""
    for name in wanted:
        np.testing.assert_allclose(actual[name], wanted[name], atol=2e-4, err_msg=name)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    return train(ENSEMBLE, tmp_path_factory.mktemp("ensemble"), data=data()).folder


def test_models_of_an_ensemble_are_as_if_trained_alone_in_whole_batches(whole, ensemble):
    names = [f"mixture-{mixture}-seed-{seed}" for mixture in (0, 1) for seed in (0, 3)]  # sorted
    assert [path.name for path in models(ensemble)] == names
    assert_close(final(ensemble, "mixture-0-seed-0"), final(whole))
    only_a = load(ensemble / "mixture-1-seed-3")
    assert (only_a.seed, only_a.languages) == (3, "a")
    assert only_a.tokens == {"a": 12 * 8 * 16}
    other = final(ensemble, "mixture-0-seed-3")
    assert np.abs(other["wte.weight"] - final(whole)["wte.weight"]).max() > 0.01
    assert "several models" in message(load, ensemble)


def test_a_mixture_of_one_language_learns_that_one(ensemble):
    last = {
        (line["model"], line["language"]): line["loss"]
        for line in lines(ensemble)
        if line["kind"] == "valid" and line["step"] == 12
    }
    assert last["mixture-1-seed-0", "a"] < last["mixture-1-seed-0", "b"] - 0.5


# Interrupted and resumed


class Killed(BaseException):
    pass


def killed_at(monkeypatch, count):
    """From the count-th change of the folder on, nothing happens to it any more."""
    left = count

    def guarded(call):
        def wrapper(file, *others, **options):
            nonlocal left
            left -= 1
            if left < 0 and LOCK not in str(file):  # a lock goes with its process
                raise Killed
            return call(file, *others, **options)

        return wrapper

    for name in ("replace", "unlink", "fsync"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))


def resumed(folder, monkeypatch, *counts):
    """A run killed at each of these changes, then left alone."""
    for count in counts:
        killed_at(monkeypatch, count)
        try:
            train(CONFIG, folder, resume=True, data=data())
        except Killed:
            pass
        finally:
            monkeypatch.undo()
    return train(CONFIG, folder, resume=True, data=data()).folder


def changes(monkeypatch, folder):
    """How often an undisturbed run changes its folder."""
    for count in range(0, 1000, 20):
        killed_at(monkeypatch, count)
        try:
            train(CONFIG, folder / str(count), data=data())
            return count
        except Killed:
            continue
        finally:
            monkeypatch.undo()
    raise AssertionError("more than 1000 changes")


def same(folder, whole):
    assert files(folder) == files(whole)
    assert lines(folder) == lines(whole)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_a_run_killed_anywhere_resumes_to_the_same_bits(whole, tmp_path, monkeypatch, part):
    """One kill at every third change of the folder, and two in a row; each ends as if there had been none."""
    most = changes(monkeypatch, tmp_path / "count")
    for count in range(part, most, 9):
        same(resumed(tmp_path / str(count), monkeypatch, count), whole)
    same(resumed(tmp_path / "twice", monkeypatch, most // 2, most // 3 + part), whole)


def child(folder, *arguments):
    command = [sys.executable, "-m", "tests.neural.small_run", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def killed_child(folder, after):
    """A run in a process of its own, killed once it has written so many lines."""
    process = child(folder, "{}")
    metrics = Path(folder) / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= after:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.002)
    printed = process.communicate()[1].splitlines()
    assert all(b"is half a checkpoint" in line for line in printed)
    return process.returncode


def test_kill_9_while_a_checkpoint_is_written(whole, tmp_path):
    """The 14th rename is inside the state of step 6: its tensors are in place, their record is not."""
    process = child(tmp_path, "{}", "14")
    assert process.communicate(timeout=600)[1] == b""
    assert process.returncode == -signal.SIGKILL
    assert steps(tmp_path / "state")
    same(train(CONFIG, tmp_path, resume=True, data=data()).folder, whole)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run whose 10th rename, that of the record of the state of step 6, was never made."""
    folder = tmp_path_factory.mktemp("killed")
    process = child(folder, "{}", "9")
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert (steps(folder / "state"), steps(folder / "seed-0")) == ((3,), (0, 4))
    assert (folder / "state" / "step-00000006.safetensors").exists()
    return folder


@pytest.fixture
def half(killed, tmp_path):
    """The state of step 6 of a copy of that run, without suffix: its tensors are there."""
    return Path(shutil.copytree(killed, tmp_path / "run")) / "state" / "step-00000006"


@pytest.mark.parametrize("gone", [".json", ".safetensors"])
def test_resuming_goes_on_from_the_last_whole_state_and_says_so(whole, half, capsys, gone):
    """Of the state of step 6 and of the model of step 4 one file is there; the state of step 3 is whole."""
    folder = half.parents[1]
    if gone == ".safetensors":
        half.with_suffix(".safetensors").rename(half.with_suffix(".json"))
    model = folder / "seed-0" / "step-00000004"
    model.with_suffix(gone).unlink()
    same(train(CONFIG, folder, resume=True, data=data()).folder, whole)
    printed = capsys.readouterr().err.splitlines()
    assert [line.split(" is half a checkpoint: ")[0] for line in printed] == [str(half), str(model)]
    assert all("going on from step 3; it is written anew" in line for line in printed)


def test_without_a_whole_state_a_run_begins_again_and_says_so(whole, half, capsys):
    half.with_name("step-00000003.json").unlink()
    same(train(CONFIG, half.parents[1], resume=True, data=data()).folder, whole)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 2
    assert all("going on from step 0; it is written anew" in line for line in printed)


def test_half_a_model_of_a_step_before_the_state_is_not_passed_over(half, capsys):
    half.with_suffix(".safetensors").unlink()
    (half.parents[1] / "seed-0" / "step-00000000.json").unlink()
    train(CONFIG, half.parents[1], resume=True, data=data())
    (printed,) = capsys.readouterr().err.splitlines()
    assert "step-00000000 is half a checkpoint: going on from step 3; to have it, start" in printed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_kill_9_at_any_time(whole, tmp_path, seed):
    rng = np.random.default_rng(seed)
    codes = [killed_child(tmp_path, after) for after in rng.integers(0, 25, size=2)]
    assert -signal.SIGKILL in codes
    same(train(CONFIG, tmp_path, resume=True, data=data()).folder, whole)


def test_an_interrupted_run_saves_where_it_is(whole, tmp_path):
    asked = iter([False] * 6 + [True])
    with pytest.raises(KeyboardInterrupt):
        train(config(save_every=0), tmp_path, data=data(), stop=lambda: next(asked))
    assert steps(tmp_path / "state") == (7,)
    same(train(CONFIG, tmp_path, resume=True, data=data()).folder, whole)


def test_a_finished_run_is_returned_as_it_is(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    train(CONFIG, whole, data=data())
    train(CONFIG, whole, data=data(), resume=True)
    after = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert after == before


def test_what_is_on_disk_is_not_taken_over(tmp_path):
    asked = iter([False, True])
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tmp_path, data=data(), stop=lambda: next(asked))
    before = files(tmp_path)
    assert "--resume" in message(train, CONFIG, tmp_path, data=data())
    faster = replace(CONFIG.optimiser, peak=0.01)
    refusal = message(train, config(optimiser=faster), tmp_path, data=data(), resume=True)
    assert "optimiser.peak = 0.003, not 0.01" in refusal
    other = data(fingerprint="other")
    assert "tokenizer" in message(train, CONFIG, tmp_path, data=other, resume=True)
    assert files(tmp_path) == before
    state = next((tmp_path / "state").glob("*.safetensors"))
    state.write_bytes(state.read_bytes()[:-1])
    assert "damaged" in message(train, CONFIG, tmp_path, data=data(), resume=True)
    (tmp_path / "config.json").unlink()
    assert "other files" in message(train, CONFIG, tmp_path, data=data(), resume=True)
    assert "a file" in message(train, CONFIG, state, data=data())


def test_one_process_at_a_time(tmp_path):
    def twice():
        train(CONFIG, tmp_path, data=data(), resume=True)

    assert "in use" in message(train, CONFIG, tmp_path, data=data(), stop=twice)


# Failures


def test_a_loss_that_is_no_number_stops_the_run_with_the_step(tmp_path, monkeypatch):
    """One number of the state of step 7 is lost; training must not go on, nor the state be saved."""
    made, calls = program(), iter(range(1, 100))

    def step(state, tokens):
        state, measures = made.step(state, tokens)
        if next(calls) == 7:
            bias = state.parameters["ln_f.bias"].at[0, 0].set(np.nan)
            state = state._replace(parameters=state.parameters | {"ln_f.bias": bias})
        return state, measures

    monkeypatch.setattr(loop, "program", lambda *_: replace(made, step=step))
    refusal = message(train, config(save_every=1), tmp_path, data=data())
    assert "step 8 of seed-0: loss nan" in refusal
    assert "--peak than 0.003" in refusal
    assert steps(tmp_path / "state") == (7,)
    assert lines(tmp_path)[-1]["step"] == 7


def test_a_full_disk_leaves_the_state_before(whole, tmp_path):
    import resource

    sizes = [path.stat().st_size for path in whole.rglob("*.safetensors")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def shrink():
        if steps(tmp_path / "state") == (3,):
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) * 2, hard))

    try:
        refusal = message(train, CONFIG, tmp_path, data=data(), stop=shrink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in refusal
    assert steps(tmp_path / "state") == (3,)
    same(train(CONFIG, tmp_path, resume=True, data=data()).folder, whole)


def test_out_of_memory_says_what_to_try(tmp_path, monkeypatch):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating 1 TiB")

    monkeypatch.setattr(loop, "program", lambda *_: replace(program(), step=full))
    assert "--accumulation" in message(train, CONFIG, tmp_path, data=data())


def test_text_that_does_not_suffice(tmp_path):
    assert "less than one context" in message(train, CONFIG, tmp_path, data=data(tokens=16))
    short = replace(data(), valid={"a": np.zeros(16, np.uint16), "b": np.zeros(16, np.uint16)})
    assert "--evaluate-every 0" in message(train, CONFIG, tmp_path, data=short)
    small = config(model=replace(MODEL, vocabulary=256))
    assert "make it 257 or more" in message(train, small, tmp_path, data=data())
    assert not list(tmp_path.glob("seed-*"))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"batch": 0}, "batch = 0"),
        ({"accumulation": 3}, "do not divide a batch of 8"),
        ({"seeds": (1, 1)}, "each once"),
        ({"seeds": ()}, "one at least"),
        ({"seeds": (2**32,)}, "below 2^32"),
        ({"shard": "half"}, "unknown shard 'half'"),
        ({"checkpoints": "0,x"}, "whole numbers"),
        ({"checkpoints": "13"}, "13 is too large"),
        ({"languages": ()}, "no languages"),
        ({"languages": ("a:0,b:0",)}, "all shares"),
        ({"evaluate_every": -1}, "evaluate_every = -1"),
        ({"model": replace(MODEL, heads=3)}, "heads do not divide"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, options, refusal):
    assert refusal in message(train, config(**options), tmp_path / "run", data=data())
    assert not (tmp_path / "run").exists()


# Rules and command line


@pytest.mark.parametrize(
    ("rule", "kept"), [("log", {0, 1, 2, 4, 8, 12}), ("3", {3, 12}), ("0, 12", {0, 12})]
)
def test_checkpoint_rules(rule, kept):
    assert config(checkpoints=rule).kept == kept


def test_paths_and_saving_are_not_part_of_a_run_s_identity():
    assert identity(CONFIG) == identity(config(save_every=7, corpus=("x",), shard="full"))
    assert identity(CONFIG) != identity(config(seeds=(1,)))
    assert identity(CONFIG) != identity(config(checkpoints="log"))


def test_numbers_of_an_option():
    assert numbers("seeds", "0, 1,7", 10) == (0, 1, 7)
    for text in ("", "1,,2", "-1", "1.5", "²"):
        assert "--seeds" in message(numbers, "seeds", text, 10)


def test_options_change_a_preset():
    asked = Arguments(out="x", preset="mini", tokenizer="bytes", layers=2, tokens=4096 * 10 - 1)
    recipe = config_of(replace(asked, batch=8, untied=True, seeds="0,5"))
    assert recipe.model == ModelConfig(2, 512, 8, 512, 257, tied=False)
    assert (recipe.steps, recipe.seeds) == (10, (0, 5))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"preset": "huge"}, "unknown preset 'huge': choose from tiny"),
        ({"heads": 3}, "3 heads do not divide"),
        ({"steps": 0}, "--steps 0"),
        ({"tokens": 0}, "--tokens 0"),
        ({"seeds": "a"}, "--seeds a"),
        ({"dtype": "float8"}, "unknown dtype"),
        ({"warmup": 300}, "warm-up"),
        ({"tokenizer": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(options, refusal):
    assert refusal in message(lambda: config_of(replace(Arguments(out="x"), **options)))


def command_line(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.train", *map(str, arguments)])
    return main()


SMALL = "--layers 1 --width 16 --heads 2 --context 16 --steps 4 --batch 4 --tokenizer bytes".split()


def test_the_command_line_from_text_to_checkpoints(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "xx.txt").write_text("\n\n".join(f"passage {i} of text " * 20 for i in range(60)))
    options = ["--corpus", tmp_path / "xx.txt", "--languages", "xx", *SMALL]
    assert command_line(monkeypatch, "--out", tmp_path / "run", *options) == 0
    printed = capsys.readouterr().out
    assert "bits/byte" in printed
    assert "seed-0" in printed
    assert load(tmp_path / "run").tokenizer.vocabulary == load(tmp_path / "run").model.vocabulary
    assert steps(tmp_path / "run" / "seed-0") == (0, 1, 2, 4)
    for wrong in (
        ["--languages", "yy"],
        ["--languages", "xx:-1"],
        ["--languages", "xx:1e999999999"],
        ["--hosts", "2"],
        ["--host", "5"],
        ["--host", "-1"],
        ["--vocabulary", "0"],
        ["--coordinator", "foo"],
        ["--coordinator", "foo:70000"],
        ["--batch", "10000000000"],
        ["--batch", "2000000000"],
        ["--out", tmp_path / ("x" * 300)],
    ):
        assert command_line(monkeypatch, "--out", tmp_path / "no", *options, *wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("neural.train: ")
        assert error.count("\n") == 1
    assert not (tmp_path / "no").exists()


def test_a_run_without_its_tokenizer_does_not_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "xx.txt").write_text("\n\n".join(f"passage {i} of text " * 20 for i in range(60)))
    options = ["--corpus", tmp_path / "xx.txt", "--languages", "xx", *SMALL]
    assert command_line(monkeypatch, "--out", tmp_path / "run", *options) == 0
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    for damage in ("", "{", "[1]\n", "[" * 100_000):
        (tmp_path / "run" / "metrics.jsonl").write_text(damage or '{"kind": "train"}\n')
        capsys.readouterr()
        assert command_line(monkeypatch, "--out", tmp_path / "run", "--resume", *options) == 2
        assert "metrics.jsonl is damaged" in capsys.readouterr().err
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "metrics.jsonl").mkdir()
    assert command_line(monkeypatch, "--out", tmp_path / "run", "--resume", *options) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "run" / "metrics.jsonl").rmdir()
    (tmp_path / "run" / "metrics.jsonl").write_text(metrics)
    (tmp_path / "run" / "tokenizer.json").unlink()
    assert command_line(monkeypatch, "--out", tmp_path / "run", "--resume", *options) == 2
    error = capsys.readouterr().err
    assert "tokenizer.json is gone: put back the one of this run" in error
    assert error.count("\n") == 1


def test_optional_sinks_get_the_numbers(tmp_path, monkeypatch):
    import types

    from neural.train.metrics import TensorBoard, WeightsAndBiases

    got = []

    class Writer:
        def __init__(self, folder=None, **options):
            got.append(("open", folder, options))

        def add_scalar(self, name, value, step):
            got.append((name, value, step))

        def log(self, values, step):
            got.extend((name, value, step) for name, value in values.items())

        def flush(self):
            pass

        close = finish = flush

    for package in ("tensorboardX", "wandb"):
        monkeypatch.setitem(sys.modules, package, None)
    assert "pip install tensorboardX" in message(TensorBoard, tmp_path)
    assert "pip install wandb" in message(WeightsAndBiases, "project", "id", {})
    board = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", board)
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **o: Writer(**o)))
    for sink in (TensorBoard(tmp_path), WeightsAndBiases("project", "id", {})):
        sink.write({"kind": "valid", "step": 3, "model": "m", "language": "el", "loss": 2.5})
        assert got[-1] == ("m/valid/el/loss", 2.5, 3)
        sink.sync()
        sink.close()


def test_half_a_line_and_later_lines_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    lines_ = JsonLines(path, after=2)
    lines_.write({"step": 3, "new": True})
    lines_.sync()
    lines_.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1},
        {"step": 2},
        {"step": 3, "new": True},
    ]
    path.write_text('{"step": 1}\n{"step": 2}')
    JsonLines(path, after=2).close()
    assert path.read_text() == '{"step": 1}\n'
