"""Topics of sentences: those of SIB-200, the same sentences in every language, in place of XNLI."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import Parameters
from neural.text.labelled import Task
from neural.text.tokenizer import Tokenizer
from neural.text.treebank import PARTS
from neural.tune.examples import Examples, examples
from neural.tune.head import BIAS, HEAD
from neural.tune.head import logits as sentence_logits
from neural.tune.objective import Batch, Supervised
from sim.runs.errors import UserError


def topics(
    tasks: Mapping[str, Task],
    tokenizer: Tokenizer,
    config: ModelConfig,
    languages: tuple[str, ...],
    **options: Any,
) -> Supervised:
    """Of the tasks by language, as `labelled.task("sib200:el")` reads them; options are fields of `Supervised`.

    The head reads the end-of-text behind a sentence. Measures: accuracy, nats. Raises UserError for tasks of different
    classes, and for a tokenizer with more ids than the model.
    """
    (names, *others) = dict.fromkeys(task.train.names for task in tasks.values())
    if others:
        raise UserError(
            f"tasks of classes {', '.join(names)} and of {', '.join(others[0])}: give the same to all languages"
        )
    parts = {
        (language, part): _arrays(
            examples(getattr(task, part), tokenizer, config), config, tokenizer.end_of_text
        )
        for language, task in tasks.items()
        for part in PARTS
    }
    return Supervised(languages, parts, names, logits, head, **options)


def logits(state: Parameters, batch: Any, config: ModelConfig, compute: Compute) -> jax.Array:
    """Of the classes of sentences, (B, C) float32."""
    return sentence_logits(state, batch["ids"], batch["last"], config, compute)


def head(config: ModelConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a linear head."""
    return {HEAD: (config.width, classes), BIAS: (classes,)}


def _arrays(data: Examples, config: ModelConfig, end_of_text: int) -> Batch:
    """What the head reads of sentences: rows of the whole context, so that all languages have one width."""
    ids: NDArray[np.int32] = np.full((len(data), config.context), end_of_text, dtype=np.int32)
    ids[:, : data.ids.shape[1]] = data.ids
    return {
        "ids": ids,
        "last": data.last.astype(np.int32),
        "labels": data.labels.astype(np.int32),
    }
