"""Checkpoints: a safetensors file with a JSON record beside it, written whole or not at all, and never a pickle.

    step-00000128.safetensors   float32 tensors under Hugging Face's GPT-2 names
    step-00000128.json          sizes, step, seed, tokenizer, data position; every tensor's shape and dtype; digests

The record is written last and its digest covers the tensors, so a checkpoint is whole when its record is there too, and
a kill at any moment leaves none that is damaged. One that was damaged later is refused, and so is the half of one.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural.gpt import weights
from neural.gpt.config import ModelConfig
from sim.runs.errors import UserError
from sim.runs.files import regular, replacing, sync
from sim.runs.identity import digest, parsed

if TYPE_CHECKING:
    from neural.text.tokenizer import Tokenizer

Tensors = dict[str, NDArray[Any]]

FORMAT = "cognitive-reserve checkpoint 1"
TOKENIZER = "tokenizer.json"
PICKLES = (b"PK\x03\x04", b"\x80")
"""How files of torch.save begin, zipped or not: they can run code when read."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model at one step of its training. parameters are float32 numpy arrays by GPT-2's names."""

    path: Path
    parameters: Tensors
    model: ModelConfig
    step: int
    seed: int
    languages: str
    """Shares it was trained on, as given to --languages."""
    tokens: Mapping[str, int]
    """Tokens of each language seen so far."""
    fingerprint: str
    """sha256 of its tokenizer."""
    run: str
    """Identity of the run that made it."""

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer of its run. Raises UserError if it is missing or another."""
        from neural.text import tokenizer

        loaded = tokenizer.load(self.path.parents[1] / TOKENIZER)
        if loaded.fingerprint != self.fingerprint:
            raise UserError(
                f"{self.path.parents[1] / TOKENIZER} is not the tokenizer of {self.path.name}: "
                "put back the one of its run"
            )
        return loaded

    @cached_property
    def beyond(self) -> NDArray[np.int64]:
        """The ids of the model that its tokenizer gives no text: holes in its vocabulary, and those beyond it."""
        tokenizer = self.tokenizer
        above = np.arange(tokenizer.vocabulary, self.model.vocabulary)
        return np.concatenate([tokenizer.holes, above])


def save(
    path: Path,
    parameters: Mapping[str, NDArray[Any]],
    model: ModelConfig,
    *,
    step: int,
    seed: int,
    languages: str,
    tokens: Mapping[str, int],
    fingerprint: str,
    run: str,
) -> None:
    """Write what `load` reads; the fields are those of Checkpoint. path ends in .safetensors."""
    record = {
        "model": asdict(model),
        "step": step,
        "seed": seed,
        "languages": languages,
        "tokens": dict(tokens),
        "fingerprint": fingerprint,
        "run": run,
    }
    write(path, parameters, record)


def load(where: Path | str, step: int | None = None) -> Checkpoint:
    """The checkpoint of a file; of a model's folder, or of a run of one model, the last or that of a step.

    Raises UserError, in one line, if there is none, or if it is damaged or no checkpoint of ours.
    """
    from neural.gpt.model import shapes

    path = chosen(Path(where), step)
    tensors, record = read(path)
    try:
        model = ModelConfig(**record["model"])
        checkpoint = Checkpoint(
            path=path,
            parameters=tensors,
            model=model,
            **{name: record[name] for name in _OWN},
        )
    except (KeyError, TypeError):
        raise UserError(
            f"{path} holds no model, but the state of a run: give a checkpoint"
        ) from None
    wanted = shapes(model)
    if {name: array.shape for name, array in tensors.items()} != wanted or any(
        array.dtype != np.float32 for array in tensors.values()
    ):
        raise UserError(
            f"{path} does not hold the tensors of {model}: it is from another version; train again"
        )
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(
                f"{path}: {name} holds numbers that are not finite: its training diverged; use an earlier checkpoint"
            )
    return checkpoint


_OWN = tuple(
    field.name for field in fields(Checkpoint) if field.name not in ("path", "parameters", "model")
)


def steps(folder: Path | str) -> tuple[int, ...]:
    """The steps whose checkpoints are whole in a model's folder, tensors and record, in order."""
    parts = _parts(Path(folder))
    return tuple(sorted(step for step, suffixes in parts.items() if len(suffixes) == 2))


def halves(folder: Path | str) -> tuple[int, ...]:
    """The steps of which only the tensors or only the record are in a model's folder, in order."""
    parts = _parts(Path(folder))
    return tuple(sorted(step for step, suffixes in parts.items() if len(suffixes) == 1))


def _parts(folder: Path) -> dict[int, set[str]]:
    """The suffixes of the files of each step, of which at least one is there."""
    suffixes: dict[int, set[str]] = {}
    for path in folder.glob("step-*"):
        name = re.fullmatch(r"step-(\d{8}|[1-9]\d{8,})\.(json|safetensors)", path.name)
        if name:
            suffixes.setdefault(int(name[1]), set()).add(name[2])
    return suffixes


def file_of(folder: Path, step: int) -> Path:
    """The file of a step in a model's folder."""
    return folder / f"step-{step:08d}.safetensors"


def models(run: Path | str) -> tuple[Path, ...]:
    """The folders of a run's models, in order of name."""
    return tuple(sorted(path for path in Path(run).glob("*seed-*") if path.is_dir()))


def chosen(where: Path, step: int | None) -> Path:
    """The file that `load` reads: of a folder that of a step, by default the highest of which any file is there.

    Raises UserError for half a checkpoint, and where there is none.
    """
    if where.is_file() or not where.is_dir():
        return where.with_suffix(".safetensors") if where.suffix == ".json" else where
    if not _parts(where):
        below = models(where)
        if not below:
            raise UserError(f"{where} holds no checkpoint: give a folder that neural.train wrote")
        if len(below) > 1:
            raise UserError(
                f"{where} holds several models: give one of {', '.join(map(str, below))}"
            )
        where = below[0]
    whole, broken = steps(where), halves(where)
    they = ", ".join(map(str, whole)) or "none yet"
    if step is None and whole + broken:
        step = max(whole + broken)
    if step in broken:
        path = file_of(where, step)
        here, gone = (path, path.with_suffix(".json"))[:: 1 if path.exists() else -1]
        raise UserError(
            f"{here} is half a checkpoint, without {gone.name}: copy that too, go on training with --resume, "
            f"or choose another by --step (whole: {they})"
        )
    if step not in whole:
        raise UserError(
            f"{where} has no checkpoint{'' if step is None else f' of step {step}'}: it has {they}"
        )
    return file_of(where, step)


def write(path: Path, tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write tensors and their record, in place of those that are there. Raises UserError where they cannot be."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    sidecar = path.with_suffix(".json")
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sidecar.unlink(missing_ok=True)
        with replacing(path) as temporary:
            save_file(contiguous, temporary, metadata={"format": "pt"})
            sha256 = digest(temporary)
        about = {name: _about(array) for name, array in contiguous.items()}
        whole = {"format": FORMAT, **record, "tensors": about, "sha256": sha256}
        with replacing(sidecar) as temporary:
            temporary.write_text(json.dumps(whole | {"digest": _digest(whole)}, indent=1) + "\n")
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot write {path} ({reason}): free space there and add --resume; what was saved before is intact"
        ) from None


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and record of a file, both verified. Raises UserError, in one line, for anything else."""
    from safetensors import SafetensorError, safe_open

    sidecar = path.with_suffix(".json")
    try:
        with regular(path).open("rb") as stream:
            head = stream.read(4)
        if head.startswith(PICKLES):
            if weights.nanogpt(path):
                raise weights.nanogpt_refused(path)
            raise UserError(
                f"{path} is a pickle, which can run code, and was not read: give a .safetensors file"
            )
        if not sidecar.exists():
            raise UserError(
                f"{path} has no {sidecar.name} beside it: give a checkpoint that neural.train wrote"
            )
        record = _record(sidecar)
        if digest(path) != record["sha256"]:
            raise UserError(f"{path} is damaged: {_REMEDY}")
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): give a checkpoint") from None
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file ({error}): {_REMEDY}") from None
    if {name: _about(array) for name, array in tensors.items()} != record["tensors"]:
        raise UserError(f"{path} does not hold what {sidecar.name} says: {_REMEDY}")
    return {name: tensors[name] for name in record["tensors"]}, record


_REMEDY = "copy it again, or use another checkpoint"


def _record(sidecar: Path) -> dict[str, Any]:
    try:
        whole = parsed(regular(sidecar).read_bytes())
        if whole["format"] != FORMAT:
            raise UserError(f"{sidecar} is of format {whole['format']}, not {FORMAT}: {_REMEDY}")
        if whole.pop("digest") != _digest(whole):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{sidecar} is damaged or not of a checkpoint: {_REMEDY}") from None
    return whole


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _about(array: NDArray[Any]) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": str(array.dtype)}
