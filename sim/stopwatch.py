"""Time spent in a block, with what XLA took to compile apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import local
from time import perf_counter


@dataclass
class Spent:
    """Seconds of a block: compiling programs, and everything else."""

    compiling: float = 0.0
    running: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Spent]:
    """Measure a block of one thread; the figures stand once it has ended."""
    _listen()
    before, started = _compiled.seconds, perf_counter()
    spent = Spent()
    try:
        yield spent
    finally:
        spent.compiling = _compiled.seconds - before
        spent.running = perf_counter() - started - spent.compiling


class _Compiled(local):
    """What this thread has compiled."""

    seconds = 0.0


_compiled = _Compiled()


@cache
def _listen() -> None:
    """Count every compilation of this process from now on: from jaxpr to XLA's input, and XLA's own."""
    import jax

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event in (
            "/jax/core/compile/jaxpr_to_mlir_module_duration",
            "/jax/core/compile/backend_compile_duration",
        ):
            _compiled.seconds += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
