"""States of the models of several steps, as probes read them: P of them, one a step, seed and layer, in this order.

Layers are the residual stream after the embeddings (0) and each block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.dynamics.examples import Floats
from neural.dynamics.plan import Name, Part
from neural.dynamics.subjects import Subjects
from neural.measures.retrieval import sentence_states
from neural.measures.words import Encoded, WordExamples, word_features
from neural.study.stack import Stack

Key = tuple[str, ...]


@dataclass(frozen=True)
class Readings:
    """Of the models of these steps; what was read once is kept."""

    subjects: Subjects
    steps: tuple[int, ...]
    _kept: dict[Key, Floats] = field(default_factory=dict)

    @cached_property
    def stacks(self) -> list[Stack]:
        return [self.subjects.models(step) for step in self.steps]

    @cached_property
    def about(self) -> pd.DataFrame:
        """step, seed and layer of each of the P."""
        rows = [
            (step, seed, layer)
            for step, stack in zip(self.steps, self.stacks, strict=True)
            for seed in stack.seeds
            for layer in range(stack.config.layers + 1)
        ]
        return pd.DataFrame(rows, columns=["step", "seed", "layer"])

    def at(self, steps: tuple[int, ...]) -> NDArray[np.int64]:
        """The places of the P that are of these steps."""
        return np.flatnonzero(self.about["step"].isin(steps).to_numpy())

    def words(self, language: str, part: Part) -> Floats:
        """Of the words of treebanks, (P, M, d)."""
        return self._words(("words", language, part), self.subjects.words[language, part].examples)

    def answers(self, language: str) -> Floats:
        """Of the words of sentences with answers, (P, M, d)."""
        return self._words(("answers", language), self.subjects.answers.words[language])

    def sentences(self, task: Name, language: str, part: Part) -> Floats:
        """Of the sentences of a task, the mean of each, (P, M, d); those of pairing are of all parts."""
        key = (task, language) if task == "pairing" else (task, language, part)
        if key not in self._kept:
            text = self.subjects.texts(task, language, part)
            self._kept[key] = self._sentences(text)
        return self._kept[key]

    def _words(self, key: Key, items: WordExamples) -> Floats:
        if key not in self._kept:
            self._kept[key] = self._each(lambda model, config: word_features(model, config, items))
        return self._kept[key]

    def _sentences(self, text: Encoded) -> Floats:
        return self._each(
            lambda model, config: sentence_states(model, config, text.ids, text.lengths)
        )

    def _each(self, read: Callable[[Mapping[str, Any], Any], Floats]) -> Floats:
        """What is read of every model, one after another."""
        states = [
            read(stack.model(place), stack.config)
            for stack in self.stacks
            for place in range(len(stack))
        ]
        return np.concatenate(states)
