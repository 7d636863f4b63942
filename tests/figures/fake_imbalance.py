"""A folder of study S24 whose numbers follow a formula, in a second and without models."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural.imbalance.plan import Recipe, Study, presets
from neural.text.mixture import BALANCED, IMBALANCED
from sim.runs.store import Run
from tests.figures.fake_study import z

A, B, C = 0.45, 0.3, 0.05
"""Of every monolingual curve, 1/PPL = C - A x^(-B) at width 64."""
BINS = 4


@dataclass(frozen=True)
class Numbers:
    """What is measured."""

    balanced: float = 0.8
    """TEff of equal shares at 1x."""
    minority: float = 2.0
    """TEff of the second language at share 0.1; between the two it is linear in the share."""
    majority: float = 1.0
    """Of the first."""
    trend: float = 0.1
    """By which the TEff of equal shares falls with a doubling of the budget."""
    aligned: float = 0.4
    """Cosines at share 0.1 less those of equal shares."""
    accuracy: float = 0.2
    """Of a classifier in the language it was not tuned in, at share 0.1 less that at equal shares."""
    forgotten: float = 2.0
    """Nats that the first language loses where the second follows it."""
    changing: float = 1.2
    """TEff of both languages where shares change and are equal over all, times that of equal shares."""
    scatter: float = 0.01
    """Between seeds, relative."""


def small(**changes: Any) -> Study:
    """The preset laptop with fewer budgets and shares."""
    base: dict[str, Any] = {
        "budgets": (0.25, 1.0, 4.0),
        "shares": (0.5, 0.3, 0.1, 0.02, 0.0),
        "anchors": (0.25, 1.0),
        "many": 4,
        "further": 1.0,
    }
    return replace(presets()["laptop"], **(base | changes))


def perplexity(tokens: float, width: int = 64, seed: int = 0, scatter: float = 0.0) -> float:
    """Of a monolingual model; wider ones are better."""
    c = C * (width / 64) ** 0.2 * (1 + scatter * z("c", seed))
    return 1 / (c - A * c / C * tokens**-B)


def efficiency(numbers: Numbers, recipe: Recipe, language: str) -> float:
    """TEff of a language in a run, without scatter."""
    shares = [sum(stage) / len(recipe.stages) for stage in zip(*recipe.stages, strict=True)]
    if max(shares) == 1:
        return 1.0
    balanced = numbers.balanced - numbers.trend * np.log2(recipe.budget)
    balanced *= 1 + 0.5 * recipe.anchors
    if recipe.schedule:
        return balanced * numbers.changing
    unequal = (BALANCED - recipe.share) / (BALANCED - IMBALANCED)
    if len(recipe.languages) > 2:
        unequal = float(recipe.stages[0][0] == 0.5)
    far = numbers.majority if language == recipe.languages[0] else numbers.minority
    return float(balanced + (far - balanced) * unequal)


def write(folder: Path, study: Study, numbers: Numbers, *, without: str = "") -> Path:
    """The folder of a study that is done, or lacks the tables named."""
    tables = {
        "perplexity": _perplexities(study, numbers),
        "alignment": _alignments(study, numbers),
        "embedding": _embeddings(study, numbers),
        "transfer": _transfers(study, numbers),
    }
    run = Run.open(folder, study, resume=True, parts=[])
    for name, rows in tables.items():
        table = pd.DataFrame(rows)
        if len(table) and name not in without.split():
            run.write(f"part-{name}-all", table)
    return folder


def _keys(study: Study, recipe: Recipe, seed: int, step: int | None = None) -> dict[str, object]:
    last = study.optimisation(recipe).steps
    return {
        "run": recipe.name,
        "experiment": recipe.experiment,
        "width": recipe.width,
        "layers": study.model.layers,
        "budget": float(recipe.budget),
        "share": recipe.share,
        "anchors": recipe.anchors,
        "languages": len(recipe.languages),
        "schedule": recipe.schedule,
        "pair": recipe.pair,
        "vocabulary": recipe.vocabulary,
        "seed": seed,
        "step": last if step is None else step,
        "last": step is None or step == last,
    }


def steps(study: Study, recipe: Recipe) -> list[int]:
    last = study.optimisation(recipe).steps
    return [0, *(2**i for i in range(20) if 2**i < last), last] if recipe.looks else [last]


def seen(study: Study, recipe: Recipe, language: int) -> float:
    """Tokens of a language over a whole run."""
    share = sum(stage[language] for stage in recipe.stages) / len(recipe.stages)
    return study.tokens(recipe) * share


def nats(study: Study, numbers: Numbers, recipe: Recipe, language: int, seed: int) -> float:
    """The loss at the end of training."""
    name = recipe.languages[language]
    scatter = 1 + numbers.scatter * z(recipe.name, name, seed)
    worth = efficiency(numbers, recipe, name) * (1 if scatter_free(recipe) else scatter)
    tokens = worth * seen(study, recipe, language)
    loss = float(np.log(perplexity(tokens, recipe.width, seed, numbers.scatter)))
    lost = recipe.schedule == "0 > 1" and not language
    return loss + (numbers.forgotten if lost else 0.0)


def scatter_free(recipe: Recipe) -> bool:
    """Monolingual runs lie on their seed's curve."""
    return max(sum(stage) / len(recipe.stages) for stage in zip(*recipe.stages, strict=True)) == 1


def _perplexities(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe in study.runs:
        for seed in study.seeds:
            for language, name in enumerate(recipe.languages):
                tokens = seen(study, recipe, language)
                loss = nats(study, numbers, recipe, language, seed) if tokens else 9.0
                yield _keys(study, recipe, seed) | {
                    "language": name,
                    "seen": int(tokens),
                    "nats_per_token": loss,
                    "bits_per_byte": loss / np.log(2) / 3,
                }


def alike(numbers: Numbers, recipe: Recipe, progress: float = 1.0) -> float:
    """By how much what belongs together is more alike than what does not."""
    unequal = (BALANCED - recipe.share) / (BALANCED - IMBALANCED)
    moved = 0.0 if recipe.experiment == "real" else numbers.aligned * unequal
    return (0.1 + moved) * progress


def _compared(study: Study) -> Iterator[tuple[Recipe, int, int, float]]:
    """Runs of two languages, seeds, steps, and how far training is."""
    for recipe in study.runs:
        if len(recipe.languages) == 2 and 0 < recipe.share < 1:
            kept = steps(study, recipe)
            for seed in study.seeds:
                for step in kept:
                    yield recipe, seed, step, float(np.log2(1 + step) / np.log2(1 + kept[-1]))


def _alignments(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    tensors = ["wte.weight", "wpe.weight", "ln_f.weight", "lm_head.weight"]
    for layer in range(study.model.layers):
        parts = ("ln_1.weight", "attn.c_attn.weight", "mlp.c_fc.weight")
        tensors += [f"h.{layer}.{part}" for part in parts]
    for recipe, seed, step, progress in _compared(study):
        keys = _keys(study, recipe, seed, step) | {"language": recipe.languages[1]}
        more = alike(numbers, recipe, progress) + numbers.scatter * z("alike", recipe.name, seed)
        for layer in range(study.model.layers + 1):
            yield keys | _measured("state cosine", str(layer), 0.3 + more, 0.3)
        for i, tensor in enumerate(tensors):
            yield keys | _measured("gradient cosine", tensor, more + 0.01 * i, np.nan)
        if recipe.experiment != "real":
            for layer in range(study.model.layers):
                yield keys | _measured("context kept", str(layer), more, np.nan)


def _measured(measure: str, place: str, value: float, unrelated: float) -> dict[str, object]:
    return {"measure": measure, "place": place, "value": value, "unrelated": unrelated}


def _embeddings(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, progress in _compared(study):
        more = alike(numbers, recipe, progress) + numbers.scatter * z("alike", recipe.name, seed)
        bins = [-1] if recipe.experiment == "real" else range(BINS)
        for number in bins:
            yield _keys(study, recipe, seed, step) | {
                "language": recipe.languages[1],
                "bin": number,
                "frequency": np.nan if number < 0 else 10.0 ** (number + 1),
                "value": more + 0.05 * number,
                "unrelated": 0.02,
                "matched": np.nan if number < 0 else min(1.0, more),
            }


def _transfers(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe in study.runs:
        chosen = recipe.looks and recipe.experiment == "grid"
        if not chosen:
            continue
        unequal = (BALANCED - recipe.share) / (BALANCED - IMBALANCED)
        for seed in study.seeds:
            for task in study.measures.tasks:
                for target in recipe.languages:
                    lost = 0.0 if target == "c0" else 0.4 - numbers.accuracy * unequal
                    scatter = numbers.scatter * z(recipe.name, seed, task, target)
                    yield _keys(study, recipe, seed) | {
                        "task": task,
                        "source": "c0",
                        "target": target,
                        "accuracy": 0.8 - lost + scatter,
                        "majority": 0.25,
                    }
