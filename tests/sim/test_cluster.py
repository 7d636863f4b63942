"""A sweep on a Dask cluster on loopback, its scheduler and workers processes of their own, some of them killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tyro

from sim import execute as module
from sim.execute import connect, execute
from sim.runs.errors import UserError
from sim.runs.store import Run
from sim.sweep import Arguments, config_of, figures, sweep
from tests.sim.clusters import PATIENCE, ROOT, Cluster, running, wait

pytest.importorskip("distributed", reason="needs the extra cluster")

OPTIONS = (
    "--geometries sphere duplicated --d 6 --T 3 4 5 --k 1 --seeds 1 --draws 16 "
    "--trainers orthonormal --perturbations weight-deletion --images none"
).split()
SMALL = config_of(tyro.cli(Arguments, args=OPTIONS))
"""Three batches that take a while each: their shapes differ, so each is compiled."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT", PATIENCE)


@dataclass(frozen=True)
class Gate:
    """Work that says which process began it, and waits until the gate is opened."""

    folder: Path

    def __call__(self, item: str) -> None:
        (self.folder / f"began-{item}-{os.getpid()}").touch()
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / "open").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with (self.folder / f"done-{item}").open("x"):
            pass

    def open(self) -> None:
        (self.folder / "open").touch()

    def began(self) -> list[tuple[str, int]]:
        names = [path.name.split("-") for path in self.folder.glob("began-*")]
        return [(item, int(pid)) for _, item, pid in names]

    def done(self) -> set[str]:
        return {path.name.removeprefix("done-") for path in self.folder.glob("done-*")}


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do the work in a thread beside the block, and fail with it."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def keys(prefix: str, number: int) -> dict[str, str]:
    return {f"{prefix}-{index}": str(index) for index in range(number)}


def test_a_killed_worker_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    gate = Gate(tmp_path)

    def kill() -> None:
        wait(gate.began, cluster)
        os.kill(gate.began()[0][1], signal.SIGKILL)
        cluster.worker()
        wait(lambda: len({pid for _, pid in gate.began()}) == 3, cluster)
        gate.open()

    with connect(str(cluster.file)) as client, meanwhile(kill):
        done = list(execute(gate, keys("killed", 6), cluster=client))
    assert sorted(done) == list(keys("killed", 6))
    assert gate.done() == set(keys("killed", 6).values())
    assert len(gate.began()) == 7  # one item twice


def test_tasks_of_one_name_are_one_task(cluster: Cluster, tmp_path: Path) -> None:
    """Two clients that are at the same run on one scheduler share the work."""
    gate = Gate(tmp_path)
    items = keys("shared", 4)
    done: list[str] = []

    def wanted(dask_scheduler: Any) -> bool:
        tasks = [dask_scheduler.tasks.get(key) for key in items]
        return all(task is not None and len(task.who_wants) == 2 for task in tasks)

    def other() -> None:
        with connect(cluster.address) as client:
            done.extend(execute(gate, items, cluster=client))

    def opened() -> None:
        with connect(cluster.address) as client:
            assert client is not None
            wait(lambda: client.run_on_scheduler(wanted), cluster)
        gate.open()

    with connect(cluster.address) as client, meanwhile(other), meanwhile(opened):
        assert sorted(execute(gate, items, cluster=client)) == list(items)
    assert sorted(done) == list(items)
    assert len(gate.began()) == 4


@dataclass(frozen=True)
class Attempts:
    """Work that fails the first `failures` times, and counts."""

    folder: Path
    error: Exception
    failures: int

    def __call__(self, item: str) -> None:
        attempt = len(list(self.folder.iterdir()))
        (self.folder / str(attempt)).touch()
        if attempt < self.failures:
            raise self.error


def test_a_user_error_ends_the_sweep_at_once(cluster: Cluster, tmp_path: Path) -> None:
    work = Attempts(tmp_path, UserError("the disk is full: mend it"), failures=9)
    with connect(cluster.address) as client, pytest.raises(UserError, match=r"^the disk is full: "):
        list(execute(work, keys("user", 1), cluster=client))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("failures", "attempts"), [(2, 3), (9, 3)])
def test_other_errors_are_tried_again(
    cluster: Cluster, tmp_path: Path, failures: int, attempts: int
) -> None:
    work = Attempts(tmp_path, ConnectionResetError("the network failed"), failures)
    with connect(cluster.address) as client:
        results = execute(work, keys(f"again-{failures}", 1), cluster=client)
        if failures < attempts:
            assert len(list(results)) == 1
        else:
            with pytest.raises(ConnectionResetError, match="the network failed"):
                list(results)
    assert len(list(tmp_path.iterdir())) == attempts


def test_many_tasks_pass_a_narrow_window(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 3)
    items = {f"many-{index}": tmp_path / str(index) for index in range(20)}
    with connect(cluster.address) as client:
        assert sorted(execute(Path.touch, items, cluster=client)) == sorted(items)
    assert len(list(tmp_path.iterdir())) == 20


def test_workers_of_another_version_are_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "software", lambda: {**SOFTWARE, "jax": "0.0.1"})
    with (
        connect(cluster.address) as client,
        pytest.raises(UserError, match=r"a worker on .* has jax .*, this client 0\.0\.1"),
    ):
        list(execute(Path.touch, {"version": tmp_path / "done"}, cluster=client))
    assert not (tmp_path / "done").exists()


SOFTWARE = module.software()


def test_workers_want_to_see_the_folder(cluster: Cluster) -> None:
    """This process's memory stands for a disk of its own."""
    with pytest.raises(UserError, match=r"does not see this run in memory://.*all workers share"):
        sweep(SMALL, "memory://elsewhere/run", scheduler=cluster.address)


def results(run: Run) -> pd.DataFrame:
    """What must not depend on how a sweep was executed."""
    table = run.table()
    return table.drop(columns=[name for name in table if name.startswith("seconds")])


@pytest.fixture(scope="module")
def here() -> pd.DataFrame:
    """The table computed in this process, written to an object store."""
    run = sweep(SMALL, "memory://here/run")
    with figures("memory://here/run", SMALL) as drawn:
        assert drawn().startswith("none (copy the results to a local folder")
    return results(run)


def test_kill_the_client_and_resume(here: pd.DataFrame, cluster: Cluster, tmp_path: Path) -> None:
    """The table is the one computed here; the lock died with its client, and what was written is not repeated."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "sim.sweep", *OPTIONS, "--out", str(folder)]
    client = subprocess.Popen(
        [*command, "--scheduler", str(cluster.file)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with client:
        wait(lambda: list(folder.glob("part-*")) or client.poll() is not None, cluster)
        cluster.signal_workers(signal.SIGSTOP)
        with pytest.raises(UserError, match=rf"in use by another process .*process {client.pid}\)"):
            sweep(SMALL, folder, resume=True, scheduler=cluster.address)
        client.kill()
        assert client.stderr is not None
        assert "dashboard of the cluster: http://" in client.stderr.read()
    written = {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    assert 0 < len(written) < 3
    cluster.signal_workers(signal.SIGCONT)
    run = sweep(SMALL, folder, resume=True, scheduler=cluster.address)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    pd.testing.assert_frame_equal(here, results(run), check_exact=True)
    assert run.files.names() == {"_provenance.json"} | {f"part-{i:05d}.parquet" for i in range(3)}


def test_parts_that_stay_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers may write to a folder of the same name on a disk of their own."""
    monkeypatch.setattr(module, "compute", lambda *_: None)
    monkeypatch.setattr("sim.sweep.VISIBLE", 0.2)
    with pytest.raises(UserError, match=r"lacks 3 parts that workers wrote elsewhere"):
        sweep(SMALL, tmp_path / "run")


@pytest.mark.slow
def test_a_task_that_kills_its_workers(tmp_path: Path) -> None:
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with (
        running(tmp_path, workers=2, **settings) as cluster,
        connect(cluster.address) as client,
        pytest.raises(
            UserError, match=r"^deadly brought down 2 workers, perhaps for want of memory"
        ),
    ):
        list(execute(os._exit, {"deadly": 1}, cluster=client))


@pytest.mark.slow
def test_a_scheduler_that_dies(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with running(tmp_path, workers=1) as cluster, connect(cluster.address) as client:

        def kill() -> None:
            wait(gate.began, cluster)
            cluster.processes[0].kill()

        with meanwhile(kill), pytest.raises(UserError, match=r"scheduler is gone.*add --resume"):
            list(execute(gate, keys("lost", 2), cluster=client))
        gate.open()


def test_a_scheduler_without_dashboard_has_no_link(tmp_path: Path) -> None:
    with (
        running(tmp_path, workers=0, dashboard="--no-dashboard") as cluster,
        connect(cluster.address) as client,
    ):
        assert client is not None
        assert client.dashboard_link.endswith("/status")  # though nothing is there
        assert module.dashboard(client) is None


def test_a_scheduler_without_the_service_has_no_link() -> None:
    class Client:
        @property
        def dashboard_link(self) -> str:
            raise KeyError("dashboard")

    assert module.dashboard(Client()) is None
