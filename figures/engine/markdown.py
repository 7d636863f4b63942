"""Pieces of the pages of studies: tables, numbers with their intervals, links to figures and files."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MOST = 8
"""Steps that a table shows."""

VERSION = "version "
"""Begins what a run of an installed package records in place of a commit."""


def section(title: str, *parts: str) -> str:
    """With the parts that there are; "" without any."""
    present = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *present]) if present else ""


def some(steps: Sequence[Any]) -> list[Any]:
    """At most MOST, evenly chosen, with the first and the last."""
    places = np.linspace(0, len(steps) - 1, min(len(steps), MOST)).round().astype(int)
    return [steps[place] for place in places]


def table(head: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """A table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def between(numbers: Iterable[float], form: str) -> str:
    """A value with its low and high end, if it has them; an end that is not bounded is infinite."""
    value, low, high = numbers
    if np.isnan(low):
        return f"{value:{form}}"
    ends = [
        f"{end:{form}}" if np.isfinite(end) else "−∞" if end < 0 else "∞" for end in (low, high)
    ]
    return f"{value:{form}} [{ends[0]}, {ends[1]}]"


def made_by(record: Mapping[str, Any]) -> str:
    """Which run, of which code, a record of provenance tells of."""
    return f"Run {record.get('identity')} of {code(record)}."


def code(record: Mapping[str, Any]) -> str:
    """The commit, or the version of the installed package, that began a run, and those that went on with it."""
    names = [str(call.get("commit")) for call in (record, *record.get("resumed", ()))]
    said = ", resumed with ".join(map(_shortened, names))
    return said if names[0].startswith(VERSION) else f"commit {said}"


def _shortened(commit: str) -> str:
    if commit.startswith(VERSION):
        return commit
    return f"{commit[:10]}{', with changes' if commit.endswith('+') else ''}"


def figure(name: str, caption: str) -> str:
    """A figure beside the page, its caption, and links to its numbers."""
    sources = f"([numbers]({name}.csv), [provenance]({name}.json))"
    return f"![{caption}]({name}.png)\n\n*{caption} {sources}*"


def files(names: Iterable[str], said: Mapping[str, str]) -> str:
    """The section that lists the tables beside the page, and what is said of each."""
    lines = [
        f"- [{name}.csv]({name}.csv): {said[name]} ([provenance]({name}.json))" for name in names
    ]
    return "## Tables\n\n" + "\n".join(lines)
