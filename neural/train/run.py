"""The folder of a training run: one at a time writes it, and a kill at any moment leaves it fit for --resume.

config.json          configuration, its identity, commit, versions, machine
tokenizer.json       what the models' ids mean
metrics.jsonl        losses and speed, as neural.train.metrics says
seed-0/step-….*      checkpoints of a model, as neural.gpt.checkpoint says; one folder a model
state/step-….*       parameters and moments to go on from; gone when the run is done
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.gpt import checkpoint
from neural.text import tokenizer
from neural.train.data import Data
from neural.train.recipe import Member, TrainConfig
from sim.runs.errors import UserError
from sim.runs.files import LocalFiles, regular
from sim.runs.identity import canonical, identity, parsed
from sim.runs.lock import LOCK, held
from sim.runs.provenance import provenance

CONFIG = "config.json"
METRICS = "metrics.jsonl"
STATE = "state"


class Run:
    """One run's folder. `open` it to write, or read an existing one with `Run.existing`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @classmethod
    def existing(cls, folder: Path | str) -> "Run":
        """A run to read. Raises UserError if the folder is not one."""
        run = cls(folder)
        if not run.record:
            raise UserError(
                f"{folder} is not a run: make one with `python -m neural.train --out {folder}`"
            )
        return run

    @property
    def record(self) -> dict[str, Any]:
        """What was written when the run began; empty if nothing was."""
        try:
            record = parsed(regular(self.folder / CONFIG).read_bytes())
            return record if "identity" in record and "text" in record else {}
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return {}

    @property
    def metrics(self) -> Path:
        return self.folder / METRICS

    @property
    def state(self) -> Path:
        """The folder of states."""
        return self.folder / STATE

    def tokenizer(self, config: TrainConfig) -> tokenizer.Tokenizer | None:
        """The tokenizer that the run learnt, if it did and the configuration asks for the same."""
        if config.tokenizer != "bpe" or self.record.get("tokenizer") != "bpe":
            return None
        return tokenizer.load(self.folder / checkpoint.TOKENIZER)

    def file(self, member: Member, step: int) -> Path:
        """The checkpoint of a model at a step."""
        return checkpoint.file_of(self.folder / member.name, step)

    def halves(self, config: TrainConfig) -> tuple[Path, ...]:
        """The states and models of which only the tensors or only the record are there, as files of tensors."""
        folders = (self.state, *(self.folder / member.name for member in config.members))
        return tuple(
            checkpoint.file_of(folder, step)
            for folder in folders
            for step in checkpoint.halves(folder)
        )

    def is_done(self, config: TrainConfig) -> bool:
        """Whether the last checkpoint of every model is written."""
        return all(
            config.steps in checkpoint.steps(self.folder / member.name) for member in config.members
        )

    def _admit(self, config: TrainConfig, data: Data, resume: bool) -> None:
        """Raise UserError unless the folder is empty, or this run's and either done or to be resumed."""
        record = self.record
        if not record:
            if any(not _is_ours(path.name) for path in self.folder.iterdir()):
                raise UserError(f"{self.folder} holds other files: give --out a new folder")
            return
        if record["identity"] != identity(config):
            raise UserError(
                f"{self.folder} holds another run, with {_difference(record['config'], canonical(config))}: "
                "give the same options, or --out a new folder"
            )
        if record["text"] != data.fingerprint:
            raise UserError(
                f"{self.folder} holds a run on other text or with another tokenizer: "
                "give the same --corpus and --tokenizer, or --out a new folder"
            )
        self._check_tokenizer(data)
        if not resume and not self.is_done(config):
            raise UserError(
                f"{self.folder} holds an unfinished run: add --resume, or give --out a new folder"
            )

    def _check_tokenizer(self, data: Data) -> None:
        """Raise UserError where the run's tokenizer is gone or another: its checkpoints could not be read."""
        path = self.folder / checkpoint.TOKENIZER
        remedy = "put back the one of this run, or give --out a new folder"
        if not path.is_file():
            raise UserError(f"{path} is gone: {remedy}")
        if tokenizer.load(path).fingerprint != data.tokenizer.fingerprint:
            raise UserError(f"{path} is another tokenizer than the run began with: {remedy}")

    @contextmanager
    def written(self, config: TrainConfig, data: Data, *, resume: bool) -> Iterator[None]:
        """Keep others out for the block, with the run begun and the folder clear of what a kill left half-written.

        Raises UserError if the folder is in use, or holds something else or, without resume, an unfinished run.
        """
        if self.folder.is_file():
            raise UserError(f"{self.folder} is a file: give --out a folder")
        with ExitStack() as stack:
            with _usable(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder))
                self._admit(config, data, resume)
                for path in self.folder.rglob(".*.tmp"):
                    path.unlink()
                if not self.record:
                    self._begin(config, data)
                elif self.is_done(config):
                    self.forget_states()
            yield

    def _begin(self, config: TrainConfig, data: Data) -> None:
        tokenizer.save(data.tokenizer, self.folder / checkpoint.TOKENIZER)
        record = provenance(
            config,
            text=data.fingerprint,
            corpus=list(config.corpus),
            tokenizer=config.tokenizer,
            models=[member.name for member in config.members],
        )
        LocalFiles(self.folder).replace(CONFIG, (json.dumps(record, indent=2) + "\n").encode())

    def save_state(
        self, config: TrainConfig, data: Data, step: int, tensors: Mapping[str, NDArray[Any]]
    ) -> None:
        """Write a state, then delete those before it."""
        record = {"step": step, "run": identity(config), "text": data.fingerprint}
        checkpoint.write(checkpoint.file_of(self.state, step), tensors, record)
        self._delete_states(but=step)

    def load_state(self, config: TrainConfig) -> tuple[int, Mapping[str, NDArray[np.generic]]]:
        """The last whole state and its step. Raises UserError if it is damaged or of another run."""
        step = checkpoint.steps(self.state)[-1]
        path = checkpoint.file_of(self.state, step)
        tensors, record = checkpoint.read(path)
        if record["run"] != identity(config) or record["step"] != step:
            raise UserError(f"{path} is of another run: delete it, and the run goes on without it")
        return step, tensors

    def forget_states(self) -> None:
        """Delete all states: the run is done."""
        self._delete_states()

    def _delete_states(self, but: int | None = None) -> None:
        """A state's record goes before its tensors; what a kill left of one goes too."""
        kept = None if but is None else checkpoint.file_of(self.state, but).stem
        with _usable(self.folder):
            for path in sorted(self.state.glob("step-*")):
                if path.stem != kept:
                    path.unlink()


def _is_ours(name: str) -> bool:
    """Whether a file can be there before the configuration is."""
    begun = (CONFIG, checkpoint.TOKENIZER)
    return name in (LOCK, *begun) or any(name.startswith(f".{part}.") for part in begun)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}): free space there, or give --out another folder"
        ) from None


def _difference(recorded: Any, other: Any, where: str = "") -> str:
    """The first place where two canonical configurations differ."""
    if isinstance(recorded, dict) and isinstance(other, dict):
        for name in sorted(recorded.keys() | other.keys()):
            if recorded.get(name) != other.get(name):
                inside = f"{where}.{name}" if where else name
                return _difference(recorded.get(name), other.get(name), inside)
    return f"{where} = {recorded}, not {other}"
