"""Where a command begins: every package calls this when it is imported, before anything that takes time."""

import signal
import sys

ENDING = "theory.command.ending"
PACKAGES = ("theory", "sim", "neural", "figures")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def begin() -> None:
    """Take the signals of this process if it is `python -m` one of our packages, as theory.command.ending says.

    Python has "-m" for its first argument just while it looks for the module. A library leaves signals alone.
    """
    if sys.argv[:1] != ["-m"] or ENDING in sys.modules:
        return
    if sys.platform == "win32":  # whose pipes cannot be waited for
        return
    hold()
    from theory.command.ending import take

    take()
    for file in shadows():
        print(
            f"{file} in this folder is run in place of ours: rename it, go to another folder, or use python -P -m",
            file=sys.stderr,
        )


def shadows() -> list[str]:
    """What Python finds in the working folder, where `python -m` looks first, in place of packages of ours."""
    from pathlib import Path

    if sys.flags.safe_path or Path(__file__).parents[2].samefile("."):
        return []
    names = [f"{package}{end}" for package in PACKAGES for end in (".py", "/__init__.py")]
    return [name for name in names if Path(name).exists()]


def hold() -> None:
    """Keep signals waiting for the calling thread, and for the program that it becomes, until they are taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
