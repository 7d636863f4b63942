"""Every command of the packages: what asking it for help imports, which is what starting it costs (house rule 8)."""

import ast
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.places import ROOT

PACKAGES = ("theory", "sim", "neural", "figures")
HANGS = 600

NO_COMMANDS = {"theory.claim_file.child"}
"""Programs that ours start, and that take no arguments."""

NUMBERS = {"docstring_parser", "typing_extensions", "tyro"}
COMMAND_LINE = NUMBERS | {"typeguard"}
"""What tyro takes for options of all types."""

IMPORTED: dict[str, set[str]] = {
    "theory": set(),
    "sim.sweep": COMMAND_LINE,
    "neural.train": COMMAND_LINE,
    "neural.evaluate": COMMAND_LINE,
    "neural.sample": NUMBERS,
    "neural.bench": NUMBERS,
    "neural.robustness": COMMAND_LINE,
    "neural.imbalance": COMMAND_LINE,
    "neural.subnetworks": COMMAND_LINE,
    "neural.dynamics": COMMAND_LINE,
    "neural.across": COMMAND_LINE,
    "neural.corpus": {"numpy"},
    "neural.hf": {"numpy"},
    "figures.page": set(),
    "figures.render": set(),
    "figures.report": set(),
}
"""Packages of others that `--help` of each command imports. One more makes every start of it slower."""

# Each command in a fork of this process, which has imported nothing but the standard library.
FORKS = """
import contextlib, io, json, os, runpy, sys

def top():
    return {name.partition(".")[0] for name in sys.modules}

def asked(command):
    sys.argv = [command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_module(command, run_name="__main__", alter_sys=True)
            code = None
        except SystemExit as end:
            code = end.code
    return {"code": code, "printed": printed.getvalue(), "imported": sorted(top() - before)}

os.environ["GLIBC_TUNABLES"] = "the commands that restart themselves for this do not"
before = top()
pipes = {}
for command in sys.argv[1:]:
    reading, writing = os.pipe()
    if not os.fork():
        with os.fdopen(writing, "w") as stream:
            json.dump(asked(command), stream)
        os._exit(0)
    os.close(writing)
    pipes[command] = reading
answers = {}
for command, reading in pipes.items():
    with os.fdopen(reading) as stream:
        answers[command] = json.load(stream)
print(json.dumps(answers))
"""


def commands() -> set[str]:
    """Every module with an entry, as `python -m` takes it."""
    entries = set()
    for path in [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                entries.add(name.removesuffix(".__main__"))
    return entries - NO_COMMANDS


@cache
def answers() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, *sorted(commands())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_command_is_pinned() -> None:
    assert commands() == set(IMPORTED)


@pytest.mark.parametrize("command", IMPORTED)
def test_what_help_imports_is_pinned(command: str) -> None:
    answer = answers()[command]
    assert answer["code"] == 0
    assert answer["printed"].startswith("usage: ")
    imported = {name for name in answer["imported"] if not name.startswith("_")}
    ours = imported & set(PACKAGES)
    assert ours
    extension_helpers = {"cython_runtime"}
    assert imported - ours - sys.stdlib_module_names - extension_helpers == IMPORTED[command]
