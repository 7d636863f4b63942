"""Training: from a configuration to a run folder with checkpoints, one compiled update after another.

The device never waits for this loop: the numbers of an update are read while it computes the next, and the batch after
that is prepared meanwhile. What is saved for --resume holds everything that an update depends on, so that a run which
was killed ends in the same bits as one which was not.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from neural.gpt import checkpoint
from neural.gpt.memory import require_training
from neural.text.mixture import Mixture
from neural.train import parallel
from neural.train.data import Data, batch, mixtures, prepare, windows
from neural.train.metrics import JsonLines, Sink
from neural.train.optim import schedule
from neural.train.recipe import TrainConfig
from neural.train.run import Run
from neural.train.step import Measures, Program, State, program
from sim.runs.errors import UserError
from sim.runs.identity import identity
from theory.command.progress import Progress
from theory.command.progress import progress as progress_of


def train(
    config: TrainConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    data: Data | None = None,
    sinks: Sequence[Sink] = (),
    progress: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train the models of a configuration into a folder, and return its run; one that is done is returned as it is.

    data is what `prepare` reads of the configuration, or text of your own. sinks get the metrics too. progress shows
    how far it is. When stop() is true the state is saved and KeyboardInterrupt raised. Runs of one process share
    what is compiled if they share model, optimiser and batch. Raises UserError for what cannot be trained.
    """
    require_computable(config)
    run = Run(folder)
    if data is None:
        data = prepare(config, run.tokenizer(config))
    parallel.agree(data.fingerprint)
    mixed = mixtures(config, data)
    done = run.is_done(config)
    with ExitStack() as stack:
        if parallel.is_first():
            stack.enter_context(run.written(config, data, resume=resume))
        parallel.barrier("begun")
        if not done:
            stack.enter_context(_explained(config))
            _Training(config, data, mixed, run).go(sinks, progress, stop)
    return run


def require_computable(config: TrainConfig) -> None:
    """Raise UserError for a configuration that is none, and for models that the devices cannot hold or share."""
    config.check()
    parallel.check(config.part, len(config.members))
    require_training(config.model, len(config.members), config.part)


def require_trainable(config: TrainConfig, data: Data) -> None:
    """Raise UserError for all that `train` refuses of a configuration and its data."""
    require_computable(config)
    mixtures(config, data)
    if config.evaluate_every:
        windows(config, data)


class _Training:
    """A run on its way."""

    def __init__(
        self, config: TrainConfig, data: Data, mixed: tuple[Mixture, ...], run: Run
    ) -> None:
        self.config, self.data, self.mixed, self.run = config, data, mixed, run
        self.mesh = parallel.mesh_of(len(config.members))
        self.program: Program = program(
            config.model, config.compute, config.optimiser, self.mesh, config.shard
        )
        self.windows: jax.Array | None = None
        if config.evaluate_every:
            placed = parallel.of_windows(self.mesh)
            self.windows = parallel.place(windows(config, data), placed)

    def go(self, sinks: Sequence[Sink], progress: bool, stop: Callable[[], bool]) -> None:
        """From the last state, or from nothing, to the end."""
        config = self.config
        first, state = self._begin()
        total = config.tokens * len(config.members)
        with ExitStack() as stack:
            if parallel.is_first():
                lines = JsonLines(self.run.metrics, after=first if first else -1)
                sinks = [stack.enter_context(closing(lines)), *sinks]
            bar = stack.enter_context(
                progress_of(
                    config.steps * total,
                    done=first * total,
                    unit="tokens",
                    scaled=True,
                    shown=progress and parallel.is_first(),
                )
            )
            log = _Log(config, sinks if parallel.is_first() else [], bar)
            if not first:
                self._look(0, state, log)
            for step in range(first, config.steps):
                tokens = batch(config, self.mixed, step, self.data.encode)
                placed = parallel.place(tokens, parallel.of_batch(self.mesh))
                state, measures = self.program.step(state, placed)
                log.update(step + 1, measures)
                stopping = stop()
                if self._is_milestone(step + 1) or stopping:
                    log.settle()
                    self._look(step + 1, state, log)
                    if stopping or (config.save_every and (step + 1) % config.save_every == 0):
                        self._save(step + 1, state, log)
                    log.restart()
                if stopping:
                    raise KeyboardInterrupt
        if parallel.is_first():
            self.run.forget_states()

    def _begin(self) -> tuple[int, State]:
        """The last step whose state is whole, and that state. Says where a kill left half of a later one."""
        config = self.config
        whole = checkpoint.steps(self.run.state)
        if parallel.is_first():
            _say_halves(self.run.halves(config), whole[-1] if whole else 0)
            for language, reason in self.data.altered.items():
                print(f"{language}: no bits per byte: {reason}", file=sys.stderr)
        if not whole:
            seeds = [member.seed for member in config.members]
            return 0, self.program.init(np.array(seeds, dtype=np.uint32))
        step, tensors = self.run.load_state(config)
        return step, _restored(self.program.empty(len(config.members)), tensors)

    def _is_milestone(self, step: int) -> bool:
        config = self.config
        saved = config.save_every and step % config.save_every == 0
        return bool(saved) or step in config.kept or config.evaluated(step)

    def _look(self, step: int, state: State, log: "_Log") -> None:
        """Validate and keep the models of a step, where that is due."""
        config, data = self.config, self.data
        if self.windows is not None and config.evaluated(step):
            log.valid(
                step, data, parallel.fetch(self.program.evaluate(state.parameters, self.windows))
            )
        if step not in config.kept:
            return
        parameters = parallel.fetch(state.parameters)
        if not parallel.is_first():
            return
        for index, member in enumerate(config.members):
            checkpoint.save(
                self.run.file(member, step),
                {name: stack[index] for name, stack in parameters.items()},
                config.model,
                step=step,
                seed=member.seed,
                languages=config.languages[member.mixture],
                tokens=self.mixed[member.mixture].tokens_seen(member.seed, step),
                fingerprint=data.tokenizer.fingerprint,
                run=identity(config),
            )

    def _save(self, step: int, state: State, log: "_Log") -> None:
        tensors = _named(parallel.fetch(state))
        if parallel.is_first():
            log.sync()
            self.run.save_state(self.config, self.data, step, tensors)


class _Log:
    """The numbers of a run, those of an update read when the next is on its way."""

    def __init__(self, config: TrainConfig, sinks: Sequence[Sink], bar: Progress) -> None:
        self.config, self.sinks, self.bar = config, sinks, bar
        self._rates = np.asarray(schedule(config.optimiser)(np.arange(config.steps)))
        self._pending: tuple[int, Measures] | None = None
        self._since: float | None = None

    def update(self, step: int, measures: Measures) -> None:
        """Take those of an update, and write those of the one before."""
        self.settle()
        self._pending = step, measures

    def settle(self) -> None:
        """Write what was taken. Raises UserError if training has failed."""
        if self._pending is None:
            return
        step, measures = self._pending
        self._pending = None
        losses, norms = (np.asarray(part) for part in parallel.fetch(measures))
        self._check(step, losses, norms)
        now = time.perf_counter()
        tokens = self.config.tokens
        speed = tokens * len(losses) / (now - self._since) if self._since is not None else None
        self._since = now
        for member, loss, norm in zip(self.config.members, losses, norms, strict=True):
            self._write(
                {
                    "kind": "train",
                    "step": step,
                    "model": member.name,
                    "loss": float(loss),
                    "gradient_norm": float(norm),
                    "learning_rate": float(self._rates[step - 1]),
                    "tokens": step * tokens,
                    "tokens_per_second": speed,
                }
            )
        self.bar.set_postfix(loss=f"{losses.mean():.3f}", refresh=False)
        self.bar.update(tokens * len(losses))

    def valid(self, step: int, data: Data, losses: NDArray[np.float32]) -> None:
        """Write the losses (models, languages) of an evaluation."""
        for member, row in zip(self.config.members, losses, strict=True):
            for language, loss in zip(data.languages, row.tolist(), strict=True):
                bits = data.bits_per_byte(language, loss)
                self._write(
                    {
                        "kind": "valid",
                        "step": step,
                        "model": member.name,
                        "language": language,
                        "loss": loss,
                        "bits_per_byte": None if math.isnan(bits) else bits,
                    }
                )

    def restart(self) -> None:
        """Leave the time since the last update out of the speed."""
        self._since = time.perf_counter()

    def sync(self) -> None:
        for sink in self.sinks:
            sink.sync()

    def _write(self, line: dict[str, Any]) -> None:
        for sink in self.sinks:
            sink.write(line)

    def _check(self, step: int, losses: NDArray[Any], norms: NDArray[Any]) -> None:
        finite = np.isfinite(losses) & np.isfinite(norms)
        if not finite.all():
            failed = int(np.argmin(finite))
            optimiser = self.config.optimiser
            raise UserError(
                f"step {step} of {self.config.members[failed].name}: loss {losses[failed]}, gradient {norms[failed]}: "
                f"start anew with a lower --peak than {optimiser.peak:g}, or more --warmup than {optimiser.warmup}"
            )


def _say_halves(halves: Sequence[Path], first: int) -> None:
    """Tell on stderr which checkpoints are not whole, where training goes on from step `first`."""
    for path in halves:
        made = int(path.stem.rpartition("-")[2]) > first
        remedy = "it is written anew" if made else "to have it, start anew in another --out"
        print(
            f"{path.with_suffix('')} is half a checkpoint: going on from step {first}; {remedy}",
            file=sys.stderr,
        )


@contextmanager
def _explained(config: TrainConfig) -> Iterator[None]:
    """Say what to try when memory does not suffice."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"out of memory with {config.part} sequences of {config.model.context} tokens for {len(config.members)} "
            "models at once: raise --accumulation, add --remat, or train fewer --seeds together"
        ) from None


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _named(state: State) -> dict[str, NDArray[Any]]:
    """The arrays of a state by their place in it."""
    return {_name(path): array for path, array in jax.tree_util.tree_leaves_with_path(state)}


def _restored(empty: State, tensors: Any) -> State:
    """A state on the devices, from its arrays by name."""

    def restored(path: Any, wanted: jax.ShapeDtypeStruct) -> jax.Array:
        array = tensors.get(_name(path))
        if array is None or array.shape != wanted.shape or array.dtype != wanted.dtype:
            raise UserError(
                f"the saved state has no {_name(path)} of {wanted.dtype}{list(wanted.shape)}: "
                "it is from another version; go on with that, or start anew in another --out"
            )
        return parallel.place(array, wanted.sharding)

    return jax.tree_util.tree_map_with_path(restored, empty)
