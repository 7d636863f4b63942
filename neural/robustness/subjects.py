"""Who is measured: stacks of trained models, one for each seed, and the text that they are judged on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural import checkpoint
from neural.config import ModelConfig
from neural.corpus import Corpus
from neural.evaluate import encoded
from neural.robustness.plan import Measures
from neural.tokenizer import Tokenizer
from neural.tokens import Tokens
from sim.runs.errors import UserError

Parameters = dict[str, NDArray[Any]]

PASSAGE = 4
"""Windows' lengths in a passage of held-out text."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Models of equal shape: parameters have an axis of them in front, and steps and seeds are theirs."""

    name: str
    parameters: Parameters
    config: ModelConfig
    seeds: tuple[int, ...]
    steps: tuple[int, ...]


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
    loaded.sort(key=lambda one: one.seed)
    first = loaded[0]
    if any(other.model != first.model for other in loaded):
        raise UserError(f"{run} has models of several shapes: give the folder of one of them")
    return Stack(
        run.name,
        {name: np.stack([one.parameters[name] for one in loaded]) for name in first.parameters},
        first.model,
        tuple(one.seed for one in loaded),
        tuple(one.step for one in loaded),
    )


def held_out(text: Corpus, measures: Measures, reader: Tokenizer) -> dict[str, Tokens]:
    """measures.text tokens of the test text of each language."""
    found = {}
    for name in text.languages:
        documents = [item.text for item in text.documents(name, "test")]
        if not documents:
            raise UserError(f"{name} has no held-out text to judge models on: give a longer one")
        whole = encoded(documents, reader)
        found[name] = passages(whole, measures.text, measures.sliding.window, reader.end_of_text)
    return found


def passages(tokens: Tokens, size: int, window: int, end_of_text: int) -> Tokens:
    """Evenly spaced passages of a text, PASSAGE windows long and closed by an end-of-text: at most `size` tokens.

    One shorter passage, if text or size have no more. Bytes are in proportion to those of the text.
    """
    n = len(tokens.ids)
    length = min(PASSAGE * window, size, n) - 1
    count = min(size, n) // (length + 1)
    starts = np.linspace(0, n - length, count).astype(np.int64)
    ids = tokens.ids[starts[:, None] + np.arange(length)]
    closed = np.concatenate([ids, np.full((count, 1), end_of_text, ids.dtype)], axis=1)
    sizes = np.full(count, round(tokens.bytes * length / n), dtype=np.int64)
    return Tokens(closed.reshape(-1), (length + 1) * np.arange(1, count + 1), sizes)


def nearest_steps(clean: pd.DataFrame, model: str, other: str, text: str) -> dict[int, int]:
    """For each seed the step at which `model` comes nearest to the last loss of `other` on a text.

    clean is the table of losses without failure.
    """
    rows = clean[clean["text"] == text]
    last = rows[(rows["model"] == other) & (rows["step"] == rows["step"].max())]
    found = {}
    for seed, loss in zip(last["seed"], last["nats_per_token"], strict=True):
        own = rows[(rows["model"] == model) & (rows["seed"] == seed)]
        found[int(seed)] = int(own.loc[(own["nats_per_token"] - loss).abs().idxmin(), "step"])
    return found
