"""A folder of the study across the four whose numbers follow a formula, in a second and without models."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural.across.measure import LANGUAGE, RETRIEVAL, TAGS, TRANSFERRED
from neural.across.plan import GROUPS, Recipe, Study, presets
from neural.masks.mask import prunable
from neural.measures.perturb import is_random
from sim.runs.store import Run
from tests.figures.fake_imbalance import perplexity
from tests.figures.fake_study import z

LEAST = 2000
"""Tokens below which the monolingual curve has no perplexity."""


@dataclass(frozen=True)
class Numbers:
    """What is measured at the end of training."""

    balanced: float = 0.1
    """What equal shares add to the overlap of a model of one language, of the way from chance to the ceiling."""
    imbalanced: float = 0.3
    """What 90/10 adds."""
    robust: float = 1.0
    """What failures add less, in nats, for an overlap of 1 more."""
    late: float = 2.0
    """Sharing grows with the part of training that is done, in logarithms; robustness with that to this power."""
    early: float = 0.5
    """Sharing at 90/10 grows with the part of training done to this power."""
    majority: float = 0.95
    """TEff of the first language at 90/10; at equal shares it is 0.8."""
    minority: float = 2.0
    """Of the second."""
    scatter: float = 0.002
    """Between models."""


def small(**changes: Any) -> Study:
    """The preset laptop with three seeds, of which models are kept from step 64 on."""
    base: dict[str, Any] = {"seeds": (0, 1, 2), "first": 64, "others": ("fr",)}
    return replace(presets()["laptop"], **(base | changes))


def write(folder: Path, study: Study, numbers: Numbers, *, without: str = "") -> Path:
    """The folder of a study that is done, or lacks the tables named."""
    tables = {
        "loss": _losses(study, numbers),
        "failures": _failures(study, numbers),
        "slopes": _slopes(study, numbers),
        "alike": _alike(study, numbers),
        "probes": _probes(study, numbers),
        "overlap": _overlaps(study, numbers),
        "ablation": _ablations(study, numbers),
    }
    run = Run.open(folder, study, resume=True, parts=[])
    for name, rows in tables.items():
        if name not in without.split():
            run.write(f"part-{name}-all", pd.DataFrame(rows))
    return folder


def _keys(study: Study, recipe: Recipe, seed: int, step: int) -> dict[str, object]:
    return {
        "run": recipe.name,
        "pair": recipe.pair,
        "share": recipe.share,
        "budget": recipe.budget,
        "seed": seed,
        "step": step,
        "last": step == study.optimisation(recipe).steps,
    }


def _models(
    study: Study, steps: tuple[int, ...]
) -> Iterator[tuple[Recipe, int, int, dict[str, object]]]:
    for recipe in study.studied:
        for seed in study.seeds:
            for step in steps:
                yield recipe, seed, step, _keys(study, recipe, seed, step)


def progress(study: Study, step: int) -> float:
    return float(np.log2(1 + step) / np.log2(1 + study.optimiser.steps))


def shared(numbers: Numbers, recipe: Recipe) -> float:
    """More than by a model of one language, at the end."""
    if not recipe.share:
        return 0.0
    return numbers.balanced if recipe.share == 0.5 else numbers.imbalanced


def grown(study: Study, numbers: Numbers, recipe: Recipe, step: int, power: float = 1.0) -> float:
    power *= numbers.early if recipe.share == 0.1 else 1.0
    return shared(numbers, recipe) * progress(study, step) ** power


def teff(numbers: Numbers, recipe: Recipe, language: str) -> float:
    if recipe.share in (0.0, 1.0):
        return 1.0
    if recipe.share == 0.5:
        return 0.8
    return numbers.majority if language == recipe.languages[0] else numbers.minority


def _losses(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe in study.runs:
        last = study.optimisation(recipe).steps
        known = recipe.languages if recipe.studied else recipe.trained
        for seed in study.seeds:
            for step in study.steps if recipe.studied else (last,):
                for language in known:
                    share = recipe.share if language == recipe.languages[1] else 1 - recipe.share
                    seen = share * study.tokens(recipe) * step / last
                    nats = 6.0
                    if seen:
                        worth = max(teff(numbers, recipe, language) * seen, LEAST)
                        nats = float(np.log(perplexity(worth, 64, seed)))
                    yield _keys(study, recipe, seed, step) | {
                        "language": language,
                        "seen": int(seen),
                        "nats_per_token": nats,
                        "bits_per_byte": nats / np.log(2) / 3,
                    }


def damage(study: Study, numbers: Numbers, recipe: Recipe, seed: int, step: int) -> float:
    """The area under failures, in nats a token."""
    spared = numbers.robust * grown(study, numbers, recipe, step, numbers.late)
    return 1.0 - spared + numbers.scatter * z("damage", recipe.name, seed, step)


def _failures(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.steps):
        area = damage(study, numbers, recipe, seed, step)
        for group in GROUPS:
            for failure, strengths in study.broken.failures:
                for level, strength in enumerate(strengths):
                    # A straight line from 0 has half of its end as its mean.
                    added = 2 * area * strength / strengths[-1]
                    for draw in range(2 if is_random(failure) else 1):
                        yield keys | {
                            "group": group,
                            "failure": failure,
                            "level": level,
                            "strength": strength,
                            "draw": draw,
                            "nats_per_token": 4.0 + added,
                        }


def _slopes(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.steps):
        area = damage(study, numbers, recipe, seed, step)
        for group in GROUPS:
            yield keys | {"group": group, "slope": 3 * area, "standard_error": 0.01}


def _alike(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.steps):
        more = grown(study, numbers, recipe, step)
        more += numbers.scatter * z("alike", recipe.name, seed, step)
        for layer in range(1, study.model.layers + 1):
            place = {"measure": "state cosine", "place": str(layer)}
            yield keys | place | {"value": 0.3 + more, "unrelated": 0.2}
        for name in prunable(study.model):
            place = {"measure": "gradient cosine", "place": name}
            yield keys | place | {"value": 0.05 + more, "unrelated": np.nan}


def _probes(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.steps):
        more = grown(study, numbers, recipe, step)
        more += numbers.scatter * z("probes", recipe.name, seed, step)
        for probe, chance, value in (
            (LANGUAGE, 0.5, 1.0),
            (RETRIEVAL, 0.01, 0.1 + more),
            (TAGS, 0.2, 0.5),
            (TRANSFERRED, 0.2, 0.3 + more),
        ):
            for layer in range(1, study.model.layers + 1):
                yield keys | {"probe": probe, "layer": layer, "accuracy": value, "chance": chance}


def _overlaps(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.ticket_steps):
        part = 0.4 + grown(study, numbers, recipe, step)
        part += numbers.scatter * z("overlap", recipe.name, seed, step)
        yield keys | {
            "density": 0.5,
            "jaccard": 1 / 3 + part * (0.9 - 1 / 3),
            "expected": 1 / 3,
            "ceiling": 0.9,
            "overlap": part,
            "untuned": 0.7,
        }


def _ablations(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for recipe, seed, step, keys in _models(study, study.ticket_steps):
        alone = 0.5 - grown(study, numbers, recipe, step)
        alone += numbers.scatter * z("ablation", recipe.name, seed, step)
        for language in recipe.languages:
            yield keys | _removed("", "whole", language, 4.0)
            for removed in recipe.languages:
                added = alone if removed == language else 0.1
                yield keys | _removed(removed, "only this ticket's", language, 4.05 + added)
                yield keys | _removed(removed, "random", language, 4.05)


def _removed(removed: str, how: str, language: str, nats: float) -> dict[str, object]:
    weights = 100 if removed else 0
    return {
        "removed": removed,
        "how": how,
        "weights": weights,
        "language": language,
        "nats": nats,
    }
