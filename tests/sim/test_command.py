"""How commands read their options and end: one line for what a user can mend, a traceback for what is ours."""

import errno
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sim.runs import memory
from sim.runs.command import command, ended, explained, options
from sim.runs.errors import UserError
from sim.runs.options import Count, Options, Seed
from tests.places import ROOT


@dataclass(frozen=True)
class Arguments(Options):
    """Of a command."""

    steps: Count = 3
    """Updates."""
    seed: Seed | None = None
    sizes: tuple[Count, ...] = (1,)
    peak: float = 0.1


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command line ends with, by code 2."""
    try:
        code = command("tool", Arguments, lambda given: 0, arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--steps 0", "tool: --steps 0: give a whole number >= 1"),
        ("--steps 2147483648", "tool: --steps 2147483648: give a whole number <= 2147483647"),
        ("--seed -1", "tool: --seed -1: give a whole number >= 0"),
        ("--seed 4294967296", "tool: --seed 4294967296: give a whole number <= 4294967295"),
        ("--sizes 3 0", "tool: --sizes 0: give a whole number >= 1"),
        ("--peak nan", "tool: --peak nan: give a finite number"),
        ("--peak inf", "tool: --peak inf: give a finite number"),
        ("--bogus 1", "tool: Unrecognized options: --bogus, 1: see python -m tool --help"),
        ("--step 1", "tool: Unrecognized options: --step, 1 (perhaps --steps): see python -m tool --help"),
    ],
)  # fmt: skip
def test_a_bad_option_is_refused_in_one_line(
    arguments: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *arguments.split()) == line


@pytest.mark.parametrize("arguments", ["--steps", "--steps x", "--seed 1.5", "--sizes 1 x", "word"])
def test_what_tyro_says_is_one_line_that_names_it(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *arguments.split())
    assert arguments.split()[0] in line
    assert line.endswith("see python -m tool --help")
    assert not set("│╭─╰") & set(line)


def test_good_options_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    parsed = options(
        Arguments, "tool", ["--steps", "1", "--seed", "4294967295", "--sizes", "2", "3"]
    )
    assert parsed == Arguments(1, 4294967295, (2, 3), 0.1)
    with pytest.raises(SystemExit) as end:
        options(Arguments, "tool", ["--help"])
    assert not end.value.code
    assert "--steps" in capsys.readouterr().out


def test_a_whole_number_needs_a_range() -> None:
    @dataclass(frozen=True)
    class Unbounded(Options):
        number: int = 1

    with pytest.raises(TypeError, match="number has no Range"):
        Unbounded()


def raising(error: BaseException) -> Any:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a: b"), 2, "tool: a: b"),
        (UserError("a\nb"), 2, "tool: a b"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x/y"),
            2,
            "tool: cannot use x/y (No space left on device): mend that, or name another",
        ),
        (MemoryError(), 2, "tool: out of memory: ask for less at once, or use a machine with more"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: 5 bytes"),
            2,
            "tool: out of memory (RESOURCE_EXHAUSTED: 5 bytes): ask for less at once, or use a machine with more",
        ),
    ],
)
def test_what_can_be_mended_ends_in_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("tool", raising(error)) == code
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), AssertionError(), RuntimeError()]
)
def test_a_mistake_of_ours_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        ended("tool", raising(error))
    assert explained(error) is None


def test_characters_that_cannot_be_printed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        print("caf\u00e9")
        return 0

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert ended("tool", work) == 2
    line = r"tool: cannot print '\xe9' in ascii: set PYTHONIOENCODING=utf-8"
    assert capsys.readouterr().err == f"{line}\n"
    with pytest.raises(UnicodeEncodeError):
        ended("tool", lambda: len("\udcff".encode()))


def test_the_verdict_is_the_exit_code() -> None:
    assert [ended("tool", lambda code=code: code) for code in (0, 1)] == [0, 1]  # type: ignore[misc]


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_a_platform_that_jax_does_not_know_ends_in_one_line() -> None:
    done = run("neural.bench", "--preset", "tiny", JAX_PLATFORMS="bogus")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "JAX_PLATFORMS=bogus" in line
    assert line.endswith("correct that, or unset it")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_ends_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "neural.corpus", "list"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=600,
        )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "No space left on device" in done.stderr


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    memory.require(2**30, "a table", "take less")
    with pytest.raises(UserError) as refusal:
        memory.require(2**30 + 1, "a table", "take less")
    assert str(refusal.value) == (
        "a table: at least 1 GiB of memory are needed, and 1 GiB are there: take less"
    )


def test_the_machine_has_the_memory_that_it_says() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**28 < memory.available() <= pages
