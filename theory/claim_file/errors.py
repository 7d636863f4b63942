"""What a claim file did wrong, in one line after the line of the file that did it."""

import difflib
import re
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from theory.statement import Statement

REMEDIES = {
    "is read-only": ": work on a copy, C = C.copy()",
    "EOFError": ": a claim has no input",
    "SystemExit": ": let it return",
    "MemoryError": ": a claim has 2 GiB",
}
"""Words of a message, and what to do about it."""
MOST_CHARACTERS = 400


class Unfit(BaseException):
    """The file's code does what a claim must not; no `except Exception` on the way stops it."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def line_of(function: Callable[..., Any], file: str) -> int | None:
    """The line where a function of the file begins."""
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code is not None and code.co_filename == file else None


def unfit(function: Callable[..., Any], file: str, message: str) -> NoReturn:
    """Raise Unfit with the line of the function that is meant."""
    raise Unfit(message, line_of(function, file))


def located(error: BaseException, file: str) -> str:
    """The error in a line, after the line of the file that it comes from."""
    line, said = cause(error, file)
    return f"{file}{f':{line}' if line else ''}: {said}"


def cause(error: BaseException, file: str) -> tuple[int | None, str]:
    """The line of the file that an error comes from, and what the error says, with a remedy where one is known."""
    if isinstance(error, SyntaxError):
        line, said = error.lineno, error.msg or "no Python"
    else:
        line, said = _last_line(error, file), _said(error)
    if isinstance(error, Unfit):
        return error.line, said
    said = " ".join(said.split())
    if len(said) > MOST_CHARACTERS:
        said = f"{said[:MOST_CHARACTERS]}..."
    said = "".join(c if c.isprintable() else repr(c)[1:-1] for c in said)
    return line, said + "".join(remedy for sign, remedy in REMEDIES.items() if sign in said)


def _said(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "its message cannot be shown"
    if isinstance(error, Unfit) or type(error) is ValueError:
        return text or name
    misspelt = re.search(r"Statement.*unexpected keyword argument '(\w+)'", text)
    if misspelt:
        near = difflib.get_close_matches(misspelt[1], Statement.__dataclass_fields__, 1)
        text += "".join(f": did you mean {field!r}?" for field in near)
    return f"{name}: {text}" if text else name


def _last_line(error: BaseException, file: str) -> int | None:
    line = None
    cause: BaseException | None = error
    seen = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for frame, number in traceback.walk_tb(cause.__traceback__):
            if frame.f_code.co_filename == file:
                line = number
        cause = cause.__cause__
    return line
