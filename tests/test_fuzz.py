"""Whatever a command is given, it ends in one of four ways: 0; 2 after one line on stderr; 1 with a verdict; 130.

Options are read off the parsers, so those that are added are tried unasked. Validation is real; the work behind it is
not: where a command has read and checked all that it was given, one of HEARTS, it is stopped and counts as 0.
"""

import functools
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.fuzzing import DAMAGES, ROOT, Option, commands, module, options, values

pytestmark = pytest.mark.slow

HANGS = 600
"""Seconds; what takes so long on any machine hangs."""
PROCESSES = 300
SEED = 17
VERDICTS = ("sim.sweep", "theory")
"""Commands that can end with 1."""

HEARTS = {
    "sim.execute.execute": "the batches of a sweep",
    "neural.train.loop._Training": "the updates of a training run",
    "neural.train.bench._times": "timing",
    "neural.train.step.program": "compiling",
    "neural.measures.scoring.score": "scoring a text",
    "neural.gpt.generate.generate": "writing a text",
    "neural.robustness.study.fill": "a study's training and measuring",
    "neural.robustness.survey.fill": "a survey's measuring",
    "neural.imbalance.study.fill": "the same",
    "neural.study.forecast._seconds_a_token": "a dry run's timing",
    "neural.subnetworks.study.fill": "the same",
    "neural.dynamics.study.fill": "the same",
    "neural.across.study.fill": "the same",
    "theory.check.check": "the check of a statement of the registry",
    "figures.engine.page.write": "writing a page",
    "figures.engine.render.write": "writing figures",
    "figures.report.__main__.write": "writing a report",
}
"""Where work begins, and which."""


class Worked(BaseException):
    """All that was given is read and checked."""


class Hung(BaseException):
    """A command does not end."""


def _work(*arguments: Any, **settings: Any) -> Any:
    raise Worked


def _offline(*arguments: Any, **settings: Any) -> Any:
    raise OSError("no network in this test")


@pytest.fixture(autouse=True)
def _stubbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HEARTS stop; nothing goes to a network; nobody waits for a cluster; invented text is made once, figures never."""
    from neural.text import synthetic

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for heart in HEARTS:
        name, _, attribute = heart.rpartition(".")
        monkeypatch.setattr(
            sys.modules.get(name) or __import__(name, fromlist=["x"]), attribute, _work
        )
    monkeypatch.setattr("sim.sweep.figures", lambda folder: nullcontext(_work))
    monkeypatch.setattr("sim.execute.CONNECT", 0.1)
    monkeypatch.setattr("neural.text.fetch._download", _offline)
    monkeypatch.setattr("figures.engine.render.contents", lambda *arguments: {})
    monkeypatch.setattr("figures.engine.page.contents", lambda *arguments: {})
    if "huggingface_hub" in sys.modules or shutil.which("huggingface-cli"):
        monkeypatch.setattr("huggingface_hub.snapshot_download", _offline)
    monkeypatch.setattr("neural.text.sources.read_synthetic", functools.cache(synthetic.read))
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)  # so that ../.. is this test's
    monkeypatch.chdir(tmp_path / "a" / "b" / "c")


class Answer(NamedTuple):
    """code: -1 where it raised something, which is then in error."""

    code: int
    error: str


def answer(command: str, arguments: Sequence[str]) -> Answer:
    """How a command ends in this process."""

    def hung(number: int, frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANGS)
    error = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(error):
            code = module(command).main(list(arguments))
    except Worked:
        return Answer(0, "")
    except SystemExit as end:
        code = end.code or 0
    except Hung:
        return Answer(-1, f"hangs, {HANGS} s")
    except BaseException as raised:
        place = raised.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        return Answer(-1, f"{type(raised).__name__}: {str(raised)[:200]} at {where}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Answer(code, error.getvalue())


def wrong(command: str, given: Answer) -> str:
    """What is wrong with an answer; nothing if it is one of the four."""
    code, error = given
    if code in (0, 130) or (code == 1 and command in VERDICTS):
        return ""
    if code == 2:
        lines = error.splitlines()
        return "" if len(lines) == 1 and ": " in lines[0] else f"code 2 after {error[:300]!r}"
    return f"code {code}: {error[:300]}"


TEXT = "\n\n".join(f"passage {number} of a text " * 20 for number in range(60))
SMALL = {
    "--layers": "1",
    "--width": "16",
    "--heads": "2",
    "--context": "16",
    "--steps": "4",
    "--batch": "4",
}
SWEEP = {
    "--geometries": "sphere",
    "--T": "3",
    "--k": "2",
    "--d": "4",
    "--seeds": "1",
    "--draws": "8",
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything that commands read, made by them (a text, a run, a sweep, a study, tasks, …)."""
    from tests.figures.fake_study import Numbers, small, write
    from tests.figures.report.test_report import small as pages

    folder = tmp_path_factory.mktemp("ready")
    (folder / "xx.txt").write_text(TEXT)
    (folder / "images").mkdir()
    x, y = np.arange(40 * 16, dtype=np.uint8).reshape(40, 16), np.arange(40) % 10
    np.savez(folder / "images" / "x.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    (folder / "task").mkdir()
    (folder / "data" / "topic" / "sib200").mkdir(parents=True)
    for part in ("train", "dev", "test"):
        rows = [
            (("good", "bad")[n % 2], ("health", "sports")[n % 2], f"film {n}") for n in range(12)
        ]
        own = "".join(f"{label}\t{text}\n" for label, _, text in rows)
        (folder / "task" / f"{part}.tsv").write_text(own)
        topics = "".join(f"{n}\t{topic}\t{text}\n" for n, (_, topic, text) in enumerate(rows))
        (folder / "data" / "topic" / "sib200" / f"xx.{part}.tsv").write_text(topics)
    write(folder / "study", small(), Numbers())
    pages(folder / "pages")
    _train_and_export(folder)
    _sweep(folder / "sweep")
    (folder / "scheduler.json").write_text(json.dumps({"address": "tcp://127.0.0.1:1"}))
    (folder / "exported" / "tokenizer.json").write_bytes(
        (folder / "run" / "tokenizer.json").read_bytes()
    )
    return folder


def _train_and_export(folder: Path) -> None:
    options = ["--out", str(folder / "run"), *train_options(folder), "--tokenizer", "bytes"]
    assert module("neural.train").main(options) == 0
    out = ["--out", str(folder / "exported")]
    assert module("neural.hf").main(["export", str(folder / "run"), *out]) == 0


def _sweep(folder: Path) -> None:
    """A finished sweep with numbers that nobody computed."""
    from sim.runs.store import Run
    from sim.sweep import Arguments, config_of
    from sim.table import COLUMNS, tidy
    from sim.work import batches

    size = {name.removeprefix("--"): int(value) for name, value in SWEEP.items() if name[2] != "g"}
    of_many = {name: (size[name],) for name in ("T", "k", "d")}
    counts = {name: size[name] for name in ("seeds", "draws")}
    config = config_of(Arguments(geometries=("sphere",), images=("none",), **of_many, **counts))  # type: ignore[arg-type]
    names = [f"part-{number:05}" for number in range(len(batches(config)))]
    sweep = Run.open(folder, config, resume=False, parts=names)
    blank: dict[str, Any] = {"str": "x", "int64": 3, "float64": 0.5, "bool": True}
    of_row = {name: blank[kind] for name, kind in COLUMNS.items()}
    for name in names:
        row = {"network": "linear", "geometry": "sphere", "inputs": "isotropic", "trainer": "ridge"}
        row |= {"group": "W", "perturbation": "additive-noise", "options": "{}", "identity": name}
        sweep.write(name, tidy([of_row | row | {"strength": level} for level in (0.0, 0.1)]))


def words(options: dict[str, str]) -> list[str]:
    return [word for item in options.items() for word in item]


def train_options(folder: Path) -> list[str]:
    return ["--corpus", str(folder / "xx.txt"), "--languages", "xx", *words(SMALL)]


def run(command: str, arguments: Sequence[str], where: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", command, *arguments],
        cwd=where,
        env=_environment(where),
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=600,
    )


def _environment(where: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(where / "cache")}


def base(command: str, chosen: tuple[str, ...], ready: Path) -> dict[str, str]:
    """Good options of a command, by name; what is given by place is named by its number."""
    text = {"--corpus": str(ready / "xx.txt"), "--languages": "xx"}
    known: dict[tuple[str, ...], dict[str, str]] = {
        ("theory", "check"): {"0": "leave-one-out", "--profile": "quick"},
        ("theory", "explain"): {"0": "leave-one-out"},
        ("sim.sweep",): {**SWEEP, "--images": "none", "--out": "out"},
        ("neural.train",): {"--out": "out", **text, **SMALL, "--tokenizer": "bytes"},
        ("neural.evaluate",): {"0": str(ready / "run"), "--on": str(ready / "xx.txt")},
        ("neural.sample",): {"0": str(ready / "run")},
        ("neural.hf", "import"): {"0": str(ready / "exported"), "--out": "out"},
        ("neural.hf", "export"): {"0": str(ready / "run"), "--out": "out"},
        ("neural.corpus", "fetch"): {"0": "ntrex"},
        ("figures.page",): {"0": "robustness", "--from": str(ready / "study"), "--out": "out"},
        ("figures.render",): {"0": "spectra", "--from": str(ready / "study"), "--out": "out"},
        ("figures.report",): {"--from": str(ready / "pages"), "--out": "out"},
    }
    return known.get((command, *chosen), {"--out": "out"} if command != "neural.bench" else {})


def line(chosen: tuple[str, ...], good: dict[str, str], option: Option, value: str) -> list[str]:
    """A command line with one value in question."""
    name = option.words[0] if option.words else "0"
    rest = {key: word for key, word in good.items() if key != name}
    given = [] if option.kind == "bool" else [value]
    placed = [
        *(given if not option.words else []),
        *(word for key, word in rest.items() if key == "0"),
    ]
    named = [word for key, text in rest.items() if key != "0" for word in (key, text)]
    return [*chosen, *placed, *named, *option.words, *(given if option.words else [])]


def tries(command: str, ready: Path) -> Iterator[list[str]]:
    """Command lines: every option with each of its values."""
    for chosen, its in options(command).items():
        for number, option in enumerate(its):
            seed = zlib.crc32(f"{SEED} {command} {chosen} {number}".encode())
            for value in values(option.kind, seed):
                yield line(chosen, base(command, chosen, ready), option, value)
        yield [*chosen]
        yield [*chosen, "--bogus"]
        yield [*chosen, "--help"]


@pytest.fixture
def _pages_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a run is computed once: what is in question is not its content."""
    from figures.engine import page

    contents = page._contents
    once = functools.cache(lambda name, run: contents(name, run, {}))
    monkeypatch.setattr(page, "_contents", lambda name, run, record: once(name, run))


@pytest.mark.usefixtures("_pages_once")
@pytest.mark.parametrize("command", commands())
def test_every_option_with_every_kind_of_value(command: str, ready: Path) -> None:
    failures = []
    for arguments in tries(command, ready):
        shutil.rmtree("out", ignore_errors=True)
        if problem := wrong(command, answer(command, arguments)):
            failures.append(f"{command} {arguments}: {problem}")
    assert not failures, "\n".join(f[:400] for f in failures)


def test_every_option_has_many_values() -> None:
    for command in commands():
        for its in options(command).values():
            for option in its:
                assert option.kind == "bool" or len(values(option.kind, SEED)) >= 30


@pytest.mark.usefixtures("_pages_once")
def test_the_same_as_processes(ready: Path, tmp_path: Path) -> None:
    """Of those lines that are refused, or help: processes have no HEARTS to stop."""
    rng = random.Random(SEED)
    lines = [(command, words) for command in commands() for words in tries(command, ready)]
    rng.shuffle(lines)
    chosen: list[tuple[str, list[str]]] = []
    for command, arguments in lines:
        if len(chosen) == PROCESSES:
            break
        with TemporaryDirectory(dir=Path.cwd()) as folder, chdir(folder):
            refused = "theory" not in command and answer(command, arguments).code == 2
        if refused:
            chosen.append((command, arguments))
    assert len(chosen) == PROCESSES

    def problem(given: tuple[str, list[str]]) -> str:
        command, arguments = given
        with TemporaryDirectory(dir=tmp_path) as folder:
            done = run(command, arguments, Path(folder))
        if done.returncode == 2 and len(done.stderr.splitlines()) == 1:
            return ""
        return f"{command} {arguments}: code {done.returncode} after {done.stderr[-300:]!r}"

    with ThreadPoolExecutor(2) as pool:
        failures = [said for said in pool.map(problem, chosen) if said]
    assert not failures, "\n".join(failures)


class Reading(NamedTuple):
    """Commands that read the files of a folder that `ready` has."""

    folder: str
    files: tuple[str, ...]
    """Patterns."""
    lines: Callable[[Path], list[list[str]]]
    """Of the folder that holds it."""


def of_run(at: Path) -> list[list[str]]:
    where, out = str(at / "run"), ["--out", "out"]
    return [
        ["neural.evaluate", where, "--on", str(at / "xx.txt")],
        ["neural.sample", where],
        ["neural.hf", "export", where, *out],
        ["neural.train", "--out", where, "--resume", *train_options(at), "--tokenizer", "bytes"],
        ["neural.robustness", "--run", where, "--corpus", str(at / "xx.txt"), *out],
    ]


def of_sweep(at: Path) -> list[list[str]]:
    again = [*words(SWEEP), "--images", "none", "--resume", "--out", str(at / "sweep")]
    return [["sim.sweep", *again], ["figures.render", "--from", str(at / "sweep")]]


def of_tasks(at: Path) -> list[list[str]]:
    return [["neural.robustness", "--tasks", str(at / "task"), "--out", "out"]]


def of_topics(at: Path) -> list[list[str]]:
    given = ["--tasks", "sib200:xx", "--data-dir", str(at / "data"), "--out", "out"]
    return [["neural.robustness", *given], ["neural.imbalance", *given]]


def of_tokenizer(at: Path) -> list[list[str]]:
    its = str(at / "exported" / "tokenizer.json")
    return [["neural.train", "--out", "out", *train_options(at), "--tokenizer", its]]


READINGS = {
    "a run": Reading(
        "run",
        ("config.json", "tokenizer.json", "metrics.jsonl", "seed-0/step-00000004.*"),
        of_run,
    ),
    "a sweep": Reading("sweep", ("_provenance.json", "part-00000.parquet"), of_sweep),
    "a study": Reading(
        "study",
        ("_provenance.json", "part-clean-*.parquet", "part-curves-*all.parquet"),
        lambda at: [
            ["figures.page", "robustness", "--from", str(at / "study"), "--out", "out"],
            ["figures.render", "--from", str(at / "study"), "--out", "out"],
        ],
    ),
    "a text": Reading(
        ".",
        ("xx.txt",),
        lambda at: [
            ["neural.train", "--out", "out", *train_options(at), "--tokenizer", "bytes"],
            ["neural.evaluate", str(at / "run"), "--on", str(at / "xx.txt")],
        ],
    ),
    "a tokenizer": Reading("exported", ("tokenizer.json",), of_tokenizer),
    "images": Reading(
        "images",
        ("x.npz",),
        lambda at: [
            ["sim.sweep", "--preset", "images", "--images", str(at / "images" / "x.npz"), "--T", "4", "--out", "out"]
        ],
    ),
    "a task": Reading("task", ("train.tsv", "dev.tsv"), of_tasks),
    "topics": Reading("data", ("topic/sib200/xx.train.tsv", "topic/sib200/xx.test.tsv"), of_topics),
    "a model of others": Reading(
        "exported",
        ("config.json", "model.safetensors", "tokenizer.json"),
        lambda at: [["neural.hf", "import", str(at / "exported"), "--out", "out"]],
    ),
    "pages": Reading(
        "pages",
        ("*.md", "*.csv", "*.json", "*.png"),
        lambda at: [["figures.report", "--from", str(at / "pages"), "--out", "out"]],
    ),
    "a scheduler's file": Reading(
        ".",
        ("scheduler.json",),
        lambda at: [["sim.sweep", *words(SWEEP), "--scheduler", str(at / "scheduler.json"), "--out", "out"]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("reading", READINGS)
def test_every_damage_of_every_file(reading: str, ready: Path, tmp_path: Path) -> None:
    folder, patterns, lines = READINGS[reading]
    rng = random.Random(zlib.crc32(reading.encode()))
    failures = []
    names = [
        path.relative_to(ready / folder)
        for pattern in patterns
        for path in sorted((ready / folder).glob(pattern))[:2]
    ]
    assert len(names) >= len(patterns)
    at = tmp_path / "damaged"
    for name in names:
        for damage, do in DAMAGES.items():
            for number in range(len(lines(at))):
                shutil.rmtree(at, ignore_errors=True)
                shutil.rmtree("out", ignore_errors=True)
                shutil.copytree(ready, at)
                do(at / folder / name, rng)
                command, *arguments = lines(at)[number]
                if problem := wrong(command, answer(command, arguments)):
                    failures.append(f"{name} {damage}: {command}: {problem}")
    assert not failures, "\n".join(failures)
