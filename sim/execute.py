"""What one task of a sweep does, and where tasks run: here, in local processes, or on an existing Dask cluster."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from http import HTTPStatus
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.identity import digest, identity, parsed
from sim.runs.provenance import versions
from sim.runs.store import Run

if TYPE_CHECKING:
    from distributed import Client

    from sim.config import Config
    from sim.work import Batch

Item = TypeVar("Item")
Work = Callable[[Item], None]

CONNECT = 10
"""Seconds in which a scheduler must answer."""

IN_FLIGHT = 2000
"""Tasks that a cluster is given ahead: more than it has threads, and few enough to keep memory flat."""

RETRIES = 2
"""How often a cluster repeats a task that raised something other than a UserError, say because a network failed."""


def compute(run: Run, config: "Config", item: "tuple[str, Batch]") -> None:
    """Write the table of a batch as its part. Raises UserError where the run's folder is not to be seen."""
    from sim.programs import keep
    from sim.work import table_of

    part, batch = item
    if run.identity != identity(config):
        raise UserError(
            f"{socket.gethostname()} does not see this run in {run.folder}: "
            "give --out a folder that all workers share, or the URL of an object store"
        )
    keep()
    run.write(part, table_of(batch, config))


def execute(
    work: Work[Item],
    items: dict[str, Item],
    *,
    workers: int = 1,
    threads: int = 1,
    cluster: "Client | None" = None,
) -> Iterator[str]:
    """Do the work on every item, and yield the key of each when it is done, in any order.

    With a cluster its workers do it; items of one key are one task there, whoever submitted them. Without, it is done
    by threads here, or by more than one worker in processes that are spawned, since JAX's threads do not survive a
    fork. The first exception ends the rest.
    """
    if cluster is not None:
        return _on_cluster(work, items, cluster)
    if workers > 1 and len(items) > 1:
        return _in_processes(work, items, min(workers, len(items)))
    return _here(work, items, threads)


def threads() -> int:
    """How many batches of small models are best computed at once by this process."""
    import jax

    from sim.config import BATCHES_AT_ONCE

    return (
        BATCHES_AT_ONCE if jax.default_backend() == "cpu" and jax.local_device_count() == 1 else 1
    )


def _here(work: Work[Item], items: dict[str, Item], threads: int) -> Iterator[str]:
    with ThreadPoolExecutor(threads) as pool:
        futures = {pool.submit(work, item): key for key, item in items.items()}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:
            pool.shutdown(cancel_futures=True)


def _in_processes(work: Work[Item], items: dict[str, Item], workers: int) -> Iterator[str]:
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        with _without_interrupts():
            futures = {pool.submit(work, item): key for key, item in items.items()}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a worker process was killed, perhaps for want of memory: lower --workers and add --resume"
                ) from None
            raise


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started in the block never see Ctrl-C, which a terminal sends to all: they end with this one."""
    resource_tracker.ensure_running()  # which would let signals come again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Have this worker process end when its parent does, even by kill -9; it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _on_cluster(work: Work[Item], items: dict[str, Item], cluster: "Client") -> Iterator[str]:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed import as_completed as completed_on_cluster

    attempt = partial(_attempt, work, software())
    waiting = iter(items.items())
    running = completed_on_cluster(loop=cluster.loop, with_results=True, raise_errors=False)

    def submit(tasks: int) -> None:
        if some := dict(islice(waiting, tasks)):
            running.update(
                cluster.map(attempt, list(some.values()), key=list(some), retries=RETRIES)
            )

    try:
        submit(IN_FLIGHT)
        for done in running.batches():
            submit(len(done))
            # A future is dropped when it is done, and with it all that the scheduler knows of the task.
            for future, problem in done:
                if future.status != "finished":
                    future.result()
                if problem is not None:
                    raise problem
                yield future.key
    except KilledWorker as error:
        raise UserError(
            f"{error.task} brought down {error.allowed_failures + 1} workers, perhaps for want of memory: "
            "give them more, and add --resume"
        ) from None
    except CancelledError:
        raise UserError(
            "the cluster's scheduler is gone: start one again, and add --resume"
        ) from None


def _attempt(work: Work[Item], expected: dict[str, str], item: Item) -> UserError | None:
    """Do the work on a worker. What a user can mend is returned, since what is raised is retried."""
    installed = software()
    for name in expected.keys() | installed.keys():
        if expected.get(name) != installed.get(name):
            return UserError(
                f"a worker on {socket.gethostname()} has {name} {installed.get(name)}, this client "
                f"{expected.get(name)}: "
                "install the same versions and commit on both, and restart the workers"
            )
    try:
        work(item)
    except UserError as error:
        return error
    return None


@cache
def software() -> dict[str, str]:
    """What a table depends on beside its configuration: versions of packages, and a digest of this code."""
    import theory

    packages = [Path(__file__).parent, Path(theory.__file__).parent]
    sources = sorted(path for package in packages for path in package.rglob("*.py"))
    return versions() | {"source": identity([digest(path) for path in sources])}


@contextmanager
def connect(scheduler: str | None) -> Iterator["Client | None"]:
    """A client of the cluster whose scheduler has this address or scheduler file, for the block; None for None."""
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend
    except ImportError:
        raise UserError(
            "--scheduler needs Dask: pip install 'cognitive-reserve[cluster]'"
        ) from None
    address = _address(scheduler)
    try:
        protocol, location = parse_address(address)
        get_backend(protocol)
        parse_host_port(location)
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {scheduler} ({' '.join(str(error).split())}): "
            "start one with `dask scheduler`, or correct --scheduler"
        ) from error
    with client:
        yield client


def dashboard(cluster: "Client") -> str | None:
    """The address of the scheduler's dashboard; None of a scheduler that was started without.

    That may serve other pages at the same port, so the page is asked for; where no answer comes it may come elsewhere.
    """
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, build_opener

    try:
        link: str | None = cluster.dashboard_link
        if link is not None:
            build_opener(ProxyHandler({})).open(link, timeout=CONNECT).close()
    except KeyError:  # no service of that name
        return None
    except HTTPError as error:
        error.close()
        return None if error.code == HTTPStatus.NOT_FOUND else link
    except OSError:
        pass
    return link


def _address(scheduler: str) -> str:
    """The address, or that in the scheduler file, which a scheduler that is just starting has yet to write."""
    if ":" in scheduler:
        return scheduler
    deadline = time.monotonic() + CONNECT
    while True:
        try:
            return parsed(regular(Path(scheduler)).read_text())["address"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"--scheduler {scheduler} is neither an address (tcp://host:port) nor a scheduler file: "
                    "start one with `dask scheduler --scheduler-file`"
                ) from error
        time.sleep(0.05)
