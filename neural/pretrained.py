"""Multilingual models as studies train them: one run, one tokenizer, several checkpoints, in the study's folder.

OUT/tokenizer.json      of all languages
OUT/models/             a run of neural.loop, a model a seed
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from neural import corpus, tokenizer
from neural.config import ModelConfig
from neural.corpus import Corpus
from neural.loop import train
from neural.optim import OptimiserConfig
from neural.recipe import TrainConfig
from neural.scoring import Sliding
from neural.stack import Stack, stack
from neural.tokenizer import Tokenizer
from neural.tokens import Tokens, TokenStore, passages, store

TOKENIZER = "tokenizer.json"
MODELS = "models"
TEST = "test"


class Plan(Protocol):
    """What a study says of its models and of the text that they are trained and judged on."""

    @property
    def corpus(self) -> tuple[str, ...]: ...
    @property
    def languages(self) -> tuple[str, ...]:
        """In equal shares."""
        ...

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
    def sliding(self) -> Sliding: ...
    @property
    def text(self) -> int:
        """Tokens of held-out text a language."""
        ...

    @property
    def data_dir(self) -> Path | None: ...


def training(plan: Plan, tokenizer: Path) -> TrainConfig:
    """How the models are trained."""
    import jax

    from neural.config import compute_on

    return TrainConfig(
        model=plan.model,
        optimiser=plan.optimiser,
        compute=compute_on(jax.default_backend()),
        batch=plan.batch,
        languages=(",".join(plan.languages),),
        seeds=plan.seeds,
        checkpoints=",".join(map(str, plan.steps)),
        save_every=-(-plan.optimiser.steps // 10),
        corpus=plan.corpus,
        tokenizer=str(tokenizer),
        data_dir=plan.data_dir,
    )


@dataclass(frozen=True)
class Pretrained:
    """A study's text and models in its folder."""

    study: Plan
    out: Path

    @cached_property
    def corpus(self) -> Corpus:
        study = self.study
        return corpus.load(study.corpus, study.languages, data_dir=study.data_dir)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of all languages: that of the file, or learnt now and kept there."""
        path = self.out / TOKENIZER
        if not path.is_file():
            tokenizer.save(tokenizer.train(self.corpus, self.study.model.vocabulary), path)
        return tokenizer.load(path)

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

    def train(self, stop: Callable[[], bool]) -> None:
        """Train what is missing of the models."""
        _ = self.tokenizer  # in its file before anything is trained
        config = training(self.study, self.out / TOKENIZER)
        train(config, self.out / MODELS, resume=True, stop=stop)

    def models(self, step: int) -> Stack:
        """Those of a step, one a seed."""
        return stack(self.out / MODELS, step)
