"""Reading a claim file and running it to its STATEMENT."""

import inspect
import io
import linecache
import sys
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any

import numpy as np

from theory.claim_file.errors import Unfit
from theory.statement import Statement

FORM = "end it with STATEMENT = Statement(...), as `python -m theory explain` shows"
OURS = ("theory", "numpy", "math", "builtins")
MAY_CHANGE = {"builtins.print", "builtins.input", "builtins.open", "builtins.__import__"}


@dataclass(frozen=True)
class ClaimFile:
    """A file's text, compiled once; `statement` runs it."""

    file: str
    code: CodeType

    def statement(self) -> Statement:
        """Run the file in a fresh module. Raises Unfit unless it makes one Statement and calls it STATEMENT."""
        path = Path(self.file)
        module = ModuleType(f"claim_{path.stem}")
        module.__file__ = str(path.absolute())
        sys.modules[module.__name__] = module  # dataclasses and annotations look it up
        made: list[tuple[Statement, int]] = []
        initialise = Statement.__post_init__

        def note(statement: Statement) -> None:
            initialise(statement)
            line = _calling_line(self.file)
            if line is not None:
                made.append((statement, line))

        setattr(Statement, "__post_init__", note)  # noqa: B010 - a method of a class that mypy knows
        try:
            with warnings.catch_warnings(), np.errstate():  # the file's own settings end with it
                exec(self.code, module.__dict__)
        finally:
            setattr(Statement, "__post_init__", initialise)  # noqa: B010
        statement = module.__dict__.get("STATEMENT")
        names = {id(value): name for name, value in module.__dict__.items() if name != "STATEMENT"}
        if statement is None and len(made) == 1:
            name = names.get(id(made[0][0]), "nothing")
            raise Unfit(f"its Statement is called {name}: call it STATEMENT", made[0][1])
        if statement is None:
            raise Unfit(f"it has no STATEMENT: {FORM}")
        if type(statement) is not Statement:
            raise Unfit(f"STATEMENT is a {type(statement).__name__}, not a Statement: {FORM}")
        for other, line in made:
            if _claim(other) != _claim(statement):
                name = names.get(id(other), repr(other.id))
                raise Unfit(
                    f"a second Statement, {name}: a file holds one claim, so move it to another",
                    line,
                )
        return statement


def read(path: str) -> ClaimFile:
    """The file, compiled. Raises Unfit if it is not text, SyntaxError if it is not Python."""
    source = Path(path).read_bytes()
    if b"\0" in source:
        raise Unfit("it holds NUL bytes, so it is no Python text: save it as UTF-8")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise Unfit(f"it is not {encoding} text: save it as UTF-8", line) from error
    except SyntaxError as error:
        raise Unfit(f"it is not UTF-8 text ({error}): save it as UTF-8") from error
    linecache.cache[path] = len(text), None, text.splitlines(keepends=True), path
    return ClaimFile(path, compile(text, path, "exec", dont_inherit=True))


def _claim(statement: Statement) -> tuple[Any, ...]:
    return statement.id, statement.claim, statement.relation, statement.sides


def _calling_line(file: str) -> int | None:
    """The line of the file that calls, if no code but its own and that of `dataclasses` lies between."""
    frame = inspect.currentframe()
    while frame is not None:
        name, path = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if path == file:
            return frame.f_lineno
        if name not in (__name__, "theory.statement", "dataclasses") and path != "<string>":
            return None
        frame = frame.f_back
    return None


def checker() -> Callable[[], str | None]:
    """A function that names what has changed since in the packages that check a claim; None if nothing has."""
    before = dict(_functions())

    def changed() -> str | None:
        now = dict(_functions())
        return next((name for name, value in before.items() if now.get(name) is not value), None)

    return changed


def _functions() -> Iterator[tuple[str, Any]]:
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in OURS and isinstance(module, ModuleType):
            for name, value in list(vars(module).items()):
                full = f"{module_name}.{name}"
                if full in MAY_CHANGE or name == "_":
                    continue
                if callable(value) or (name.isupper() and module_name.startswith("theory")):
                    yield full, value
                if module_name.startswith("theory"):
                    yield from _parts(full, value)


def _parts(full: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The methods of a class of this package, and the entries of a table."""
    if isinstance(value, type) and value.__module__.startswith("theory"):
        parts: Mapping[Any, Any] = vars(value)
        yield from ((f"{full}.{name}", part) for name, part in parts.items() if callable(part))
    elif isinstance(value, dict | MappingProxyType) and full.rpartition(".")[2].isupper():
        yield from ((f"{full}[{key!r}]", part) for key, part in value.items())
