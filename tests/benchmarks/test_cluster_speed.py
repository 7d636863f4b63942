"""A sweep of many small cells on a Dask cluster of two workers against one worker, of one thread each."""

import os
from pathlib import Path

import pytest
import tyro

from sim.programs import VARIABLE
from sim.sweep import Arguments, config_of, sweep
from tests.benchmarks.large_sweep import options
from tests.sim.clusters import Cluster, running, wait

CELLS = 10_000


@pytest.mark.benchmark
@pytest.mark.line("sweep of 10,000 cells by Dask: speed of two workers over that of one", least=1.8)
def test_two_workers_against_one(
    side_by_side, judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers find the programs of the turns before, and wait while those of the other cluster work."""
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "programs"))
    config = config_of(tyro.cli(Arguments, args=options(CELLS)))
    count = iter(range(1000))

    def swept(cluster: Cluster) -> None:
        sweep(config, tmp_path / f"run-{next(count)}", scheduler=cluster.address)

    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], workers=1) as single, running(folders[1], workers=2) as two:
        for cluster, workers in ((single, 1), (two, 2)):
            wait(cluster.ready, cluster)
            with distributed.Client(cluster.address, set_as_default=False) as client:
                client.wait_for_workers(workers)
        taken = side_by_side(lambda: swept(two), lambda: swept(single), rounds=3)
    judge(1 / taken, note=f"{CELLS:,} cells, programs kept, every worker with one thread of Dask")
