"""The study that a folder of results was made by, read back from its provenance."""

import dataclasses
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from neural.study.kind import study_of
from sim.runs.errors import UserError
from sim.runs.identity import NOT_FINITE
from sim.runs.store import Run

S = TypeVar("S")


def recorded(out: Path, kind: type[S], name: str) -> S:
    """The plan of the study of that name in a folder; what is not recorded has its default, as data_dir.

    Raises UserError where the folder is none of such a study, or of another version of it.
    """
    record = Run.existing(out).provenance() or {}
    config = record.get("config")
    if not isinstance(config, dict) or study_of(record) != name:
        command = f"python -m neural.{name} --out {out}"
        raise UserError(f"{out} holds no study: make one with `{command}`")
    try:
        study: S = rebuilt(kind, config)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{out} was made by another version of the study ({error}): "
            "read it with that version, or make it again"
        ) from None
    return study


def rebuilt(kind: Any, value: Any) -> Any:
    """The value of a type from its canonical JSON (sim.runs.identity): dataclasses, tuples, optional and plain values.

    Raises ValueError or TypeError for JSON that is no such value.
    """
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} is no {getattr(kind, '__name__', kind)}")
        hints = get_type_hints(kind)
        if unknown := value.keys() - hints.keys():
            raise ValueError(f"unknown {', '.join(sorted(unknown))}")
        return kind(**{name: rebuilt(hints[name], item) for name, item in value.items()})  # type: ignore[operator]
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (arm for arm in get_args(kind) if arm is not type(None))
        return rebuilt(kind, value)
    if origin is tuple:
        kinds = get_args(kind)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        return tuple(rebuilt(k, item) for k, item in zip(kinds, value, strict=True))
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{value!r} is none of {', '.join(map(str, get_args(kind)))}")
        return value
    if kind is float and value in NOT_FINITE:
        return float(value)
    if not isinstance(value, (int, float) if kind is float else kind):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value
