"""python -m neural.evaluate: perplexity and bits per byte of trained models, by language, with intervals."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sim.runs.command import command
from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.options import Count, CountOrNone, Options, Seed

if TYPE_CHECKING:
    from neural.gpt.checkpoint import Checkpoint
    from neural.measures.scoring import Sliding
    from neural.text.tokens import Tokens

NOTICED = 1e-3
"""Nats a token by which ids that are none of the tokenizer's have to matter before the loss with them is printed."""
MEASURES = ("nats_per_token", "perplexity", "bits_per_byte")


@dataclass(frozen=True)
class Arguments(Options):
    """Score the models of a run on text, by sliding windows. Prints a table; intervals hold 95 % of resampled texts."""

    run: str
    """What neural.train or neural.hf wrote: a run, a model's folder in it, or a checkpoint."""
    on: str = "valid"
    """valid, test or train: that part of a corpus; or a text file."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them (default: those of the run)."""
    languages: tuple[str, ...] | None = None
    """Those to score on (default: all of the run, or of --corpus)."""
    data_dir: Path | None = None
    """Folder with the corpora known by name."""
    step: CountOrNone | None = None
    """Of the checkpoint (default: the last)."""
    window: Count | None = None
    """Tokens read at once (default: the model's context)."""
    stride: Count | None = None
    """Tokens between the starts of two windows (default: half a window, or the length of --span)."""
    span: tuple[CountOrNone, CountOrNone] | None = None
    """Score positions START to END of every window only (default: each token once, with the most context)."""
    batch: Count = 8
    """Windows computed at once."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of activations."""
    seed: Seed = 0
    """Of the intervals."""
    json: bool = False
    """Print a line of JSON for each model and language."""


def rows(arguments: Arguments) -> Iterator[dict[str, Any]]:
    """A model and a language each, with every measure and its bounds. Raises UserError for what cannot be scored."""
    from neural.gpt.memory import require_running
    from neural.measures.scoring import Sliding

    if arguments.seed < 0:
        raise UserError(f"--seed {arguments.seed}: give a whole number >= 0")
    texts: dict[str, Tokens] = {}
    for model in checkpoints(Path(arguments.run), arguments.step):
        window = model.model.context if arguments.window is None else arguments.window
        sliding = Sliding(window, _stride(arguments, window), arguments.span)
        sliding.check(model.model.context)
        require_running(model.model, arguments.batch, window)
        texts = texts or read(arguments, model)
        for language, text in texts.items():
            yield _row(arguments, model, language, text, sliding)


def _row(
    arguments: Arguments, model: "Checkpoint", language: str, text: "Tokens", sliding: "Sliding"
) -> dict[str, Any]:
    """Measures are None where they cannot be given; notes say why, and what was left out."""
    import numpy as np

    from neural.gpt.config import Compute
    from neural.measures.scoring import pieces, score

    beyond = model.beyond
    if sliding.span is not None and text.bytes_of is None and text.altered is None:
        alone = "the tokenizer's ids stand for other bytes in other places; leave out --span"
        text = replace(text, altered=alone)
    scores = score(
        model.parameters,
        model.model,
        pieces(text),
        sliding,
        batch=arguments.batch,
        compute=Compute(arguments.dtype),
        progress=f"{model.path.parent.name} {language}",
        without=beyond if len(beyond) else None,
    )
    row: dict[str, Any] = {
        "model": model.path.parent.name,
        "step": model.step,
        "language": language,
        "documents": len(text.ends),
        "tokens": int(scores.scored.sum()),
        "bytes": text.bytes,
    }
    estimates = scores.estimates(seed=arguments.seed)
    for name, estimate in estimates.items():
        for column, values in zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True):
            value = float(np.ravel(values)[0])
            row[column] = None if math.isnan(value) else value
    notes = [] if text.altered is None else [f"no bits per byte: {text.altered}"]
    if len(beyond):
        note = f"{len(beyond)} ids that are none of the tokenizer's are left out of the softmax"
        without, whole = estimates["nats_per_token"].value
        if whole - without > NOTICED:
            row["nats_per_token_of_all_ids"] = float(whole)
            note += f"; with them {whole:.4f} nats a token"
        notes.append(note)
    return row | {"notes": notes}


def checkpoints(where: Path, step: int | None) -> "Iterator[Checkpoint]":
    """Of every model of a run, or of the model given: the last, or that of a step."""
    from neural.gpt import checkpoint

    several = () if checkpoint.steps(where) else checkpoint.models(where)
    for path in [checkpoint.chosen(path, step) for path in several or (where,)]:
        yield checkpoint.load(path)


def read(arguments: Arguments, model: "Checkpoint") -> "dict[str, Tokens]":
    """The text to score on, by language. Raises UserError where there is none."""
    from neural.text.documents import SPLITS

    if arguments.on in SPLITS:
        return _split(arguments, model)
    path = Path(arguments.on)
    if not regular(path).is_file():
        raise UserError(f"--on {path}: no such file: give {', '.join(SPLITS)} or a text file")
    if arguments.corpus or arguments.languages:
        raise UserError(f"--on {path} is one text: leave out --corpus and --languages")
    from neural.text import files as text
    from neural.text.tokens import encoded

    return {path.name: encoded([text.read(path)], model.tokenizer)}


def _split(arguments: Arguments, model: "Checkpoint") -> "dict[str, Tokens]":
    """Part of the corpus asked for, or of the run's, which has to be the text that it was trained on."""
    from neural.text import corpus
    from neural.text.mixture import parse_schedule
    from neural.text.tokens import encoded
    from neural.train.run import Run

    languages = arguments.languages
    if arguments.corpus is not None:
        loaded_corpus = corpus.load(arguments.corpus, languages, data_dir=arguments.data_dir)
    else:
        record = Run(model.path.parents[1]).record
        if not record:
            raise UserError(
                f"{model.path.parents[1]} has no text of its own: add --corpus, or --on FILE"
            )
        mixtures = [parse_schedule(mixture) for mixture in record["config"]["languages"]]
        trained = dict.fromkeys(name for mixture in mixtures for name in mixture.languages)
        loaded_corpus = corpus.load(record["corpus"], tuple(trained), data_dir=arguments.data_dir)
        if record["text"] != f"{loaded_corpus.fingerprint}-{model.fingerprint}":
            raise UserError(
                f"{', '.join(record['corpus'])} is no longer the text that {model.path.parents[1]} was trained on: "
                "put that back, or choose text by --corpus"
            )
    tokens = {}
    for language in languages or loaded_corpus.languages:
        documents = loaded_corpus.documents(language, arguments.on)
        if not documents:
            raise UserError(
                f"{language} has no {arguments.on} text: leave it out of --languages, or choose another --on"
            )
        tokens[language] = encoded([item.text for item in documents], model.tokenizer)
    return tokens


def _stride(arguments: Arguments, window: int) -> int:
    if arguments.stride is not None:
        return arguments.stride
    if arguments.span is not None:
        return max(arguments.span[1] - arguments.span[0], 1)
    return max(window // 2, 1)


def line(row: dict[str, Any]) -> str:
    """A row of the table, with its notes below."""
    cells = [f"{row['model']:24} {row['step']:8} {row['language']:12} {row['tokens']:10}"]
    for name in MEASURES:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        bounds = "" if low is None else f"[{low:.4g}, {high:.4g}]"
        value = f"{'-':>12}" if row[name] is None else f"{row[name]:12.4f}"
        cells.append(f"{value} {bounds:20}")
    notes = (f"  {row['model']} {row['language']}: {note}" for note in row["notes"])
    return "\n".join([" ".join(cells).rstrip(), *notes])


def _or_none(value: Any) -> Any:
    """What JSON has for a value: none for numbers that are not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


HEAD = " ".join(
    [
        f"{'model':24} {'step':>8} {'language':12} {'tokens':>10}",
        *(f"{name.replace('_per_', '/'):>12} {'':20}" for name in MEASURES),
    ]
).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command("neural.evaluate", Arguments, _main, arguments, positional=True)


def _main(arguments: Arguments) -> int:
    for number, row in enumerate(rows(arguments)):
        if arguments.json:
            print(json.dumps({name: _or_none(value) for name, value in row.items()}))
        else:
            print(*([] if number else [HEAD]), line(row), sep="\n")
    return 0
