"""The weights of GPT-2 models of others: files of transformers, models of the hub, state dicts of PyTorch.

Names and orientations of tensors are the same as ours. Pickles are only read by torch.load(weights_only=True), which
runs no code of theirs.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.config import ModelConfig
from sim.runs.errors import UserError

Tensors = dict[str, NDArray[Any]]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
PICKLES = (".pth", ".pt", ".bin")
PREFIXES = ("module.", "transformer.")
"""Of names in files: of PyTorch's data parallelism, and of a GPT-2 with a head."""
MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
"""The causal mask, which old files keep beside the weights."""
HEAD_WIDTH = 64
"""Of all of GPT-2's sizes."""
SAME: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
"""What a config.json may say of the architecture. The first is meant when it says nothing, and said by ours."""


def read(path: Path, heads: int | None = None) -> tuple[Tensors, ModelConfig]:
    """Parameters in float32 and sizes of a folder that transformers saved, or of a file of weights.

    heads is for files without a config.json beside them (default: heads of width 64, as all of GPT-2's). Raises
    UserError, in one line, for what is no GPT-2.
    """
    folder = path if path.is_dir() else path.parent
    tensors = _named(_weights(path))
    about = folder / CONFIG
    if not about.is_file():
        config = _inferred(path, tensors, heads)
    elif heads is not None:
        raise UserError(f"{about} says how many heads there are: leave out --heads")
    else:
        config = _config(about)
    if config.tied:
        tensors.pop("lm_head.weight", None)
    return _checked(path, tensors, config), config


def located(source: str) -> Path:
    """A path that is there, or else the local copy of a model of the hub, fetched if need be."""
    path = Path(source)
    if path.exists():
        return path
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source) or path.suffix in PICKLES:
        raise UserError(f"{source}: no such file or folder: check the path")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{source}: no such file or folder; for models of the hub: pip install huggingface_hub"
        ) from None
    wanted = [CONFIG, WEIGHTS, INDEX, "model-*-of-*.safetensors", *TOKENIZER]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except Exception as error:  # the package has many, of its own and of its transports
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source} is no path here, and cannot be had from the hub ({reason}): check the name and the connection"
        ) from None


def _weights(path: Path) -> Tensors:
    """All tensors of a file, or of the weights in a folder, as they are."""
    if path.is_file():
        return _pickle(path) if path.suffix in PICKLES else _safetensors(path)
    if (path / INDEX).is_file():
        try:
            parts = set(json.loads((path / INDEX).read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path / INDEX} is damaged: copy it again") from None
        return {name: a for part in sorted(parts) for name, a in _safetensors(path / part).items()}
    if (path / WEIGHTS).is_file():
        return _safetensors(path / WEIGHTS)
    if (path / PICKLE).is_file():
        return _pickle(path / PICKLE)
    raise UserError(f"{path} holds no {WEIGHTS}: give a folder that transformers saved")


def _safetensors(path: Path) -> Tensors:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): check the path") from None
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file ({error}): copy it again") from None


def _pickle(path: Path) -> Tensors:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} is a pickle, which torch alone reads safely: pip install torch"
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.float().numpy() for name, tensor in found.items()}
    except Exception as error:  # torch's, pickle's, zip's; and what is no dictionary of tensors
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is no dictionary of tensors, or damaged ({reason}): give what torch.save(model.state_dict()) wrote"
        ) from None


def _named(tensors: Tensors) -> Tensors:
    """By our names: without prefixes, and without masks."""
    found = {}
    for name, array in tensors.items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if not MASKS.fullmatch(name):
            found[name] = array
    return found


def _config(path: Path) -> ModelConfig:
    """The sizes that a config.json of transformers says."""
    try:
        about = json.loads(path.read_bytes())
        for name, meanings in SAME.items():
            if about.get(name, meanings[0]) not in meanings:
                raise UserError(
                    f"{path}: {name} = {about[name]}, not {meanings[0]}: only GPT-2 can be imported"
                )
        config = ModelConfig(
            layers=about["n_layer"],
            width=about["n_embd"],
            heads=about["n_head"],
            context=about["n_positions"],
            vocabulary=about["vocab_size"],
            tied=about.get("tie_word_embeddings", True),
        )
        config.check()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no config.json of a GPT-2 ({error!r}): copy it again") from None
    return config


def _inferred(path: Path, tensors: Tensors, heads: int | None) -> ModelConfig:
    """The sizes of the tensors themselves."""
    if not {"wte.weight", "wpe.weight"} <= tensors.keys():
        raise UserError(f"{path} holds no GPT-2: it has no wte.weight or no wpe.weight")
    embedding, head = tensors["wte.weight"], tensors.get("lm_head.weight")
    vocabulary, width = embedding.shape
    blocks = {name.split(".")[1] for name in tensors if name.startswith("h.")}
    if heads is None:
        if width % HEAD_WIDTH:
            raise UserError(
                f"{path} has a width of {width} and no {CONFIG} beside it: say how many --heads"
            )
        heads = width // HEAD_WIDTH
    config = ModelConfig(
        layers=len(blocks),
        width=width,
        heads=heads,
        context=len(tensors["wpe.weight"]),
        vocabulary=vocabulary,
        tied=head is None or np.array_equal(head, embedding),
    )
    config.check()
    return config


def _checked(path: Path, tensors: Tensors, config: ModelConfig) -> Tensors:
    """Those of a model of these sizes, in float32. Raises UserError if others are there, or some are missing."""
    from neural.model import shapes

    wanted = shapes(config)
    have = {name: array.shape for name, array in tensors.items()}
    for name in (*wanted, *have):
        if have.get(name) != wanted.get(name):
            raise UserError(
                f"{path}: {name} is {have.get(name, 'missing')}, and should be {wanted.get(name, 'missing')} "
                f"for {config}: give the weights of a GPT-2 with its own {CONFIG}"
            )
    return {name: tensors[name].astype(np.float32) for name in wanted}
