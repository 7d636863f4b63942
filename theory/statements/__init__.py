"""The statements of the theory, one module each, found by looking: a module here exposes its STATEMENT."""

import importlib
import pkgutil
from functools import cache

from theory.statement import Statement


@cache
def statements() -> dict[str, Statement]:
    """Every statement by id, in the order of the theory's numbers. Imports them, and so the proof packages."""
    found: dict[str, Statement] = {}
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        statement = getattr(importlib.import_module(module.name), "STATEMENT", None)
        if not isinstance(statement, Statement):
            raise ValueError(
                f"{module.name} has no STATEMENT: end it with STATEMENT = Statement(...)"
            )
        if statement.id in found:
            raise ValueError(
                f"{module.name}: another statement has the id {statement.id!r}: rename one"
            )
        found[statement.id] = statement
    order = sorted(found.values(), key=lambda s: (s.number is None, s.number or 0, s.id))
    return {statement.id: statement for statement in order}
