"""GPT-2 models of Hugging Face and PyTorch read into runs of ours, and ours written so that transformers loads them.

    python -m neural.hf import gpt2 --out runs/gpt2          of the hub, or a folder that transformers saved
    python -m neural.hf import bilingual.pth --tokenizer token_gpt2 --out runs/bilingual
    python -m neural.hf export runs/mine --out exported      GPT2LMHeadModel.from_pretrained("exported")

Tensors are the same on both sides, but for the prefix of their names.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neural.gpt.config import ModelConfig
from neural.gpt.foreign import CONFIG, SAME, TOKENIZER, located, read
from neural.gpt.weights import WEIGHTS
from sim.runs.command import Parser, ended
from sim.runs.errors import UserError
from sim.runs.files import replacing
from sim.runs.options import Count, CountOrNone, whole
from theory.command.ending import temporary

if TYPE_CHECKING:
    from neural.gpt.checkpoint import Checkpoint
    from neural.text.tokenizer import Tokenizer


def tokenizer_of(path: Path) -> "Tokenizer":
    """Of a tokenizer.json, or of a folder with one or with vocab.json and merges.txt. Raises UserError for none."""
    from neural.text import subwords, tokenizer

    if path.is_file() and path.name.endswith(".json"):
        return tokenizer.load(path)
    folder = path if path.is_dir() else path.parent
    whole, vocabulary, merges = (folder / name for name in TOKENIZER)
    if whole.is_file():
        return tokenizer.load(whole)
    if not (vocabulary.is_file() and merges.is_file()):
        raise UserError(
            f"{folder} holds no tokenizer: give --tokenizer a folder with {whole.name}, "
            f"or with {vocabulary.name} and {merges.name}; or bytes, where its ids are those"
        )
    from tokenizers.implementations import ByteLevelBPETokenizer

    try:
        inner = ByteLevelBPETokenizer(str(vocabulary), str(merges))
    except Exception as error:  # the package raises plain Exception
        raise UserError(f"{vocabulary} and {merges.name} are no tokenizer ({error})") from None
    inner.add_special_tokens([subwords.END_OF_TEXT])
    return subwords.SubwordTokenizer(inner._tokenizer)


def import_model(
    source: str, out: Path, *, heads: int | None = None, tokenizer: str | None = None
) -> Path:
    """Make a run of one checkpoint, of step 0, out of what `read` reads or the hub has; its path.

    out must be new or empty.
    """
    from neural.gpt import checkpoint
    from neural.text import tokenizer as tokenizers
    from sim.runs.identity import digest

    with _whole(out) as folder:
        path = located(source)
        if tokenizer == "bytes":
            model_tokenizer: Tokenizer = tokenizers.ByteTokenizer()
        else:
            model_tokenizer = tokenizer_of(path if tokenizer is None else located(tokenizer))
        parameters, config = read(path, heads)
        if model_tokenizer.vocabulary > config.vocabulary:
            raise UserError(
                f"the tokenizer has {model_tokenizer.vocabulary} ids, the model {config.vocabulary}: "
                "give --tokenizer the model's"
            )
        file = checkpoint.file_of(Path("seed-0"), 0)
        tokenizers.save(model_tokenizer, folder / checkpoint.TOKENIZER)
        checkpoint.save(
            folder / file,
            parameters,
            config,
            step=0,
            seed=0,
            languages="",
            tokens={},
            fingerprint=model_tokenizer.fingerprint,
            run=digest(path)[:16],
        )
    return out / file


def export_model(model: "Checkpoint", out: Path) -> None:
    """Write a checkpoint and its tokenizer as transformers saves them.

    out must be new or empty. Bytes are written as byte pairs without merges, which have the same ids.
    """
    from safetensors.numpy import save_file

    from neural.text.subwords import END_OF_TEXT
    from neural.text.tokenizer import exported

    tokenizer = model.tokenizer
    tensors = {
        name if name == "lm_head.weight" else f"transformer.{name}": array
        for name, array in model.parameters.items()
    }
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    with _whole(out) as folder:
        with replacing(folder / WEIGHTS) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})
        _write(folder / CONFIG, described(model.model, tokenizer.end_of_text))
        (folder / TOKENIZER[0]).write_text(exported(tokenizer), encoding="utf-8")
        about = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
        _write(folder / "tokenizer_config.json", about | {"model_max_length": model.model.context})


def described(config: ModelConfig, end_of_text: int) -> dict[str, Any]:
    """The config.json of a model."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        **{name: meanings[0] for name, meanings in SAME.items()},
        "n_layer": config.layers,
        "n_embd": config.width,
        "n_head": config.heads,
        "n_positions": config.context,
        "vocab_size": config.vocabulary,
        "tie_word_embeddings": config.tied,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        **dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0),
        "dtype": "float32",
    }


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when the block ends; nothing is left of it if the block fails."""
    if out.exists() and not (out.is_dir() and next(out.iterdir(), None) is None):
        raise UserError(f"{out} is there already: give --out a new folder")
    from safetensors import SafetensorError

    try:
        with temporary(out.with_name(f".{out.name}.{uuid4().hex}.tmp")) as folder:
            folder.mkdir(parents=True)
            yield folder
            folder.replace(out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot write {out} ({reason}): free space there, or give --out another folder"
        ) from None


def parser() -> Parser:
    """Of the command line."""
    made = Parser(
        prog="python -m neural.hf", description="GPT-2 to and from Hugging Face's transformers."
    )
    commands = made.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="make a run out of a model of transformers")
    importing.add_argument(
        "source", metavar="SOURCE", help="folder, .safetensors, .pth of a state dict, or hub name"
    )
    importing.add_argument("--out", type=Path, required=True, help="folder of the run")
    importing.add_argument(
        "--tokenizer", help="its folder or tokenizer.json, or bytes (default: SOURCE's)"
    )
    importing.add_argument(
        "--heads", type=whole(Count), help="of a model whose config.json is missing"
    )
    exporting = commands.add_parser("export", help="write a model for transformers")
    exporting.add_argument("run", metavar="RUN", help="a run of one model, a folder, a checkpoint")
    exporting.add_argument("--out", type=Path, required=True, help="folder for transformers")
    exporting.add_argument(
        "--step", type=whole(CountOrNone), help="of the checkpoint (default: the last)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return ended("neural.hf", partial(_main, parser().parse_args(arguments)))


def _main(arguments: argparse.Namespace) -> int:
    if arguments.command == "import":
        print(
            import_model(
                arguments.source,
                arguments.out,
                heads=arguments.heads,
                tokenizer=arguments.tokenizer,
            )
        )
        return 0
    from neural.gpt.checkpoint import load

    export_model(load(arguments.run, arguments.step), arguments.out)
    print(arguments.out)
    return 0
