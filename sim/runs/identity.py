"""Identity: the sha256 of a configuration's canonical JSON, so that equal work has equal names everywhere."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from sim.runs.files import regular


def canonical(value: Any) -> Any:
    """Plain JSON values of a configuration; dataclass fields with metadata {"identity": False} are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.metadata.get("identity", True)]
        return {f.name: canonical(getattr(value, f.name)) for f in fields}
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(
        f"{type(value).__name__} has no canonical form: use numbers, strings, tuples and dataclasses"
    )


def identity(value: Any) -> str:
    """16 hexadecimal digits that name a configuration."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


NOT_FINITE = ("Infinity", "-Infinity", "NaN")
"""What stands for these numbers where JSON is written: it has none."""


def written(record: Any) -> bytes:
    """JSON that every reader takes, for people to read too."""
    return (json.dumps(_finite(record), indent=2, allow_nan=False) + "\n").encode()


def is_whole(record: dict[str, Any]) -> bool:
    """Whether the configuration of a record that was read is the one whose identity stands beside it."""
    return identity(_with_numbers(record.get("config"))) == record.get("identity")


def parsed(content: str | bytes) -> Any:
    """The value of some JSON. Raises ValueError for what is none, be it nested too deep to be read."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _with_numbers(value: Any) -> Any:
    """JSON that was read, with numbers for what stands for them."""
    if isinstance(value, dict):
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and value in NOT_FINITE else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def digest(path: Path) -> str:
    """sha256 of a file; of a folder, that of its files' names and digests in order of name."""
    if not path.is_dir():
        with regular(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return identity([(str(file.relative_to(path)), digest(file)) for file in files])
