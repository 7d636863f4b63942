"""Language modelling of each model's own language, or of several in shares, and how well any language is predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, loss, shapes
from neural.measures.scoring import Sliding, score
from neural.text.mixture import Mixture, parse_schedule
from neural.text.shuffle import key
from neural.text.tokens import Ids, Tokens
from neural.tune.objective import Batch, Loss, Measures
from sim.runs.errors import UserError

ENDLESS = 2**31
"""Steps for which a mixture is asked: it plans none of them."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """Windows of `context` tokens and the next. languages: of each model, as --languages takes them ("en", "en:3,el").

    train: training ids by language. held_out: text by language and part. shuffled: a control whose training text has
    its tokens in a random order.
    """

    languages: tuple[str, ...]
    train: Mapping[str, Ids]
    held_out: Mapping[tuple[str, str], Tokens]
    context: int
    size: int = 16
    """Windows a batch."""
    seed: int = 0
    shuffled: bool = False
    sliding: Sliding | None = None
    """How held-out text is read; by default windows of the context, half a window apart."""

    @property
    def loss(self) -> Loss:
        return next_token

    def heads(self, config: ModelConfig, seeds: Sequence[int]) -> Parameters:
        """None: a GPT has its own."""
        return {}

    def batch(self, step: int, seeds: Sequence[int]) -> Batch:
        """tokens (S, size, context + 1)."""
        windows = [
            self._mixtures[name].batch(key(self.seed, seed), step)[0]
            for name, seed in zip(self.languages, seeds, strict=True)
        ]
        return {"tokens": np.stack(windows)}

    def evaluate(
        self,
        state: Mapping[str, Any],
        config: ModelConfig,
        part: str,
        languages: Sequence[str] | None = None,
        compute: Compute = DEFAULT,
    ) -> Measures:
        """nats per token, perplexity and bits_per_byte."""
        names = np.array(languages or self.languages)
        sliding = self.sliding or Sliding(self.context, max(self.context // 2, 1))
        measures = {name: np.empty(len(names)) for name in ("nats", "perplexity", "bits_per_byte")}
        for name in dict.fromkeys(names.tolist()):
            if (name, part) not in self.held_out:
                known = ", ".join(" ".join(pair) for pair in self.held_out)
                raise UserError(f"no {part} of {name!r} in this text: choose from {known}")
            chosen = np.flatnonzero(names == name)
            filled = np.resize(chosen, len(names))  # one program for any number of models
            models = {each: np.asarray(state[each])[filled] for each in shapes(config)}
            text = self.held_out[name, part]
            scores = score(models, config, text, sliding, batch=self.size, compute=compute)
            estimates = scores.estimates(resamples=1)
            measures["nats"][chosen] = estimates["nats_per_token"].value[: len(chosen)]
            for measure in ("perplexity", "bits_per_byte"):
                measures[measure][chosen] = estimates[measure].value[: len(chosen)]
        return measures

    @cached_property
    def _mixtures(self) -> dict[str, Mixture]:
        """By what models are trained on."""
        text = {name: self._text(name) for name in self.train} if self.shuffled else self.train
        return {
            name: Mixture(
                parse_schedule(name),
                text,
                batch_size=self.size,
                context=self.context,
                steps=ENDLESS,
            )
            for name in dict.fromkeys(self.languages)
        }

    def _text(self, language: str) -> Ids:
        """The training ids of a language in a random order."""
        rng = np.random.default_rng(key(self.seed, "tokens", language))
        return rng.permutation(self.train[language])


def next_token(state: Parameters, batch: Any, config: ModelConfig, compute: Compute) -> jax.Array:
    """The mean loss of every token of windows (B, T + 1) from those before it, in nats."""
    return loss(state, batch["tokens"][:, :-1], batch["tokens"][:, 1:], config, compute)
