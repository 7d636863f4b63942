"""Zero-shot transfer: a classifier that was fine-tuned in one language of a model, tested in the others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from neural.study.real import Bilingual
from neural.study.stack import Stack
from neural.text.clone import Clones
from neural.text.labelled import Task
from neural.text.tokenizer import Tokenizer
from neural.tune.classifier import FineTuning, fine_tune
from neural.tune.examples import Examples, examples
from neural.tune.head import correct
from sim.runs.errors import UserError

Parts = tuple[Examples, ...]
"""train, dev and test of a task in one language, with the model's ids."""


def transferred(
    stack: Stack,
    task: Task,
    tokenizer: Tokenizer,
    clones: Clones,
    tuning: FineTuning,
    *,
    sources: Sequence[str] = ("c0",),
) -> pd.DataFrame:
    """A task tuned in each of the sources and tested in every clone; the table is that of `between`.

    The tokenizer is that of the text which the languages are clones of.
    """
    if tokenizer.end_of_text not in clones.special:
        raise ValueError("the end of text is cloned: make it special, since it ends all languages")
    if tokenizer.vocabulary > clones.vocabulary or clones.total > stack.config.vocabulary:
        raise ValueError(
            f"{tokenizer.vocabulary} ids of text, {clones.languages} clones of {clones.vocabulary}, a model of "
            f"{stack.config.vocabulary}: give those that belong together"
        )
    plain = _parts(task, tokenizer, stack)
    tasks = {
        name: tuple(cloned(part, clones, language) for part in plain)
        for language, name in enumerate(clones.names)
    }
    return between(stack, tasks, tuning, sources)


def transferred_real(
    stack: Stack,
    tasks: Mapping[str, Task],
    text: Bilingual,
    tuning: FineTuning,
    *,
    sources: Sequence[str],
) -> pd.DataFrame:
    """The same task in two real languages: tuned in each of the sources, tested in both; the table of `between`."""
    encoded = {}
    for language, task in tasks.items():
        parts = _parts(task, text.tokenizers[language], stack)
        table = text.tables[language]
        encoded[language] = tuple(
            replace(part, ids=table[part.ids].astype(np.int32)) for part in parts
        )
    return between(stack, encoded, tuning, sources)


def between(
    stack: Stack, tasks: Mapping[str, Parts], tuning: FineTuning, sources: Sequence[str]
) -> pd.DataFrame:
    """Accuracies on the test part of every language of models tuned on the train part of one, best on its dev.

    A row a model, source and target: seed, step, source, target, accuracy, majority (of always giving the target's most
    frequent answer) and n, its sentences. Raises UserError for a source that is none of the languages.
    """
    rows = []
    for source in sources:
        if source not in tasks:
            raise UserError(f"unknown language {source!r}: choose from {', '.join(tasks)}")
        train, dev, _ = tasks[source]
        tuned = fine_tune(
            stack.parameters, stack.config, train, dev, tuning, seeds=stack.seeds
        ).best
        for target, (_, _, test) in tasks.items():
            rows.append(
                pd.DataFrame(
                    {
                        "seed": stack.seeds,
                        "step": stack.steps,
                        "source": source,
                        "target": target,
                        "accuracy": correct(tuned, test).mean(axis=1),
                        "majority": np.bincount(test.labels).max() / len(test),
                        "n": len(test),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def cloned(data: Examples, clones: Clones, language: int) -> Examples:
    """The sentences in a language, in its order of words; what ends and pads them stays."""
    ids = data.ids.copy()
    for row, end in zip(ids, data.last, strict=True):
        row[:end] = clones.encode(row[:end], language)
    return replace(data, ids=ids)


def _parts(task: Task, tokenizer: Tokenizer, stack: Stack) -> Parts:
    return tuple(
        examples(part, tokenizer, stack.config) for part in (task.train, task.dev, task.test)
    )
