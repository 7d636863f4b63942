"""Trained models as they are measured: a stack, one for each seed of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.gpt import checkpoint
from neural.gpt.config import ModelConfig
from neural.measures.scoring import Sliding, score
from neural.text.tokens import Tokens
from sim.runs.errors import UserError

Parameters = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Stack:
    """Models of equal shape: parameters have an axis of them in front, and steps and seeds are theirs."""

    name: str
    parameters: Parameters
    config: ModelConfig
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    tokens: tuple[Mapping[str, int], ...]
    """Of each language that each has seen."""

    def __len__(self) -> int:
        return len(self.seeds)

    def model(self, place: int) -> Parameters:
        """The parameters of one of them."""
        return {name: value[place] for name, value in self.parameters.items()}


def stack(run: Path, steps: Mapping[int, int] | int | None = None) -> Stack:
    """The models of a run, in order of seed: the last of each, those of a step, or those of a step for each seed.

    Raises UserError where there are none, or they differ in shape.
    """
    folders = checkpoint.models(run) or (run,)
    if isinstance(steps, Mapping):
        chosen = {int(path.name.rpartition("-")[2]): path for path in folders}
        loaded = [checkpoint.load(chosen[seed], step) for seed, step in steps.items()]
    else:
        loaded = [checkpoint.load(path, steps) for path in folders]
    loaded.sort(key=lambda saved: saved.seed)
    first = loaded[0]
    if any(other.model != first.model for other in loaded):
        raise UserError(f"{run} has models of several shapes: give the folder of one of them")
    return Stack(
        run.name,
        {
            name: np.stack([trained.parameters[name] for trained in loaded])
            for name in first.parameters
        },
        first.model,
        tuple(trained.seed for trained in loaded),
        tuple(trained.step for trained in loaded),
        tuple(trained.tokens for trained in loaded),
    )


def of_models(stack: Stack) -> pd.DataFrame:
    return pd.DataFrame({"seed": stack.seeds, "step": stack.steps})


def perplexities(stack: Stack, texts: Mapping[str, Tokens], sliding: Sliding) -> pd.DataFrame:
    """The loss of every model on each language, and how many tokens of it the model has seen."""
    parts = []
    for language, tokens in texts.items():
        scores = score(stack.parameters, stack.config, tokens, sliding)
        estimates = scores.estimates(resamples=1)
        parts.append(
            of_models(stack).assign(
                language=language,
                seen=[seen.get(language, 0) for seen in stack.tokens],
                nats_per_token=estimates["nats_per_token"].value,
                bits_per_byte=estimates["bits_per_byte"].value,
            )
        )
    return pd.concat(parts, ignore_index=True)
