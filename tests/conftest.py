"""Programs that JAX compiled for one test serve the next, and the processes that tests start, on all cores."""

import os
import tempfile

import pytest

_folder = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
# Before any test imports jax, which reads these once.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _folder.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_unconfigure(config: pytest.Config) -> None:
    _folder.cleanup()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None beside the main process for what measures time or stops in a debugger, else one a core."""
    alone = config.option.markexpr == "benchmark" or config.option.usepdb
    return 0 if alone else len(os.sched_getaffinity(0))
