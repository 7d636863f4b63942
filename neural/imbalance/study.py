"""The study in a folder: neural.study.results, and beside its tables the models.

OUT/tokenizer-TEXT….json    of the text that is cloned, and of real languages
OUT/models/NAME/            a run of neural.train.loop for each recipe of the plan
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.gpt import checkpoint
from neural.imbalance import measure
from neural.imbalance.plan import Recipe, Study
from neural.imbalance.transfer import transferred, transferred_real
from neural.study import real
from neural.study.results import Work, fill
from neural.study.stack import Stack, perplexities, stack
from neural.text.clone import Clones, pairs
from neural.text.corpus import Corpus
from neural.text.labelled import task
from neural.text.mixture import BALANCED, IMBALANCED
from neural.text.tokenizer import Tokenizer
from neural.text.tokens import Tokens, TokenStore, passages, store, windows
from neural.train.data import Data
from neural.train.loop import require_trainable, train
from sim.runs.store import Run

MODELS = "models"
IN_BOTH = "sib200:"
"""Tasks that real languages have the same sentences of."""
OFTEN = 10
"""Occurrences in the training text of the ids of a real language that are matched."""


def do(
    study: Study, out: Path, *, resume: bool = False, stop: Callable[[], bool] = lambda: False
) -> Run:
    """Do what is missing of a study in its folder. Raises UserError for a study that cannot be done."""
    place = read(study, out)
    return fill(
        out,
        study,
        dict(_parts(place)),
        resume=resume,
        stop=stop,
        before=[
            ("reading", place.require_trainable),
            *(
                (f"training {recipe.name}", partial(place.train, recipe, stop))
                for recipe in study.runs
            ),
        ],
    )


def read(study: Study, out: Path) -> "_Place":
    """A study with its text and tasks, which leave no folder behind where they cannot be read."""
    study.check()
    place = _Place(study, out)
    _ = place.corpora, place.tasks
    return place


@dataclass(frozen=True)
class _Place:
    """A study in its folder, with what its measures read."""

    study: Study
    out: Path
    _bilingual: dict[real.Pair, real.Bilingual] = field(default_factory=dict)

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """Of the cloned text, and of it and each other language."""
        study = self.study
        return real.corpora(study.corpus, study.text, study.others, study.data_dir)

    @cached_property
    def tasks(self) -> list[Any]:
        return [task(name, self.study.data_dir) for name in self.study.measures.tasks]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of the cloned text: that of the file, or learnt now and kept there."""
        return real.reader(self.corpora[self.study.text], self.study.ids, self.out)

    @cached_property
    def tokens(self) -> TokenStore:
        return store(self.corpora[self.study.text], self.tokenizer)

    @cached_property
    def held_out(self) -> Tokens:
        return self._passages(self.tokens[self.study.text, "test"])

    def _passages(self, tokens: Tokens) -> Tokens:
        measures, end = self.study.measures, self.tokenizer.end_of_text
        return passages(tokens, measures.text, measures.sliding.window, end)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often the training text has each id."""
        ids = self.tokens[self.study.text, "train"].ids
        return np.bincount(ids, minlength=self.study.ids)

    def clones(self, recipe: Recipe) -> Clones:
        return self.study.clones(recipe, (self.tokenizer.end_of_text,))

    def bilingual(self, recipe: Recipe) -> real.Bilingual:
        """The text of two real languages."""
        text, other = recipe.languages
        assert recipe.vocabulary != "cloned"
        pair = real.Pair((text, other), recipe.vocabulary, 2 * self.study.ids)
        if pair not in self._bilingual:
            self._bilingual[pair] = real.load(pair, self.corpora[other], self.out)
        return self._bilingual[pair]

    def sentences(self, recipe: Recipe) -> tuple[real.Sentences, real.Sentences] | None:
        """The same sentences in both languages of the text, if it has such."""
        text, other = self.bilingual(recipe), self.corpora[recipe.languages[1]]
        context, most = self.study.model.context, self.study.measures.sentences
        return real.aligned(text, other, context=context, most=most)[0]

    def data(self, recipe: Recipe) -> Data:
        """What the models of a run read."""
        if recipe.vocabulary != "cloned":
            return self.bilingual(recipe).data()
        clones = self.clones(recipe)
        train, valid = (self.tokens[self.study.text, part] for part in ("train", "valid"))
        per_byte = len(valid.ids) / max(valid.bytes, 1)
        described = f"{self.tokens.fingerprint} {clones}"
        return Data(
            self.tokenizer,
            clones.total,
            dict.fromkeys(clones.names, train.ids),
            {
                name: clones.encode(valid.ids, number).astype(np.int32)
                for number, name in enumerate(clones.names)
            },
            dict.fromkeys(clones.names, per_byte),
            hashlib.sha256(described.encode()).hexdigest(),
            clones.encoders(),
        )

    def require_trainable(self) -> None:
        """Raise UserError for a run that cannot be trained."""
        for recipe in self.study.runs:
            require_trainable(self.study.training(recipe), self.data(recipe))

    def train(self, recipe: Recipe, stop: Callable[[], bool]) -> None:
        config = self.study.training(recipe)
        train(
            config, self.out / MODELS / recipe.name, resume=True, stop=stop, data=self.data(recipe)
        )

    def stacks(self, recipe: Recipe) -> Iterator[Stack]:
        """The models of a run, at each step at which they were kept."""
        folder = self.out / MODELS / recipe.name
        for step in checkpoint.steps(folder / f"seed-{self.study.seeds[0]}"):
            yield stack(folder, step)

    def texts(self, recipe: Recipe) -> dict[str, Tokens]:
        """Held-out text of each language that a run was trained on."""
        trained = {
            name
            for stage in recipe.stages
            for name, share in zip(recipe.languages, stage, strict=True)
            if share
        }
        names = [name for name in recipe.languages if name in trained]
        if recipe.vocabulary != "cloned":
            bilingual = self.bilingual(recipe)
            return {name: self._passages(bilingual.test(name)) for name in names}
        clones, text = self.clones(recipe), self.held_out
        return {
            name: Tokens(
                clones.encode(text.ids, clones.names.index(name)).astype(np.int32),
                text.ends,
                text.sizes,
            )
            for name in names
        }


def _parts(place: _Place) -> Iterator[tuple[str, Work]]:
    """Names of parts and how to make them."""
    study = place.study
    for recipe in study.runs:
        yield f"perplexity-{recipe.name}", partial(_perplexity, place, recipe)
    for recipe in study.runs:
        if 0 < recipe.share < 1:
            yield f"alignment-{recipe.name}", partial(_alignment, place, recipe)
            if recipe.anchors < 1:
                yield f"embedding-{recipe.name}", partial(_embedding, place, recipe)
    for number, name in enumerate(study.measures.tasks):  # a task may be a path
        for recipe in study.runs:
            if _classifies(study, recipe, name):
                work = partial(_transfer, place, recipe, number)
                yield f"transfer-{number}-{recipe.name}", work


def _classifies(study: Study, recipe: Recipe, task_name: str) -> bool:
    """The largest models of the grid, at equal shares, at S24's and of one language, whose clone they never saw.

    And those of two real languages, in tasks that both have.
    """
    if recipe.experiment == "real":
        return 0 < recipe.share < 1 and task_name.startswith(IN_BOTH)
    largest = recipe.width == study.model.width and recipe.budget == max(study.budgets)
    return recipe.experiment == "grid" and largest and recipe.share in (BALANCED, IMBALANCED, 0.0)


def _of(recipe: Recipe, study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The table with what its models were trained on."""
    return table.assign(
        run=recipe.name,
        experiment=recipe.experiment,
        width=recipe.width,
        layers=study.model.layers,
        budget=recipe.budget,
        share=recipe.share,
        anchors=recipe.anchors,
        languages=len(recipe.languages),
        schedule=recipe.schedule,
        pair=recipe.pair,
        vocabulary=recipe.vocabulary,
        last=table["step"] == study.optimisation(recipe).steps,
    )


def _perplexity(place: _Place, recipe: Recipe) -> pd.DataFrame:
    texts, sliding = place.texts(recipe), place.study.measures.sliding
    parts = [perplexities(models, texts, sliding) for models in place.stacks(recipe)]
    return _of(recipe, place.study, pd.concat(parts, ignore_index=True))


def _alignment(place: _Place, recipe: Recipe) -> pd.DataFrame:
    """Of the first two languages."""
    names = recipe.languages[:2]
    size, context = place.study.measures.windows, place.study.model.context
    texts = place.texts(recipe)
    first, other = (windows(texts[name], size, context) for name in names)
    sentences = None if recipe.vocabulary == "cloned" else place.sentences(recipe)
    parts = []
    for models in place.stacks(recipe):
        if recipe.vocabulary == "cloned":
            parts.append(measure.clones_alike(models, first, other, names[1]))
        else:
            parts.append(measure.real_alike(models, first, other, sentences, names[1]))
    return _of(recipe, place.study, pd.concat(parts, ignore_index=True))


def _embedding(place: _Place, recipe: Recipe) -> pd.DataFrame:
    """Of the first two languages; of real ones, their ids that the training text has often enough."""
    parts = []
    for models in place.stacks(recipe):
        if recipe.vocabulary == "cloned":
            clones = place.clones(recipe)
            own, counts = pairs(clones, 1), place.counts[np.flatnonzero(clones.cloned)]
            bins = place.study.measures.bins
            parts.append(measure.clone_embeddings(models, own, counts, "c1", bins))
        else:
            bilingual = place.bilingual(recipe)
            ids, other = (bilingual.ids(name, OFTEN, alone=True) for name in recipe.languages)
            parts.append(measure.real_embeddings(models, ids, other, recipe.languages[1]))
    return _of(recipe, place.study, pd.concat(parts, ignore_index=True))


def _transfer(place: _Place, recipe: Recipe, number: int) -> pd.DataFrame:
    *_, last = place.stacks(recipe)
    measures = place.study.measures
    name, own = measures.tasks[number], place.tasks[number]
    if recipe.experiment == "real":
        first, other = recipe.languages
        tasks = {first: own, other: task(f"{IN_BOTH}{other}", place.study.data_dir)}
        text = place.bilingual(recipe)
        transfers = transferred_real(last, tasks, text, measures.tuning, sources=(first,))
    else:
        transfers = transferred(last, own, place.tokenizer, place.clones(recipe), measures.tuning)
    return _of(recipe, place.study, transfers.assign(task=name))
