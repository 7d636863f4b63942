"""How the models of a study are trained, as a configuration of neural.train."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from neural.gpt.config import ModelConfig
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig


class Planned(Protocol):
    """What every plan says of its training."""

    @property
    def batch(self) -> int: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def corpus(self) -> tuple[str, ...]: ...
    @property
    def data_dir(self) -> Path | None: ...


def trained_as(
    plan: Planned,
    model: ModelConfig,
    optimiser: OptimiserConfig,
    mixture: str,
    *,
    checkpoints: Iterable[int] | str,
    save_every: int,
    tokenizer: Path | None = None,
) -> TrainConfig:
    """One run of a plan, all its seeds: a mixture of languages as --languages has it, and steps that are kept.

    tokenizer: its file; None where the study gives the data itself.
    """
    import jax

    from neural.gpt.config import compute_on

    config = TrainConfig(
        model=model,
        optimiser=optimiser,
        compute=compute_on(jax.default_backend()),
        batch=plan.batch,
        languages=(mixture,),
        seeds=plan.seeds,
        checkpoints=checkpoints
        if isinstance(checkpoints, str)
        else ",".join(map(str, checkpoints)),
        save_every=save_every,
        corpus=plan.corpus,
        data_dir=plan.data_dir,
    )
    return config if tokenizer is None else replace(config, tokenizer=str(tokenizer))
