"""What the study reads: text, tokenizer, pretrained models, and what each task is tuned and tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from neural.measures.words import Encoded, encoded
from neural.study.pretrained import TEST, Pretrained
from neural.study.stack import Parameters, Stack
from neural.subnetworks.plan import Study, Task
from neural.text.labelled import task as labelled
from neural.text.ner import ner
from neural.text.treebank import treebank
from neural.tune.arcs import relations
from neural.tune.language_model import LanguageModel
from neural.tune.objective import Supervised
from neural.tune.tagging import named_entities, parts_of_speech
from neural.tune.topic import topics
from sim.runs.errors import UserError

Tuned = LanguageModel | Supervised


@dataclass(frozen=True)
class Subjects(Pretrained):
    """A study in its folder, with what its measures read."""

    study: Study
    _annotated: dict[Task, Any] = field(default_factory=dict)
    _objectives: dict[Task, Tuned] = field(default_factory=dict)
    _stacks: dict[int, Stack] = field(default_factory=dict)

    def pretrained(self, step: int | None = None) -> Stack:
        """The pretrained models of a step, by default the last."""
        step = self.study.optimiser.steps if step is None else step
        if step not in self._stacks:
            self._stacks[step] = self.models(step)
        return self._stacks[step]

    def start(self, seeds: Sequence[int], step: int | None = None) -> Parameters:
        """The pretrained models of these seeds, (S, ...), one more than once as it may be."""
        stack = self.pretrained(step)
        places = [stack.seeds.index(seed) for seed in seeds]
        return {name: value[places] for name, value in stack.parameters.items()}

    def read(self) -> None:
        """Read all that can be read before the tokenizer. Raises UserError for what cannot."""
        _ = self.corpus, self.aligned
        for task in self.study.tasks:
            self.annotated(task)

    @cached_property
    def aligned(self) -> list[tuple[str, ...]]:
        """The same sentences in every language; none where the study has no sources. Raises NotThere for too few."""
        if not self.study.aligned:
            return []
        return _some(self.translations(self.study.sentences), self.study.sentences)

    @cached_property
    def sentences(self) -> Mapping[str, Encoded]:
        """The same by language, as the models read them."""
        study = self.study
        return {
            name: encoded(texts, self.tokenizer, study.model.context)
            for name, texts in zip(study.languages, zip(*self.aligned, strict=True), strict=True)
        }

    @property
    def at_once(self) -> int:
        """Models tuned together, always as many, so that one program serves all.

        On CPUs, where one follows another, as few as divide every hunt; elsewhere as many as the largest hunt has.
        """
        study, several = self.study, jax.default_backend() != "cpu"
        languages = max(len(task.languages) for task in study.tasks)
        return len(study.seeds) * (study.orders * languages if several else 1)

    def objective(self, task: Task, languages: Sequence[str], *, shuffled: bool = False) -> Tuned:
        """What a stack is tuned for, each model on its language."""
        if task not in self._objectives:
            self._objectives[task] = self._objective(task)
        return replace(self._objectives[task], languages=tuple(languages), shuffled=shuffled)

    def annotated(self, task: Task) -> Any:
        """What a task is tuned and tested on: sentences by language and part, or topics by language; None of text."""
        if task not in self._annotated:
            self._annotated[task] = self._read(task)
        return self._annotated[task]

    def _read(self, task: Task) -> Any:
        if task.name == "language-modelling":
            return None
        folder = self.study.data_dir
        if folder is None:
            raise UserError(
                f"{task.name} needs treebanks, named entities and topics: give their folder by --data-dir"
            )
        if task.name == "topics":
            return {name: labelled(f"sib200:{name}", folder) for name in task.languages}
        read: Any = ner if task.name == "entities" else treebank
        return {
            (name, part): _some(read(name, part, folder), most)
            for name in task.languages
            for part, most in (("train", task.train), (TEST, task.test))
        }

    def _objective(self, task: Task) -> Tuned:
        study = self.study
        if task.name == "language-modelling":
            return LanguageModel(
                task.languages,
                {name: self.tokens[name, "train"].ids for name in study.languages},
                {(name, TEST): text for name, text in self.held_out.items()},
                context=study.model.context,
                size=task.batch,
                sliding=study.sliding,
            )
        make: Any = {
            "parts-of-speech": parts_of_speech,
            "relations": relations,
            "entities": named_entities,
            "topics": topics,
        }[task.name]
        objective: Supervised = make(
            self.annotated(task), self.tokenizer, study.model, task.languages, size=task.batch
        )
        return objective


def _some(sentences: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly spaced."""
    if len(sentences) <= most:
        return list(sentences)
    return [sentences[row] for row in np.linspace(0, len(sentences) - 1, most).astype(np.int64)]
