"""Fine-tuned sequence classifiers under failure: Daras et al. 2022's test on GLUE, also at equal clean accuracy."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.measures.perturb import failed, is_random
from neural.robustness.plan import Classification, Hit, Study
from neural.study.stack import Stack
from neural.text.labelled import task
from neural.text.tokenizer import Tokenizer
from neural.tune.classifier import Tuned, fine_tune
from neural.tune.examples import Examples, examples
from neural.tune.head import Classifier, correct

Ints = NDArray[np.int64]


class Tuning:
    """The fine-tuned stacks of a study, each tuned once, and what failures leave of them."""

    def __init__(self, plan: Classification, study: Study, tokenizer: Tokenizer) -> None:
        self.plan, self.study, self.tokenizer = plan, study, tokenizer
        self._examples: dict[str, tuple[Examples, ...]] = {}
        self._tuned: dict[tuple[str, str], Tuned] = {}
        self._broken: dict[tuple[str, str, tuple[int, ...]], pd.DataFrame] = {}

    def compared(self, name: str, first: Stack, other: Stack) -> pd.DataFrame:
        """Accuracies of two stacks on a task under failure, a row a model, failure, level and draw.

        at: "best", after the epochs where each is best on dev, and "equal", where they are nearly equal there.
        """
        tuned = [self.tuned(name, stack) for stack in (first, other)]
        best = [item.epoch for item in tuned]
        parts = [
            self._rows(name, stack, epochs).assign(at=at)
            for at, chosen in (("best", best), ("equal", equal_epochs(*tuned)))
            for stack, epochs in zip((first, other), chosen, strict=True)
        ]
        return pd.concat(parts, ignore_index=True)

    def examples(self, name: str) -> tuple[Examples, ...]:
        """train, dev and test of a task as tokens."""
        if name not in self._examples:
            dataset = task(name, self.study.data_dir)
            parts = []
            for part, most in zip(
                (dataset.train, dataset.dev, dataset.test), self.plan.most, strict=True
            ):
                if len(part) > most:
                    part = part.balanced(self.study.measures.seed, most // len(part.names))
                parts.append(examples(part, self.tokenizer, self.study.model))
            self._examples[name] = tuple(parts)
        return self._examples[name]

    def tuned(self, name: str, stack: Stack) -> Tuned:
        """The stack, fine-tuned on a task."""
        key = (name, stack.name)
        if key not in self._tuned:
            train, dev, _ = self.examples(name)
            self._tuned[key] = fine_tune(
                stack.parameters,
                stack.config,
                train,
                dev,
                self.plan.tuning,
                seeds=stack.seeds,
                keep=True,
            )
        return self._tuned[key]

    def _rows(self, name: str, stack: Stack, epochs: Ints) -> pd.DataFrame:
        key = (name, stack.name, tuple(epochs.tolist()))
        if key not in self._broken:
            classifier = self.tuned(name, stack).at(epochs)
            measures, test = self.study.measures, self.examples(name)[2]
            rows = broken(classifier, test, self.plan.hit, seed=measures.seed, draws=measures.draws)
            seeds = np.array(stack.seeds)[rows.pop("place")]
            self._broken[key] = rows.assign(task=name, model=stack.name, seed=seeds)
        return self._broken[key]


def equal_epochs(first: Tuned, other: Tuned) -> tuple[Ints, Ints]:
    """For each seed epochs after which the two have nearly the same accuracy on dev.

    The less accurate at its best; the other after the epoch that comes nearest to it, the last of equals.
    """
    best = np.minimum(first.accuracy.max(axis=0), other.accuracy.max(axis=0))
    return _nearest(first, best), _nearest(other, best)


def _nearest(tuned: Tuned, accuracy: NDArray[np.float64]) -> Ints:
    gaps = np.abs(tuned.accuracy - accuracy)[::-1]
    epochs: Ints = len(gaps) - 1 - gaps.argmin(axis=0)
    return epochs


def broken(
    classifier: Classifier, data: Examples, hit: Hit, *, seed: int, draws: int
) -> pd.DataFrame:
    """Accuracy of a stack of classifiers under every failure of a group: a row a model, failure, level and draw.

    `place` is the model's in the stack. The head stays whole.
    """
    return pd.concat(_rows(classifier, data, hit, seed, draws), ignore_index=True)


def _rows(
    classifier: Classifier, data: Examples, hit: Hit, seed: int, draws: int
) -> Iterator[pd.DataFrame]:
    S = len(classifier.head)
    for failure, strengths in hit.failures:
        copies = draws if is_random(failure) else 1
        for level, strength in enumerate(strengths):
            parameters = failed(
                classifier.parameters,
                classifier.config,
                hit.group,
                failure,
                strength,
                seed=seed,
                level=level,
                draws=copies,
            )
            right = correct(classifier, data, parameters).reshape(S, copies, -1).mean(axis=-1)
            place, draw = (index.reshape(-1) for index in np.indices(right.shape))
            yield pd.DataFrame(
                {
                    "place": place,
                    "group": hit.group,
                    "failure": failure,
                    "level": level,
                    "strength": strength,
                    "draw": draw,
                    "accuracy": right.reshape(-1),
                }
            )
