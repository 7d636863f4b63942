"""How a command ends when it is told to: Ctrl-C and SIGTERM end it within seconds, in one line, at any moment.

Python's own answer is a KeyboardInterrupt between any two instructions. It waits for as long as a program compiles, is
swallowed or printed where code is called back from C, and crashes where extension modules are half imported (SIGSEGV in
jaxlib, whose nanobind frees a module that it has not finished making). So nothing is raised here. C code writes the
signal's number into a pipe the moment it comes; a thread reads it, gives work that saves what it has (`grace`) GRACE
seconds, then deletes temporary files, says so, stops child processes and ends the process without any teardown. What is
written is whole at any moment, so that a command that can go on goes on from there.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from theory.command.beginning import SIGNALS, hold

if TYPE_CHECKING:
    from subprocess import Popen

GRACE = 3.0
"""Seconds that work which saves what it has may take for that."""

FLUSH = 0.5
"""Seconds in which what was printed must have gone out."""

STARTING = 1.0
"""Seconds in which a process that is being started must have started."""

NO_SIGNAL = 0
"""Written into the pipe to learn that what was written before is read."""

AGAIN = "the same command with --resume goes on"
"""The remedy of a command that keeps what is finished."""

_came: list[int] = []
"""Signals, in order."""
_temporary: set[Path] = set()
_read_so_far = Event()
_starting = Lock()
"""Held while a process is started."""
_ending = Lock()
"""Held from the moment that the process ends."""


class _Command:
    """The process as far as it is a command: `python -m` one of our modules."""

    begun = False
    writing = -1
    graceful = False
    """Whether there is work that asks whether to stop."""
    remedy = ""


def take() -> None:
    """Have this process, whose signals are held, ended by them from now on."""
    reading, _Command.writing = os.pipe()
    os.set_blocking(_Command.writing, False)
    signal.set_wakeup_fd(_Command.writing, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)
    Thread(target=_watch, args=(reading,), daemon=True).start()  # which holds them for good
    _Command.begun = True
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hand_over() -> None:
    """Have the signals that come from now on wait for the program that this process becomes."""
    if _Command.begun:
        hold()
        os.write(_Command.writing, bytes([NO_SIGNAL]))
        _read_so_far.wait()  # for ever, where a signal came before: it ends this process


def can_resume() -> None:
    """From here on what is finished is kept, and the closing line says how to go on."""
    _Command.remedy = AGAIN


@contextmanager
def grace() -> Iterator[Callable[[], bool]]:
    """For work that asks whether to stop, saves what it has, and raises KeyboardInterrupt: GRACE seconds to do that.

    A second Ctrl-C ends it at once. Outside a command the signals are taken for the block alone, and the second raises
    KeyboardInterrupt.
    """
    if _Command.begun:
        try:
            yield _asked
        finally:
            _Command.graceful = False
        return
    seen: list[int] = []

    def take(number: int, frame: object) -> None:
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, take) for number in SIGNALS}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _asked() -> bool:
    """Whether a signal has come; who asks once will ask again."""
    _Command.graceful = True
    return bool(_came)


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A file or folder that is gone after the block, or when the command is ended within it, unless renamed."""
    _temporary.add(path)
    try:
        yield path
    finally:
        if _ending.locked():  # what failed here for want of the file is no news
            _ending.acquire()
        _delete(path)
        _temporary.discard(path)


def start(command: Sequence[str]) -> "Popen[str]":
    """A program with pipes. It ends with this command, even if that ends while the program is being started."""
    from subprocess import PIPE, Popen

    with _starting:
        return Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)


def interrupted(program: str) -> int:
    """End a command that has saved what it had; elsewhere the exit code, after the closing line."""
    number = _came[0] if _came else signal.SIGINT
    if _Command.begun:
        _end(number)
    print(_line(program), file=sys.stderr)
    return 128 + number


def _watch(reading: int) -> None:
    """End the process after the first signal, and the grace that there is."""
    number = _next(reading, None)
    assert number is not None
    _came.append(number)
    if _Command.graceful:
        while _next(reading, GRACE) == signal.SIGTERM:
            continue
    _end(number)


def _next(reading: int, seconds: float | None) -> int | None:
    """The next of our signals; None where none comes in time."""
    while select([reading], [], [], seconds)[0]:
        number = os.read(reading, 1)[0]
        if number in SIGNALS:
            return number
        if number == NO_SIGNAL:
            _read_so_far.set()
    return None


def _end(number: int) -> None:
    """End this process now: whoever comes second waits for the first."""
    _ending.acquire()
    for path in list(_temporary):
        _delete(path)
    printing = Thread(target=_flush, daemon=True)
    printing.start()
    printing.join(FLUSH)
    line = ("\n" if os.isatty(2) else "") + _line(_program()) + "\n"  # after ^C and a bar
    with suppress(OSError):
        os.write(2, line.encode())
    _starting.acquire(timeout=STARTING)
    for child in _children():
        with suppress(OSError):
            os.kill(child, signal.SIGTERM)
    os._exit(128 + number)


def _children() -> list[int]:
    """Processes that this one started and has not waited for, where the system tells (Linux)."""
    ours = os.getpid()
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == ours:
                children.append(int(status.parent.name))
    return children


def _delete(path: Path) -> None:
    """Out of the way at once, so that nobody renames a folder of which half is deleted."""
    with suppress(OSError):
        if path.is_dir():
            import shutil

            path = path.rename(path.with_name(f".{path.name}.deleted"))
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _flush() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()


def _program() -> str:
    """The module that was started, as in `python -m sim.sweep`."""
    words = sys.orig_argv
    return words[words.index("-m") + 1] if "-m" in words[:-1] else "python"


def _line(program: str) -> str:
    return f"{program}: interrupted" + (f"; {_Command.remedy}" if _Command.remedy else "")
