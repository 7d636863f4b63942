"""What figures and tables that are made together need read only once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_known: ContextVar[dict[Any, Any] | None] = ContextVar("_known", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """In this block what was read is kept, and changes of its run are not seen."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def known() -> dict[Any, Any] | None:
    """Within `reading_once`, what was read."""
    return _known.get()


def once(read: Callable[P, R]) -> Callable[P, R]:
    """A function that within `reading_once` reads the same only once; nobody changes what it returns."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> R:
        if (kept := known()) is None:
            return read(*args, **kwargs)
        key = (read, args, tuple(kwargs.items()))
        if key not in kept:
            kept[key] = read(*args, **kwargs)
        return kept[key]

    return reading
