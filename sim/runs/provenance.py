"""Where a run's numbers come from: configuration, code, versions, machine."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sim.runs.identity import canonical, identity

PACKAGES = (
    "cognitive-reserve",
    "numpy",
    "scipy",
    "jax",
    "jaxlib",
    "pandas",
    "pyarrow",
    "matplotlib",
    "optax",
    "safetensors",
    "tokenizers",
)


FAILED = 128
"""Git's exit code where it cannot work, not where it has nothing to tell."""


def provenance(config: Any, **extra: Any) -> dict[str, Any]:
    """A record to store beside results: the configuration and its identity, commit, versions, machine, time."""
    return {
        "identity": identity(config),
        "config": canonical(config),
        **extra,
        "commit": commit(),
        "versions": {"python": platform.python_version(), **versions()},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
        },
        **_call(),
    }


def resumed(record: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a run that this code goes on with, which names it; None where it is of the same commit already."""
    known = [
        record.get("commit"),
        *(earlier.get("commit") for earlier in record.get("resumed", ())),
    ]
    ours = commit()
    if ours in known:
        return None
    call = {"commit": ours, "versions": {"python": platform.python_version(), **versions()}}
    return record | {"resumed": [*record.get("resumed", ()), call | _call()]}


def _call() -> dict[str, Any]:
    """How this process was started, and when."""
    module = getattr(sys.modules["__main__"].__spec__, "name", None)  # of `python -m`
    program = sys.argv[:1] if module is None else ["-m", module.removesuffix(".__main__")]
    return {
        "command": ["python", *map(_by_name, [*program, *sys.argv[1:]])],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _by_name(argument: str) -> str:
    """An argument with an absolute path by its name alone: where it lies on this machine tells others nothing."""
    option, equals, value = argument.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else argument


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def commit() -> str:
    """The commit this code is of, with "+" where the tree differs from it; outside a checkout "version 1.2.3", as
    installed, or "unknown".
    """
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # other code may lie around this
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError) as error:
        installed = versions().get(PACKAGES[0])
        instead = "unknown" if installed is None else f"version {installed}"
        if getattr(error, "returncode", FAILED) == FAILED and _in_checkout(here):
            reason = " ".join(str(getattr(error, "stderr", None) or error).split())
            print(f"git does not tell the commit, {instead} is recorded: {reason}", file=sys.stderr)
        return instead


def _in_checkout(folder: Path) -> bool:
    return any((parent / ".git").exists() for parent in folder.parents)
