"""What all commands share: how options are read, and the ways in which a command ends.

0: done. 1: done, with a verdict that is no. 2: bad input, or a machine that does not suffice, after one line on stderr
that says what, where and the remedy. 130, or 143 by SIGTERM: interrupted. A
traceback is a mistake of ours.
"""

import argparse
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from typing import Any, NoReturn, TypeVar

from sim.runs.errors import UserError
from sim.runs.options import Options
from theory.command.ending import interrupted
from theory.command.errors import unprintable

Given = TypeVar("Given", bound=Options)

BAD_INPUT = 2

ENVIRONMENT = {
    "JAX_": ("jax/_src/xla_bridge.py", "jax/_src/config.py"),
    "MPL": ("matplotlib/__init__.py", "matplotlib/rcsetup.py"),
}
"""Prefixes of variables of the environment, and the modules that raise where one of them is wrong."""


def ended(
    program: str,
    work: Callable[[], int],
) -> int:
    """The exit code of a command that does some work, which returns 0 or 1.

    What the user or the machine's owner can mend ends in one line: UserError, a file that cannot be read or written,
    too little memory, variables of the environment that JAX refuses. Anything else is raised.
    """
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return interrupted(program)
    except Exception as error:
        line = explained(error)
        if line is None:
            raise
        if isinstance(error, OSError):
            _forget_output()
        return _ended(program, line, BAD_INPUT)
    return code


def command(
    program: str,
    kind: type[Given],
    work: Callable[[Given], int],
    arguments: Sequence[str] | None = None,
    *,
    positional: bool = False,
) -> int:
    """The exit code of a command that does some work with the options of its command line, as `ended` and `options`.

    What it compiles is kept, as sim.programs says.
    """

    def done() -> int:
        given = options(kind, program, arguments, positional=positional)
        from sim.programs import keep

        keep(given.compile_cache)
        return work(given)

    return ended(program, done)


def explained(error: Exception) -> str | None:
    """The line that an error ends a command with; None for one that is no fault of input or machine."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, BrokenPipeError):
        return "what read the output has ended: let it read to the end"
    if isinstance(error, OSError):
        where = " and ".join(
            str(name) for name in (error.filename, error.filename2) if name is not None
        )
        reason = error.strerror or str(error) or type(error).__name__
        return f"cannot use {where or 'a file'} ({reason}): mend that, or name another"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = f" ({error})" if str(error) else ""
        return f"out of memory{reason}: ask for less at once, or use a machine with more"
    return unprintable(error) or _of_environment(error)


def _of_environment(error: Exception) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    raised_in = frames[-1].filename.replace(os.sep, "/") if frames else ""
    for prefix, modules in ENVIRONMENT.items():
        given = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(prefix)]
        if given and raised_in.endswith(modules):
            reason = f" ({error})" if str(error) else ""
            return f"cannot start with {' '.join(given)}{reason}: correct that, or unset it"
    return None


def _ended(program: str, line: str, code: int) -> int:
    print(f"{program}: {' '.join(line.split())}", file=sys.stderr)
    return code


def _forget_output() -> None:
    """Have the interpreter not fail once more, when it ends, over output that could not be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    """Bad arguments end in one line and code 2."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False} | settings)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {' '.join(message.split())}: see {self.prog} --help\n")


def options(
    kind: type[Given],
    program: str,
    arguments: Sequence[str] | None = None,
    *,
    positional: bool = False,
) -> Given:
    """The options of a command line, those of this process by default, as a dataclass.

    positional: options without a default are given without their names. Raises UserError for a value out of range, and
    ends the process with one line and code 2 where the words are no options.
    """
    import tyro

    markers = (tyro.conf.PositionalRequiredArgs,) if positional else ()
    box = io.StringIO()
    try:
        with redirect_stderr(box):
            return tyro.cli(kind, prog=f"python -m {program}", args=arguments, config=markers)
    except SystemExit as end:
        if end.code in (None, 0):
            sys.stderr.write(box.getvalue())
            raise
        line = f"{_complaint(box.getvalue())}: see python -m {program} --help"
        raise SystemExit(_ended(program, line, BAD_INPUT)) from None


def _complaint(box: str) -> str:
    """What a box of tyro's says, in a line: its text up to the first rule, and the options that it suggests."""
    lines = box.splitlines()
    drawn = any(line.startswith("│") for line in lines)  # else there is a title and a rule below it
    inner = [line.strip(" │") for line in (lines[1:-1] if drawn else lines[2:])]
    rules = [place for place, line in enumerate(inner) if line and not line.strip("─-")]
    rules = rules or [len(inner)]
    said = re.sub(r"\[/?bold\]", "", " ".join(filter(None, inner[: rules[0]])))
    said = said.partition(" Got errors:")[0].rstrip(".")
    rest = inner[rules[0] + 1 :]
    if rest and rest[0].startswith("Perhaps you meant"):
        near = [line.split()[0] for line in rest if re.match(r"--\w", line)]
        said += f" (perhaps {' or '.join(near[:3])})"
    return said or " ".join(box.split())
