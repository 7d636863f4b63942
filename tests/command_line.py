"""Commands as their users call them: in a process of their own or, which is far quicker, in the one of a test."""

import subprocess
import sys
from subprocess import CompletedProcess

import pytest

from tests.fuzzing import module
from tests.places import ROOT


def as_process(command: str, *arguments: object) -> CompletedProcess[str]:
    """What `python -m` makes of a command line."""
    return subprocess.run(
        [sys.executable, "-m", command, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def in_process(
    capture: pytest.CaptureFixture[str], command: str, *arguments: object
) -> CompletedProcess[str]:
    """The same of a command's main here: its exit code, and what it prints; what it raises is raised.

    capture: of capfd, which sees what code in C prints as well.
    """
    words = [str(argument) for argument in arguments]
    capture.readouterr()
    try:
        code = module(command).main(words)
    except SystemExit as end:
        code = end.code
    return CompletedProcess(words, code, *capture.readouterr())
