"""A statement's page and the lines of its report, as `python -m theory explain` and `check` print them."""

import inspect
import sys
from typing import Any

from theory.check import Report, describe
from theory.evidence.numbers import show
from theory.statement import Statement


def page(statement: Statement) -> str:
    """What a statement says: setting, claim, hypotheses with their witnesses, where it is tight."""
    number = "" if statement.number is None else f" (statement {statement.number})"
    lines = [f"{statement.id}{number}", ""]
    module = sys.modules.get(getattr(statement.sides, "__module__", ""))
    if module is not None and module.__name__.startswith("theory.statements.") and module.__doc__:
        lines += [inspect.cleandoc(module.__doc__), ""]
    lines += ["Setting     C (d, T) real, one task per column; 1 <= k <= min(d, T)"]
    lines += [f"Claim       {_in_a_line(statement.claim)}"]
    for condition in statement.conditions():
        lines += [f"Hypothesis  {_in_a_line(condition.name)}: {_in_a_line(condition.says)}"]
        if condition.name in statement.needed:
            lines += [f"  needed    {_at(statement.needed[condition.name])}"]
    if statement.tight_at:
        lines += [f"Tight       {_at(statement.tight_at)}"]
    if statement.as_refuted is not None:
        lines += [f"Witness     {_at(statement.as_refuted)}"]
    if statement.remark:
        lines += [f"Remark      {_in_a_line(statement.remark)}"]
    return "\n".join([*lines, "Proof" if statement.proof else "No proof"])


def summary(report: Report) -> str:
    """The report's own summary, on one line whatever a user's names hold."""
    return printable(report.summary())


def step_lines(report: Report) -> list[str]:
    """Each step of the proof, and what its check made of it, a line each."""
    lines = []
    for step, verdict, seconds in report.steps:
        lines += [
            f"  {_in_a_line(step.name)}: {_in_a_line(step.says)}",
            f"    {_in_a_line(describe(verdict))} ({seconds:.2f} s)",
        ]
    return lines


def tightest(report: Report) -> str | None:
    """The tightest instance that the search met, in a line; None if it met none."""
    met = getattr(report.sampled, "tightest", None)
    return None if met is None else _at(met)


def _at(instance: Any) -> str:
    if isinstance(instance, str):
        return _in_a_line(instance)
    return printable(", ".join(f"{name} = {show(value)}" for name, value in instance.items()))


def _in_a_line(text: str) -> str:
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text on one line, without characters that a terminal acts on."""
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
