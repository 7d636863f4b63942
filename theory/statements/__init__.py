"""The statements of the theory, one module each, found by looking: a module here exposes its STATEMENT."""

import ast
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from theory.statement import Statement


def headings() -> list[dict[str, Any]]:
    """number (None or int), id and claim of every statement, in the order of the theory's numbers.

    Read off the modules' source, so that nothing is imported and the proof packages need not be there. Raises
    ValueError for a module whose STATEMENT does not give these as literals.
    """
    entries = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        try:
            entries.append(_heading(ast.parse(path.read_text(encoding="utf-8"))))
        except (ValueError, KeyError):
            raise ValueError(
                f"{path.name}: no STATEMENT = Statement(id=…, claim=…) of literals: write them out"
            ) from None
    return sorted(entries, key=_order)


def _heading(module: ast.Module) -> dict[str, Any]:
    (call,) = (
        node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and [getattr(target, "id", "") for target in node.targets] == ["STATEMENT"]
    )
    given = {word.arg: word.value for word in call.keywords}
    number = given.get("number", ast.Constant(None))
    nodes = {"number": number, "id": given["id"], "claim": given["claim"]}
    return {name: ast.literal_eval(node) for name, node in nodes.items()}


def _order(heading: dict[str, Any]) -> tuple[bool, int, str]:
    return heading["number"] is None, heading["number"] or 0, heading["id"]


@cache
def statements() -> dict[str, Statement]:
    """Every statement by id, in the order of the theory's numbers. Imports them, and so the proof packages."""
    by_id: dict[str, Statement] = {}
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        statement = getattr(importlib.import_module(module.name), "STATEMENT", None)
        if not isinstance(statement, Statement):
            raise ValueError(
                f"{module.name} has no STATEMENT: end it with STATEMENT = Statement(...)"
            )
        if statement.id in by_id:
            raise ValueError(
                f"{module.name}: another statement has the id {statement.id!r}: rename one"
            )
        by_id[statement.id] = statement
    order = sorted(by_id.values(), key=lambda s: (s.number is None, s.number or 0, s.id))
    return {statement.id: statement for statement in order}
