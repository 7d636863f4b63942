"""Models as studies train them, in the study's folder: one tokenizer of all text, runs with several checkpoints.

OUT/tokenizer.json      of all text
OUT/models/             a run of neural.train.loop, a model a seed; or a folder with several runs
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

from neural.gpt.config import ModelConfig
from neural.measures.scoring import Sliding
from neural.study.stack import Stack, stack
from neural.study.training import trained_as
from neural.text import corpus, tokenizer
from neural.text.corpora import NotThere
from neural.text.corpus import Corpus
from neural.text.tokenizer import Tokenizer
from neural.text.tokens import Tokens, TokenStore, passages, store
from neural.train.data import prepare
from neural.train.loop import require_trainable, train
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig

TOKENIZER = "tokenizer.json"
MODELS = "models"
TEST = "test"


class Trained(Protocol):
    """What a study says of its models and of the text that they are trained on."""

    @property
    def corpus(self) -> tuple[str, ...]: ...
    @property
    def model(self) -> ModelConfig: ...
    @property
    def optimiser(self) -> OptimiserConfig: ...
    @property
    def batch(self) -> int: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def steps(self) -> tuple[int, ...]:
        """Whose models are kept."""
        ...

    @property
    def data_dir(self) -> Path | None: ...


class Plan(Trained, Protocol):
    """The same of models of all languages, and of the text that they are judged on."""

    @property
    def languages(self) -> tuple[str, ...]:
        """In equal shares."""
        ...

    @property
    def aligned(self) -> tuple[str, ...]:
        """Sources of text that is the same in every language."""
        ...

    @property
    def sliding(self) -> Sliding: ...
    @property
    def text(self) -> int:
        """Tokens of held-out text a language."""
        ...


def training(plan: Trained, texts: Sequence[str], tokenizer: Path) -> TrainConfig:
    """How models of these texts are trained, in equal shares."""
    return trained_as(
        plan,
        plan.model,
        plan.optimiser,
        ",".join(texts),
        checkpoints=plan.steps,
        save_every=-(-plan.optimiser.steps // 10),
        tokenizer=tokenizer,
    )


@dataclass(frozen=True)
class Place:
    """A study's text, and its tokenizer and models, in its folder."""

    study: Trained
    out: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Of all text."""
        raise NotImplementedError

    @cached_property
    def corpus(self) -> Corpus:
        study = self.study
        return corpus.load(study.corpus, self.names, data_dir=study.data_dir)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of all text: that of the file, or learnt now and kept there."""
        path = self.out / TOKENIZER
        if not path.is_file():
            tokenizer.save(tokenizer.train(self.corpus, self.study.model.vocabulary), path)
        return tokenizer.load(path)

    def require(self, texts: Sequence[str]) -> None:
        """Raise UserError where models of these texts cannot be trained."""
        _ = self.tokenizer
        config = training(self.study, texts, self.out / TOKENIZER)
        require_trainable(config, prepare(config))

    def trained(self, texts: Sequence[str], folder: Path, stop: Callable[[], bool]) -> None:
        """Train what is missing of the models of these texts."""
        _ = self.tokenizer  # in its file before anything is trained
        config = training(self.study, texts, self.out / TOKENIZER)
        train(config, folder, resume=True, stop=stop)


@dataclass(frozen=True)
class Pretrained(Place):
    """Models of all languages."""

    study: Plan

    @property
    def names(self) -> tuple[str, ...]:
        return self.study.languages

    @cached_property
    def tokens(self) -> TokenStore:
        return store(self.corpus, self.tokenizer)

    @cached_property
    def held_out(self) -> dict[str, Tokens]:
        """Test text of every language."""
        study, end = self.study, self.tokenizer.end_of_text
        return {
            name: passages(self.tokens[name, TEST], study.text, study.sliding.window, end)
            for name in study.languages
        }

    def translations(self, wanted: int) -> list[tuple[str, ...]]:
        """All sentences that are the same in every language. Raises NotThere for fewer than wanted."""
        study = self.study
        text = corpus.load(study.aligned, study.languages, data_dir=study.data_dir)
        rows = list(dict.fromkeys(text.aligned(TEST, *study.languages).values()))
        if len(rows) < wanted:
            raise NotThere(
                f"{len(rows)} sentences of {', '.join(study.aligned)} are aligned in {', '.join(study.languages)}: "
                f"give text with {wanted}, or fewer languages"
            )
        return rows

    @classmethod
    def opened(cls, study: Any, out: Path) -> Self:
        """A study with its text and tasks, which leave no folder behind where they cannot be read."""
        study.check()
        place = cls(study, out)
        place.read()
        return place

    def read(self) -> None:
        """Read all that can be read before the tokenizer. Raises UserError for what cannot."""
        raise NotImplementedError

    def require_trainable(self) -> None:
        """Raise UserError where the models cannot be trained."""
        self.require(self.names)

    def train(self, stop: Callable[[], bool]) -> None:
        """Train what is missing of the models."""
        self.trained(self.names, self.out / MODELS, stop)

    def models(self, step: int) -> Stack:
        """Those of a step, one a seed."""
        return stack(self.out / MODELS, step)
