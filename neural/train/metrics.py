"""The numbers of a run while it trains: JSON lines that survive a kill, and TensorBoard or Weights & Biases if wished.

One line a model and update, {"kind": "train", "step", "model", "loss", ...}: the loss is that of the update's batch,
before the update. One line a model, evaluation and language, {"kind": "valid", ..., "language", "loss", ...}.
Losses are in nats a token. `pandas.read_json(path, lines=True)` reads the file.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.identity import parsed

Line = Mapping[str, Any]


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: Line) -> None: ...

    def sync(self) -> None:
        """Put all lines so far where a kill does not reach them."""
        ...

    def close(self) -> None: ...


class JsonLines:
    """A file of one JSON object a line. Of a file that is there, lines of steps beyond `after` are dropped."""

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        with _usable(path):
            self._stream = regular(path).open("a+", encoding="utf-8", buffering=1)
            self._stream.truncate(_length(path, after))

    def write(self, line: Line) -> None:
        with _usable(self.path):
            self._stream.write(json.dumps(line) + "\n")

    def sync(self) -> None:
        with _usable(self.path):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def _length(path: Path, after: int) -> int:
    """Bytes of the lines up to a step. They are in order of step; a kill may have left half of the last."""
    length = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if parsed(line)["step"] > after or not line.endswith(b"\n"):
                break
        except (ValueError, KeyError, TypeError):
            break
        length += len(line)
    return length


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): free space there and add --resume"
        ) from None


class TensorBoard:
    """Event files in a folder, by tensorboardX. Nothing is written before the first line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._package = _package("tensorboardX", "--tensorboard")

    @cached_property
    def _writer(self) -> Any:
        return self._package.SummaryWriter(str(self._folder))

    def write(self, line: Line) -> None:
        for name, value in _scalars(line).items():
            self._writer.add_scalar(name, value, line["step"])

    def sync(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()


class WeightsAndBiases:
    """A project of Weights & Biases, which takes up the run again when it is resumed."""

    def __init__(self, project: str, identity: str, config: Mapping[str, Any]) -> None:
        self._options = {"project": project, "id": identity, "config": dict(config)}
        self._package = _package("wandb", "--wandb")

    @cached_property
    def _run(self) -> Any:
        return self._package.init(**self._options, resume="allow")

    def write(self, line: Line) -> None:
        self._run.log(_scalars(line), step=line["step"])

    def sync(self) -> None:
        """Nothing: it keeps its own."""

    def close(self) -> None:
        if "_run" in self.__dict__:
            self._run.finish()


def _package(name: str, option: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UserError(f"{option} needs a package: pip install {name}, or leave it out") from None


def _scalars(line: Line) -> dict[str, float]:
    """Numbers of a line by name: model/train/loss, model/valid/language/loss."""
    where = [line["model"], line["kind"], *([line["language"]] if "language" in line else [])]
    return {
        "/".join([*where, name]): value
        for name, value in line.items()
        if name != "step" and isinstance(value, int | float)
    }
