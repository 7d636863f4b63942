"""Where tasks run: here and in local processes. What a cluster adds is in test_cluster.py."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Barrier

import pytest

from sim import execute as module
from sim.config import Config
from sim.execute import compute, connect, execute, software
from sim.runs.errors import UserError
from sim.runs.store import Run
from sim.sweep import main
from sim.work import batches
from tests.places import ROOT


def touch(path: Path) -> None:
    with path.open("x"):
        pass


def refuse(path: Path) -> None:
    raise UserError(f"{path.name}: mend it")


def die(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def items(folder: Path, number: int = 5) -> dict[str, Path]:
    return {f"key-{index}": folder / str(index) for index in range(number)}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_done_once(workers: int, tmp_path: Path) -> None:
    done = list(execute(touch, items(tmp_path), workers=workers))
    assert sorted(done) == list(items(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_the_workers_own(workers: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^\d: mend it$"):
        list(execute(refuse, items(tmp_path), workers=workers))


def test_threads_work_at_the_same_time(tmp_path: Path) -> None:
    meeting = Barrier(2, timeout=600)

    def meet(path: Path) -> None:
        meeting.wait()
        path.touch()

    assert sorted(execute(meet, items(tmp_path, 4), threads=2)) == list(items(tmp_path, 4))


def test_what_has_not_begun_when_a_thread_fails_is_left(tmp_path: Path) -> None:
    begun = []

    def work(path: Path) -> None:
        begun.append(path.name)
        if path.name == "0":
            refuse(path)
        time.sleep(0.01)

    with pytest.raises(UserError):
        list(execute(work, items(tmp_path, 1000), threads=2))
    assert len(begun) < 1000


def test_a_killed_process_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a worker process was killed.*add --resume"):
        list(execute(die, items(tmp_path), workers=2))


PARENT = """
import os, sys, time
from pathlib import Path
from sim.execute import execute

def work(path):
    path.write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(execute(work, {name: Path(sys.argv[1], name) for name in "ab"}, workers=2))
"""


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py", tmp_path / "pids"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert within(600, lambda: len(pids(tmp_path / "pids")) == 2)
    finally:
        parent.kill()
        parent.wait()
    assert within(600, lambda: not any(map(alive, pids(tmp_path / "pids"))))


def pids(folder: Path) -> list[int]:
    return [int(text) for path in folder.iterdir() if (text := path.read_text())]


def alive(pid: int) -> bool:
    """Neither gone, nor dead and waiting for its parent to notice."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_a_task_wants_to_see_its_run(tmp_path: Path) -> None:
    """A worker that does not share the folder would write where nobody looks."""
    config = Config(geometries=("sphere",), d=(4,), T=(3,), k=(1,))
    other = Run.open(tmp_path / "other", Config(geometries=("sphere",)), resume=False, parts=[])
    for run in (Run(tmp_path / "nowhere"), other):
        with pytest.raises(UserError, match=r"does not see this run in .*all workers share"):
            compute(run, config, ("part-00000", batches(config)[0]))
        assert not run.parts()


def test_other_software_is_refused(tmp_path: Path) -> None:
    item = tmp_path / "done"
    for name in ("jax", "source"):
        problem = module._attempt(touch, software() | {name: "0.0.1"}, item)
        assert f"has {name} {software()[name]}, this client 0.0.1" in str(problem)
    problem = module._attempt(touch, software() | {"jaxonly": "1"}, item)
    assert "has jaxonly None, this client 1" in str(problem)
    assert not item.exists()
    assert module._attempt(touch, software(), item) is None
    assert item.exists()


def test_no_scheduler_is_no_cluster() -> None:
    with connect(None) as cluster:
        assert cluster is None


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("tcp://127.0.0.1:9", r"no Dask scheduler answers at tcp://127.0.0.1:9 .*dask scheduler"),
        ("http://127.0.0.1:8786", "unknown address scheme 'http'"),
        ("tcp://127.0.0.1", "missing port number"),
        ("nowhere.json", "neither an address .* nor a scheduler file"),
        ("pyproject.toml", "neither an address .* nor a scheduler file"),
    ],
)
def test_schedulers_that_do_not_answer(
    scheduler: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.3)
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message), connect(scheduler):
        raise AssertionError


@pytest.mark.parametrize("content", ["{}", "[]", json.dumps({"workers": {}})])
def test_what_is_no_scheduler_file(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.1)
    (tmp_path / "scheduler.json").write_text(content)
    with pytest.raises(UserError, match="nor a scheduler file"):
        connect(str(tmp_path / "scheduler.json")).__enter__()


def test_a_scheduler_file_is_waited_for(tmp_path: Path) -> None:
    """The scheduler may have been started a moment before."""
    file = tmp_path / "scheduler.json"
    file.write_text("")
    writer = threading.Timer(0.3, file.write_text, ['{"address": "tcp://127.0.0.1:8786"}'])
    writer.start()
    assert module._address(str(file)) == "tcp://127.0.0.1:8786"
    writer.join()


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UserError, match=r"pip install 'cognitive-reserve\[cluster\]'"),
        connect("tcp://127.0.0.1:8786"),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "2"], "--workers counts local processes"),
        ([], "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_without_a_cluster_nothing_is_begun(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.3)
    command = ["sim.sweep", "--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", command + options)
    assert main() == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
