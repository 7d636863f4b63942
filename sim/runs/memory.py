"""How much memory there is, asked before it is taken: what a machine cannot hold is refused, not tried."""

import os
from pathlib import Path

from sim.runs.errors import UserError

CONTROL_GROUP = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux says what a container may use: versions 2 and 1."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def available() -> int:
    """Bytes that a process may have here at most: the least of the machine's, its container's and its own limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CONTROL_GROUP:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # not Linux, no container, or no limit ("max")
            continue
    try:
        import resource
    except ImportError:
        return min(limits)
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min([*limits, *([] if soft == resource.RLIM_INFINITY else [soft])])


def require(needed: float, what: str, remedy: str, there: int | None = None) -> None:
    """Raise UserError where at least so many bytes are needed and fewer are there (default: in this machine).

    The estimate is a lower bound: what passes may still not suffice, and what is refused never could.
    """
    there = available() if there is None else there
    if needed > there:
        raise UserError(
            f"{what}: at least {shown(needed)} of memory are needed, and {shown(there)} are there: {remedy}"
        )


def shown(size: float) -> str:
    """Bytes for people to read: 1.5 GiB."""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.3g} {UNITS[unit]}" if size < 1e6 else f"{size:,.0f} {UNITS[unit]}"
