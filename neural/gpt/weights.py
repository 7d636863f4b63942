"""Tensors out of files of others: safetensors, in one file or several, and state dicts of PyTorch.

Pickles are only read by torch.load(weights_only=True), which runs no code of theirs.
"""

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.runs.errors import UserError
from sim.runs.identity import parsed

Tensors = dict[str, NDArray[np.float32]]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
NANOGPT = "ckpt.pt"
PICKLES = (".pth", ".pt", ".bin")
FLOATS = ("F64", "F32", "F16", "BF16", "float64", "float32", "float16", "bfloat16")
"""Types of tensors that are read, as safetensors and torch call them. Others are codes, which need their scales."""
NANOGPT_KEYS = {"model_args", "iter_num", "best_val_loss"}
"""Of the dictionary that nanoGPT's train.py saves."""


def read(path: Path, ignored: re.Pattern[str]) -> Tensors:
    """All tensors of a file, or of the weights in a folder, as float32, but those whose names `ignored` matches.

    Raises UserError, in one line, for no such file, for a damaged one, for tensors of another type than floating point,
    and for numbers that are not finite.
    """
    tensors = {}
    for name, array in _tensors(path, ignored):
        with np.errstate(over="ignore"):
            tensors[name] = array.astype(np.float32)
        if (bad := np.size(array) - np.count_nonzero(np.isfinite(tensors[name]))) > 0:
            raise UserError(
                f"{path}: {bad} of {np.size(array)} numbers of {name} are not finite in float32: "
                "give weights of a model whose training did not diverge, or copy them again"
            )
    return tensors


def nanogpt(path: Path) -> bool:
    """Whether a file is a checkpoint of nanoGPT's train.py, by the strings in its pickle, which is not unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            opcodes = pickletools.genops(archive.read(name))
            strings = {argument for _, argument, _ in opcodes if isinstance(argument, str)}
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False
    return strings >= NANOGPT_KEYS


def nanogpt_refused(path: Path) -> UserError:
    """What is said of a checkpoint of nanoGPT."""
    return UserError(
        f"{path} is a checkpoint of nanoGPT, a pickle that was not read; its model is not GPT-2's either (exact GELU, "
        "transposed matrices): give a GPT-2 that transformers saved, or train here by python -m neural.train"
    )


def _tensors(path: Path, ignored: re.Pattern[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and tensors of floating point of a file, or of the weights in a folder, looked for as transformers does."""
    if path.is_file():
        yield from (_pickle if path.suffix in PICKLES else _safetensors)(path, ignored)
    elif (path / WEIGHTS).is_file():
        yield from _safetensors(path / WEIGHTS, ignored)
    elif (path / INDEX).is_file():
        for part, names in _index(path / INDEX).items():
            held = dict(_safetensors(path / part, ignored))
            for name in names:
                if name in held:
                    yield name, held[name]
                elif not ignored.fullmatch(name):
                    raise UserError(
                        f"{path / INDEX} says that {part} holds {name}, which it does not: copy both again"
                    )
    elif (path / PICKLE).is_file():
        yield from _pickle(path / PICKLE, ignored)
    elif (path / NANOGPT).is_file() and nanogpt(path / NANOGPT):
        raise nanogpt_refused(path / NANOGPT)
    else:
        raise UserError(f"{path} holds no {WEIGHTS}: give a folder that transformers saved")


def _index(path: Path) -> dict[str, list[str]]:
    """The names of tensors by the file of the same folder that holds them."""
    try:
        placed = parsed(path.read_bytes())["weight_map"]
        if not isinstance(placed, dict) or not placed:
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: copy it again") from None
    names_by_file: dict[str, list[str]] = {}
    for name, part in placed.items():
        plain = isinstance(part, str) and part.isprintable() and part.endswith(".safetensors")
        if not plain or Path(part).name != part:
            raise UserError(
                f"{path} says that {name} is in {str(part)[:80]!r}, which is no name of a file beside it: "
                "put all parts in one folder, and mend the names"
            )
        names_by_file.setdefault(part, []).append(name)
    return dict(sorted(names_by_file.items()))


def _safetensors(path: Path, ignored: re.Pattern[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    import ml_dtypes  # noqa: F401  (by which numpy knows bfloat16)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118
                if ignored.fullmatch(name):
                    continue
                _check(path, name, file.get_slice(name).get_dtype())
                yield name, file.get_tensor(name)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): check the path") from None
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file ({error}): copy it again") from None


def _check(path: Path, name: str, dtype: str) -> None:
    if dtype not in FLOATS:
        raise UserError(
            f"{path}: {name} is of type {dtype}, not of floating point with 16 bits or more: "
            "give the weights before quantisation"
        )


def _pickle(path: Path, ignored: re.Pattern[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    if nanogpt(path):
        raise nanogpt_refused(path)
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} is a pickle, which torch alone reads safely: pip install torch"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        types = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in state.items()}
        tensors = {name: tensor.detach().float().numpy() for name, tensor in state.items()}
        if not all(isinstance(name, str) for name in tensors):
            raise TypeError("names are no strings")
    except Exception as error:  # torch's, pickle's, zip's; and what is no dictionary of tensors
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is no dictionary of tensors, or damaged ({reason}): give what torch.save(model.state_dict()) wrote"
        ) from None
    for name, dtype in types.items():
        if not ignored.fullmatch(name):
            _check(path, name, dtype)
            yield name, tensors[name]
