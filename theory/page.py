"""The table of theory/README.md: one row a statement, made from the reports of a check."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from theory.check import Report
from theory.evidence.numbers import show
from theory.evidence.scope import ORDER, every
from theory.statement import Refuted, Statement, StepsChecked, Supported

HEAD = """\
# The statements

What the theory claims, and what a machine could make of it: `python -m theory check` repeats every line of this table,
`python -m theory explain ID` prints a statement's page with its proof step by step, and `python -m theory explain` says
how to state and check a claim of your own. The table is written by `python -m theory check --table theory/README.md`.

Grades are never merged. **Steps checked (n of n)** means that a machine checked each step of a proof (symbolic: algebra
for the shapes in the scope; exact: rational arithmetic; interval: Arb enclosures), and that the steps imply the claim
is by hand; **Supported** a solver's primal-dual pair or sampled instances; **Refuted** a witness that survives exact
or high-precision arithmetic. Beside every proof a search for counterexamples runs over all geometries and degenerate
corners. What the steps assume of letters of their own stands in `explain`.

| no. | id | claim | verdict | hypotheses (needed?) | tight at | source |
|---|---|---|---|---|---|---|
"""


def page(reports: Sequence[Report]) -> str:
    """The whole of theory/README.md."""
    return HEAD + "\n".join(map(row, reports)) + "\n"


def row(report: Report) -> str:
    """A statement's line, the same on every machine."""
    statement = report.statement
    cells = [
        "" if statement.number is None else str(statement.number),
        f"[`{statement.id}`](statements/{statement.sides.__module__.rpartition('.')[2]}.py)",
        f"`{' '.join(statement.claim.split())}`",
        _verdict(report),
        "; ".join(_need(statement, name) for name in _names(statement)) or "none",
        _tight(statement),
        " ".join(statement.source.split()),
    ]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _verdict(report: Report) -> str:
    match report.verdict:
        case StepsChecked(_, kinds, scope):
            return f"{report.verdict.grade}: {' + '.join(kinds)}; {_scope(scope)}"
        case Refuted(witness):
            return f"Refuted at {_instance(witness.instance)}"
        case Supported(kind):
            return f"Supported({kind}); {report.checked_steps} of {len(report.steps)} steps checked"
        case other:
            return type(other).__name__


def _scope(scope: str) -> str:
    """A scope without the letters that are the steps' own: sizes, intervals, and what is not quantified over."""
    *narrow, names = scope.split("; ") if "all " in scope else [*scope.split("; "), ""]
    kept: dict[str, None] = {}
    for item in names.removeprefix("all ").split(", "):
        name = item.split(" ")[0]
        if name in ORDER or item.count("<=") == 2:
            kept[name if name in ORDER else item] = None
    return "; ".join([*narrow, every(kept)] if names else narrow)


def _names(statement: Statement) -> list[str]:
    return [condition.name for condition in statement.conditions()]


def _need(statement: Statement, name: str) -> str:
    given = statement.needed.get(name, "")
    return f"{name} (yes)" if not isinstance(given, str) else f"{name} ({given or 'not said'})"


def _tight(statement: Statement) -> str:
    if isinstance(statement.tight_at, str):
        return statement.tight_at or ("equality" if statement.relation == "==" else "")
    return _instance(statement.tight_at)


def _instance(instance: Any) -> str:
    """Small values in full, large arrays by their shape."""
    parts = []
    for name, value in instance.items():
        shape = np.shape(value)
        large = int(np.prod(shape)) > 9
        parts.append(
            f"{name} ({' × '.join(map(str, shape))})" if large else f"{name} = {show(value)}"
        )
    return ", ".join(parts)
