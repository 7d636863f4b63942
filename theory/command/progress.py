"""How far work is: a bar on a terminal; elsewhere, as in a file or a scheduler's log, a line a minute."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Protocol, TextIO, TypeVar

Item = TypeVar("Item")

MINUTE = 60.0
"""Seconds from one line to the next."""

SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Progress(Protocol):
    """What work says of itself."""

    def update(self, n: int = 1) -> object:
        """So many more are done."""
        ...

    def set_description(self, text: str) -> object:
        """What is being done."""
        ...

    def set_postfix(self, **values: object) -> object:
        """Numbers to show beside it."""
        ...


@contextmanager
def progress(
    total: int,
    *,
    unit: str,
    done: int = 0,
    description: str = "",
    scaled: bool = False,
    shown: bool = True,
) -> Iterator[Progress]:
    """The progress of work on `total` units (0: nobody knows), of which some are done already, for the block.

    scaled writes 1.2M for large numbers; what is not shown says nothing.
    """
    stream = sys.stderr
    if shown and not stream.isatty():
        lines = Lines(total, unit=unit, done=done, description=description, scaled=scaled)
        with lines.every_minute():
            yield lines
        return
    from tqdm import tqdm

    with tqdm(
        total=total or None,
        initial=done,
        unit=unit,
        unit_scale=scaled,
        desc=description or None,
        disable=not shown,
    ) as bar:
        yield bar


def tracked(items: Sequence[Item], unit: str) -> Iterator[Item]:
    """The items, each done when the next is asked for."""
    with progress(len(items), unit=unit) as bar:
        for item in items:
            yield item
            bar.update()


def write(text: str) -> None:
    """Print a line, above a bar where there is one."""
    if not sys.stderr.isatty():
        print(text, flush=True)
        return
    from tqdm import tqdm

    tqdm.write(text)


class Lines:
    """Progress as lines on a stream (standard error): done, of how many, and when it will be."""

    def __init__(
        self,
        total: int,
        *,
        unit: str,
        done: int = 0,
        description: str = "",
        scaled: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.unit, self.done, self.description = total, unit, done, description
        self.scaled, self.stream, self.clock = scaled, stream, clock
        self.values: dict[str, object] = {}
        self._before, self._since = done, clock()

    def update(self, n: int = 1) -> None:
        self.done += n

    def set_description(self, text: str) -> None:
        self.description = text

    def set_postfix(self, **values: object) -> None:
        self.values = {name: value for name, value in values.items() if name != "refresh"}

    def line(self) -> str:
        """How far it is by now."""
        seconds, here = self.clock() - self._since, self.done - self._before
        left = "time left unknown"
        if here > 0 and self.total:
            left = f"{_duration(seconds * (self.total - self.done) / here)} left"
        of_total = f" of {self._number(self.total)}" if self.total else ""
        numbers = f"{self._number(self.done)}{of_total} {self.unit}"
        shown = [f"{name} {value}" for name, value in self.values.items()]
        head = f"{self.description}: " if self.description else ""
        return f"{head}{', '.join([numbers, *shown, left])}"

    @contextmanager
    def every_minute(self, wait: Callable[[float], object] | None = None) -> Iterator[None]:
        """Print the line whenever the wait for a minute is over, for the block, be there news or none."""
        over = Event()

        def say() -> None:
            while not over.is_set():
                (wait or over.wait)(MINUTE)
                if not over.is_set():
                    print(self.line(), file=self.stream or sys.stderr, flush=True)

        Thread(target=say, daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _number(self, n: float) -> str:
        if self.scaled:
            for scale, letter in SCALES:
                if n >= scale:
                    return f"{n / scale:.3g}{letter}"
        return f"{n:,}"


def _duration(seconds: float) -> str:
    """Of the two largest units: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"
