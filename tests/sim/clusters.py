"""Dask clusters on loopback, their schedulers and workers processes of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.places import ROOT

PATIENCE = 600.0
"""Seconds that a loaded machine may need for what takes one."""


@dataclass
class Cluster:
    """A scheduler and workers of one thread; `file` is the scheduler file."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def ready(self) -> bool:
        """Whether the scheduler has written the whole of its file."""
        return self.file.exists() and self.file.read_text().rstrip().endswith("}")

    def start(self, what: str, *options: str, **settings: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}"]
        command += ["--scheduler-file", str(self.file), *options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log
            )
        self.processes.append(process)

    def worker(self) -> None:
        self.start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host=127.0.0.1")

    def signal_workers(self, signal: int) -> None:
        for process in self.processes[1:]:
            process.send_signal(signal)

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def running(
    folder: Path,
    workers: int,
    dashboard: str = "--dashboard-address=127.0.0.1:0",
    **settings: str,
) -> Iterator[Cluster]:
    """A cluster on free ports for the block; the settings are environment variables of the scheduler."""
    cluster = Cluster(folder)
    try:
        cluster.start(
            "scheduler",
            "--host=127.0.0.1",
            "--port=0",
            dashboard,
            **settings,
        )
        wait(cluster.ready, cluster)
        for _ in range(workers):
            cluster.worker()
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
        for process in cluster.processes:
            process.wait()


def wait(true: Callable[[], object], cluster: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, cluster.log()[-5000:]
        time.sleep(0.01)
