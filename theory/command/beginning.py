"""Where a command begins: every package calls this when it is imported, before anything that takes time."""

import signal
import sys

ENDING = "theory.command.ending"
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


def hold() -> None:
    """Keep signals waiting for the calling thread, and for the program that it becomes, until they are taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
