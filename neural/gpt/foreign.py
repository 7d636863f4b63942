"""GPT-2 models of others: files of transformers, models of the hub, state dicts of PyTorch.

Names and orientations of tensors are the same as ours, but for prefixes.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.gpt import weights
from neural.gpt.config import ModelConfig
from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.identity import parsed

Array = NDArray[np.float32]
Tensors = dict[str, Array]

CONFIG = "config.json"
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
PREFIXES = ("_orig_mod.", "module.", "transformer.")
"""Of names in files: of compiled models, of PyTorch's data parallelism, and of a GPT-2 with a head."""
MASKS = re.compile(r"(.*\.)?h\.\d+\.attn\.(bias|masked_bias)")
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
SIZES = ("n_layer", "n_embd", "n_head", "n_positions", "vocab_size")
"""Whole numbers of a config.json, in the order of ModelConfig."""


def read(path: Path, heads: int | None = None) -> tuple[Tensors, ModelConfig]:
    """Parameters in float32 and sizes of a folder that transformers saved, or of a file of weights.

    heads is for files without a config.json beside them (default: heads of width 64, as all of GPT-2's). Raises
    UserError, in one line, for what is no GPT-2.
    """
    folder = path if path.is_dir() else path.parent
    tensors = _named(path, weights.read(path, MASKS))
    about = folder / CONFIG
    if not about.exists():
        config = _inferred(path, tensors, heads)
    elif heads is not None:
        raise UserError(f"{about} says how many heads there are: leave out --heads")
    else:
        config = _config(about)
    if config.tied:
        _check_tied(path, tensors.pop("lm_head.weight", None), tensors.get("wte.weight"))
    return _checked(path, tensors, config), config


def located(source: str) -> Path:
    """A path that is there, or else the local copy of a model of the hub, fetched if need be."""
    path = Path(source)
    if path.exists():
        return path
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source) or path.suffix in weights.PICKLES:
        raise UserError(f"{source}: no such file or folder: check the path")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{source}: no such file or folder; for models of the hub: pip install huggingface_hub"
        ) from None
    wanted = [CONFIG, weights.WEIGHTS, weights.INDEX, "model-*-of-*.safetensors", *TOKENIZER]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except Exception as error:  # the package has many, of its own and of its transports
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source} is no path here, and cannot be had from the hub ({reason}): check the name and the connection"
        ) from None


def _named(path: Path, tensors: Tensors) -> Tensors:
    """By our names, which have no prefix. Raises UserError where two are left of one name."""
    named: Tensors = {}
    for written, array in tensors.items():
        name = written
        while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), ""):
            name = name.removeprefix(prefix)
        if name in named and not np.array_equal(named[name], array):
            raise UserError(
                f"{path} holds two tensors for {name}, of which one is {written}: leave out what is not of the model"
            )
        named[name] = array
    return named


def _check_tied(path: Path, head: Array | None, embedding: Array | None) -> None:
    """Raise UserError for an output matrix that is not the embedding, or stands alone for it."""
    if head is None:
        return
    if embedding is None:
        raise UserError(
            f"{path} holds lm_head.weight and no wte.weight, the embedding that it is tied to: give all weights"
        )
    if not np.array_equal(head, embedding):
        raise UserError(
            f"{path}: lm_head.weight is not wte.weight, and the model is tied: give the weights of one model, "
            f'or say "tie_word_embeddings": false in its {CONFIG}'
        )


def _config(path: Path) -> ModelConfig:
    """The sizes that a config.json of transformers says."""
    try:
        about = parsed(regular(path).read_bytes())
        for name, meanings in SAME.items():
            value = about.get(name, meanings[0])
            if (type(value), value) not in [(type(meaning), meaning) for meaning in meanings]:
                raise UserError(
                    f"{path}: {name} = {_shown(value)}, not {meanings[0]}: only GPT-2 can be imported"
                )
        for name in SIZES:
            if type(about[name]) is not int:
                raise UserError(f"{path}: {name} = {_shown(about[name])}: give a whole number >= 1")
        inner = about.get("n_inner")
        if inner is not None and (type(inner), inner) != (int, 4 * about["n_embd"]):
            raise UserError(
                f"{path}: n_inner = {_shown(inner)}, not 4 times n_embd: only GPT-2 can be imported"
            )
        tied = about.get("tie_word_embeddings")
        if tied is not None and type(tied) is not bool:
            raise UserError(
                f"{path}: tie_word_embeddings = {_shown(tied)}: give true, false or, as of all GPT-2, null"
            )
        layers, width, heads, context, vocabulary = (about[name] for name in SIZES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no config.json of a GPT-2 ({error!r}): copy it again") from None
    config = ModelConfig(layers, width, heads, context, vocabulary, tied is not False)
    try:
        config.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return config


def _shown(value: Any) -> str:
    """A value of a config.json in a line, as JSON has it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.split())[:60]


def _inferred(path: Path, tensors: Tensors, heads: int | None) -> ModelConfig:
    """The sizes of the tensors themselves."""
    if not {"wte.weight", "wpe.weight"} <= tensors.keys():
        raise UserError(f"{path} holds no GPT-2: it has no wte.weight or no wpe.weight")
    embedding, head = tensors["wte.weight"], tensors.get("lm_head.weight")
    if embedding.ndim != 2 or tensors["wpe.weight"].ndim != 2:
        raise UserError(f"{path} holds no GPT-2: wte.weight and wpe.weight are no matrices")
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
    from neural.gpt.model import shapes

    if config.layers > len(tensors):
        raise UserError(
            f"{path} holds {len(tensors)} tensors, not those of {config.layers} layers: give the weights of a GPT-2 "
            f"with its own {CONFIG}"
        )
    wanted = shapes(config)
    have = {name: array.shape for name, array in tensors.items()}
    for name in (*wanted, *have):
        if have.get(name) != wanted.get(name):
            raise UserError(
                f"{path}: {name} is {have.get(name, 'missing')}, and should be {wanted.get(name, 'missing')} "
                f"for {config}: give the weights of a GPT-2 with its own {CONFIG}"
            )
    return {name: tensors[name] for name in wanted}
