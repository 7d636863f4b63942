"""Programs that were compiled for one test serve the next, the processes that tests start, and later runs."""

import gc
import os
from collections.abc import Iterator

import pytest

from sim import programs
from sim.devices import SOON_COMPILED


def pytest_configure(config: pytest.Config) -> None:
    """For this process and all that it starts.

    What the default tests compile is small and runs once, so XLA takes fewer passes, its older way of emitting fused
    loops (a third less to compile) and one thread a program, unless XLA_FLAGS says otherwise; tests marked slow, and
    benchmarks, run what users run. Of as many processes as there are cores each has one thread of BLAS.
    """
    if "not slow" in config.option.markexpr:
        flags = [f"--{name}={value}".lower() for name, value in SOON_COMPILED.items()]
        os.environ.setdefault("XLA_FLAGS", " ".join(flags))
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    programs.keep()


def pytest_collection_finish() -> None:
    """What collecting made lives as long as the run: Python's collector need not walk it again and again.

    A twelfth of the tests' processor time, most of it among JAX's many small objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(scope="module")
def soon_compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """For modules whose programs run once, or nearly so: in default tests they compile with the fewest passes."""
    import jax

    few = "not slow" in request.config.option.markexpr
    jax.config.update("jax_disable_most_optimizations", few)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None beside the main process for what measures time or stops in a debugger, else one a core."""
    alone = config.option.markexpr == "benchmark" or config.option.usepdb
    return 0 if alone else len(os.sched_getaffinity(0))
