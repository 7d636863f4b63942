"""python -m neural.train: train GPTs on several languages, from text to checkpoints, on one device or many."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural.gpt.memory import restart_with_huge_pages
from sim.runs.command import command
from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.identity import parsed
from sim.runs.options import Count, CountOrNone, Options, Steps, Tokens
from theory.command.ending import can_resume, grace

if TYPE_CHECKING:
    from neural.gpt.config import Compute
    from neural.train.metrics import Sink
    from neural.train.recipe import TrainConfig
    from neural.train.run import Run


@dataclass(frozen=True)
class Arguments(Options):
    """Train a GPT on one or several languages. Exit code 0 when it is trained, 2 on bad input.

    Presets: tiny (1 million parameters, about a minute on two cores), mini, small, gpt2, gpt2-medium, gpt2-large,
    gpt2-xl.
    """

    out: str
    """Folder of the run: configuration, tokenizer, metrics and checkpoints."""
    preset: str = "tiny"
    """Size of the model; the options below change it."""
    corpus: tuple[str, ...] = ("synthetic",)
    """Text: synthetic, names of `python -m neural.corpus list`, files, folders, LANGUAGE=PATH, hf:NAME."""
    languages: tuple[str, ...] = ("s1,s2",)
    """Shares, en:0.5,el:0.5, in stages of equal length if divided by |. Several are several models."""
    resume: bool = False
    """Go on with an unfinished run in that folder."""
    tokenizer: str = "bpe"
    """bytes, bpe (learnt from the corpus), or the path of a tokenizer.json."""
    vocabulary: Count | None = None
    """Ids of the model; of bpe, how many are learnt."""
    layers: Count | None = None
    width: Count | None = None
    heads: Count | None = None
    context: Count | None = None
    """Tokens that the model sees at once."""
    untied: bool = False
    """Give the output a matrix of its own instead of the token embedding."""
    steps: Steps = 300
    """Updates."""
    tokens: Tokens | None = None
    """Train on so many tokens instead, rounded up to whole updates."""
    batch: Count = 16
    """Sequences an update."""
    accumulation: Count = 1
    """Compute a batch in so many parts: less memory for more time."""
    peak: float = 3e-3
    """Highest learning rate. GPT-2's sizes want less: 6e-4 for gpt2, 2e-4 for gpt2-xl."""
    warmup: CountOrNone | None = None
    """Updates of linear warm-up (default: a twentieth of all)."""
    final: float = 0.1
    """Last learning rate, as a fraction of the peak."""
    decay: float = 0.1
    """Weight decay of matrices and embeddings."""
    clip: float = 1.0
    """Largest global norm of the gradient."""
    seeds: str = "0"
    """Of weights and order of text: 0,1,2 trains three models together."""
    checkpoints: str = "log"
    """Steps whose models are kept: log (0, 1, 2, 4, 8, ...) or 0,10,100; always the last."""
    evaluate_every: CountOrNone | None = None
    """Updates between two looks at the validation text (default: a tenth of all); 0 is never."""
    save_every: CountOrNone | None = None
    """Updates between two states for --resume (default: a twentieth of all); 0 is never."""
    dtype: str | None = None
    """float32 or bfloat16, of activations (default: bfloat16 on accelerators)."""
    attention: str | None = None
    """xla or cudnn (default: cudnn for bfloat16 on NVIDIA's GPUs)."""
    remat: bool = False
    """Compute activations again for the gradient: less memory for a third more time."""
    scan: bool = False
    """Compile one layer for all: compiles faster."""
    shard: str = "data"
    """On several devices: data (each has all parameters) or full (each has its part of every matrix)."""
    coordinator: str | None = None
    """address:port of host 0, where several hosts train one run. They share --out."""
    hosts: Count = 1
    host: CountOrNone = 0
    """Which of the hosts this is."""
    data_dir: Path | None = None
    """Folder with the corpora known by name."""
    tensorboard: bool = False
    """Write event files to --out too."""
    wandb: str | None = None
    """Log to this project of Weights & Biases too."""


def config_of(arguments: Arguments) -> "TrainConfig":
    """The run asked for. Raises UserError, in one line, for what cannot be trained."""
    from neural.gpt.config import preset
    from neural.train.optim import OptimiserConfig
    from neural.train.recipe import SEEDS, TrainConfig, numbers

    sizes = ("layers", "width", "heads", "context")
    asked = {name: getattr(arguments, name) for name in sizes}
    asked = {name: value for name, value in asked.items() if value is not None}
    model = replace(preset(arguments.preset), tied=not arguments.untied, **asked)
    model = replace(model, vocabulary=_vocabulary(arguments) or model.vocabulary)
    model.check()
    steps = arguments.steps
    if arguments.tokens is not None:
        steps = -(-arguments.tokens // (arguments.batch * model.context))
    config = TrainConfig(
        model=model,
        optimiser=OptimiserConfig(
            steps=steps,
            peak=arguments.peak,
            warmup=_default(arguments.warmup, steps // 20),
            final=arguments.final,
            decay=arguments.decay,
            clip=arguments.clip,
        ),
        compute=_compute(arguments),
        batch=arguments.batch,
        accumulation=arguments.accumulation,
        languages=arguments.languages,
        seeds=numbers("seeds", arguments.seeds, SEEDS - 1),
        checkpoints=arguments.checkpoints,
        evaluate_every=_default(arguments.evaluate_every, -(-steps // 10)),
        save_every=_default(arguments.save_every, -(-steps // 20)),
        shard=arguments.shard,  # type: ignore[arg-type]
        corpus=arguments.corpus,
        tokenizer=arguments.tokenizer,
        data_dir=arguments.data_dir,
    )
    config.check()
    return config


def _vocabulary(arguments: Arguments) -> int | None:
    """Ids asked for, or else those of a tokenizer that is given; None leaves them to the preset."""
    from neural.text.tokenizer import ByteTokenizer, load

    if arguments.vocabulary is not None or arguments.tokenizer == "bpe":
        return arguments.vocabulary
    if arguments.tokenizer == "bytes":
        return ByteTokenizer.vocabulary
    return load(Path(arguments.tokenizer)).vocabulary


def _compute(arguments: Arguments) -> "Compute":
    """How to compute; what was not asked for, as suits the machine."""
    import jax

    from neural.gpt.config import compute_on

    return compute_on(
        jax.default_backend(),
        dtype=arguments.dtype,  # type: ignore[arg-type]
        attention=arguments.attention,  # type: ignore[arg-type]
        remat=arguments.remat,
        scan=arguments.scan,
    )


def _default(asked: int | None, otherwise: int) -> int:
    return otherwise if asked is None else asked


def run_of(arguments: Arguments, stop: Callable[[], bool]) -> "Run":
    """Train what is asked for. Raises UserError, in one line, for what cannot be."""
    from neural.train import parallel

    if arguments.coordinator is not None:
        parallel.connect(arguments.coordinator, arguments.hosts, arguments.host)
    elif (arguments.hosts, arguments.host) != (1, 0):
        raise UserError(
            f"--hosts {arguments.hosts} --host {arguments.host}: add --coordinator, host 0's address:port"
        )
    config = config_of(arguments)
    from neural.train.loop import train

    with ExitStack() as stack:
        sinks = [stack.enter_context(closing(sink)) for sink in _sinks(arguments, config)]
        return train(
            config,
            arguments.out,
            resume=arguments.resume,
            sinks=sinks,
            progress=True,
            stop=stop,
        )


def _sinks(arguments: Arguments, config: "TrainConfig") -> "Iterator[Sink]":
    from neural.train import parallel
    from neural.train.metrics import TensorBoard, WeightsAndBiases
    from sim.runs.identity import canonical, identity

    if arguments.tensorboard and parallel.is_first():
        yield TensorBoard(Path(arguments.out) / "tensorboard")
    if arguments.wandb is not None and parallel.is_first():
        yield WeightsAndBiases(arguments.wandb, identity(config), canonical(config))


def report(run: "Run", seconds: float) -> str:
    """The closing table: what each model has come to."""
    table = [f"{'model':24} {'language':10} {'nats/token':>10} {'bits/byte':>10}"]
    try:
        lines = [parsed(line) for line in regular(run.metrics).read_text().splitlines()]
        last = {(line["model"], line["kind"], line.get("language")): line for line in lines}
        for (model, _, language), line in last.items():
            bits = "" if line.get("bits_per_byte") is None else f"{line['bits_per_byte']:10.3f}"
            table.append(
                f"{model:24} {language or '(training)':10} {line['loss']:10.3f} {bits}".rstrip()
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run.metrics} is damaged ({type(error).__name__}: {error}), the models are not: "
            "judge them with python -m neural.evaluate"
        ) from None
    return "\n".join([*table, f"checkpoints in {run.folder}, {seconds:.0f} s"])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command("neural.train", Arguments, _main, arguments)


def _main(arguments: Arguments) -> int:
    started = time.perf_counter()
    can_resume()
    with ExitStack() as stack:
        # Of several hosts one cannot stop by itself: there a signal ends the process at once.
        stop = stack.enter_context(grace()) if arguments.hosts == 1 else lambda: False
        run = run_of(arguments, stop)
    print(report(run, time.perf_counter() - started))
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
