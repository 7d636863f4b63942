"""A folder of study B22 whose numbers follow a formula, in a second and without models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural.dynamics.plan import REDRAWN, Name, Study, presets
from neural.text.languages import family_distance
from sim.runs.store import Run
from tests.figures.fake_study import z

UNTRAINED, BEST, MAJORITY = 0.2, 0.8, 0.15
"""Accuracies: of an untrained model, of the best step, and of the most frequent class."""
RISE = 2.0
"""Octaves in which a skill rises, straight."""
CHANCE = 0.1
"""F1 of links that end anywhere."""


@dataclass(frozen=True)
class Numbers:
    """What is measured; the opposite of the claims has sign -1."""

    sign: int = 1
    scatter: float = 0.02
    """Between seeds, of onsets in octaves; of scores a tenth."""
    forgotten: float = 0.05
    """What the last layer loses an octave after its best."""
    never: tuple[tuple[str, str], ...] = ()
    """Pairs between which no probe works better than untrained."""


def small(**changes: Any) -> Study:
    """The preset laptop with fewer languages, tasks, layers and steps, and three seeds."""
    laptop = presets()["laptop"]
    base: dict[str, Any] = {
        "languages": ("en", "de", "fi", "zh"),
        "model": replace(laptop.model, layers=2),
        "optimiser": replace(laptop.optimiser, steps=128),
        "finer": 64,
        "seeds": (0, 1, 2),
        "tasks": ("parts-of-speech", "arcs", "topics"),
        "controls": ("parts-of-speech",),
        "draws": 2,
        "together": 2,
    }
    return replace(laptop, **(base | changes))


def octaves(study: Study) -> dict[int, float]:
    """log2 of the steps, 0 counted as half the first after it."""
    return {step: float(np.log2(max(step, study.steps[1] / 2))) for step in study.steps}


def end_of_rise(numbers: Numbers, task: Name, language: str, other: str, seed: int) -> float:
    """The octave in which a skill is best."""
    later = {"parts-of-speech": -0.5, "arcs": 0.0, "relations": 0.1, "topics": 0.5}.get(task, 0.2)
    octave = 5 + numbers.sign * later + (0 if numbers.sign > 0 else 0.6)
    if language != other:
        octave += numbers.sign * (0.8 + 0.3 * far(language, other))
    return octave + numbers.scatter * z(task, language, other, seed)


def far(language: str, other: str) -> float:
    """Of families; of invented languages 0."""
    distance = family_distance(language, other)
    return 0.0 if np.isnan(distance) else distance


def accuracy(
    study: Study,
    numbers: Numbers,
    task: Name,
    language: str,
    other: str,
    row: Mapping[str, int],
    turn: int,
) -> float:
    """turn: 1 of dev; of test -1 turns round what comes after the rise."""
    if (language, other) in numbers.never:
        return UNTRAINED
    x, end = octaves(study)[row["step"]], end_of_rise(numbers, task, language, other, row["seed"])
    risen = float(np.clip((x - end + RISE) / RISE, 0, 1))
    top = BEST - UNTRAINED - 0.1 * (language != other) * far(language, other) * numbers.sign
    after = max(x - end, 0.0)
    if row["layer"] == study.model.layers:
        return UNTRAINED + top * risen - numbers.forgotten * turn * after
    less = 0.01 * (study.model.layers - row["layer"])
    return UNTRAINED - less + top * risen + (0.0005 if language == other else -0.004) * turn * after


def write(folder: Path, study: Study, numbers: Numbers, *, without: str = "") -> Path:
    """The folder of a study that is done, or lacks the tables named."""
    tables = {
        "similarity": _similarities(study),
        "bits": _bits(study, numbers),
        "probes": _probes(study, numbers),
        "controls": _controls(study, numbers),
        "length": _lengths(study, numbers),
        "identity": _identities(study, numbers),
        "retrieval": _retrievals(study, numbers),
        "alignment": _alignments(study, numbers),
    }
    run = Run.open(folder, study, resume=True, parts=[])
    for name, rows in tables.items():
        table = pd.DataFrame(rows)
        if name in without.split():
            continue
        for part, some in _parts(study, table):
            if len(some):
                run.write(f"part-{name}-{part}", some)
    return folder


def _parts(study: Study, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """As the study divides them, by step."""
    if "step" not in table:
        yield "all", table
        return
    for steps in study.groups:
        yield f"all-steps-{steps[0]}-{steps[-1]}", table[table["step"].isin(steps)]


def _about(study: Study, steps: tuple[int, ...] = ()) -> list[dict[str, int]]:
    layers = range(study.model.layers + 1)
    return [
        {"step": step, "seed": seed, "layer": layer}
        for step, seed, layer in product(steps or study.steps, study.seeds, layers)
    ]


def trained(study: Study, numbers: Numbers, step: int) -> float:
    """What training has added, 0.05 an octave."""
    at = octaves(study)
    return numbers.sign * (at[step] - at[0]) / 20


def noise(numbers: Numbers, *key: object) -> float:
    return numbers.scatter / 10 * z(*key)


def _similarities(study: Study) -> Iterator[dict[str, object]]:
    for language, other in combinations(study.languages, 2):
        overlap = (
            0.5 - 0.1 * far(language, other) + 0.02 * float(np.tanh(z("shared", language, other)))
        )
        distance = family_distance(language, other)
        yield {"one": language, "other": other, "distance": distance, "overlap": overlap}


def bits_per_character(study: Study, numbers: Numbers, seed: int, step: int) -> float:
    return 4 - 8 * trained(study, numbers, step) + noise(numbers, "bits", seed)


def _bits(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for step, seed, language in product(study.steps, study.seeds, study.languages):
        bits = bits_per_character(study, numbers, seed, step)
        yield {
            "step": step,
            "seed": seed,
            "language": language,
            "nats_per_token": 3 * bits * np.log(2),
            "bits_per_byte": bits / 2 if language == "zh" else bits,
            "bits_per_character": bits,
        }


def _probes(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for task in study.tasks:
        sources = study.sources(task)
        draws = range(study.draws if task in REDRAWN else 1)
        for language, other, row in product(sources, sources, _about(study)):
            score = accuracy(study, numbers, task, language, other, row, numbers.sign)
            dev = accuracy(study, numbers, task, language, other, row, 1)
            for removed in (False, True) if task == "parts-of-speech" else (False,):
                more = 0.05 * numbers.sign * (removed and language != other)
                for draw in draws:
                    yield {
                        **row,
                        "task": task,
                        "draw": draw,
                        "train": language,
                        "test": other,
                        "removed": removed,
                        "accuracy": score + more + 0.001 * (draw - np.mean(draws)),
                        "loss": 2 - score,
                        "accuracy_dev": dev,
                        "loss_dev": 2 - dev,
                        "majority": MAJORITY,
                        "strength": 1.0,
                        "converged": row["layer"] > 0,
                    }


def _controls(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for task, language, row in product(
        study.controls, study.languages, _about(study, study.coarse_steps)
    ):
        own = accuracy(study, numbers, task, language, language, row, numbers.sign)
        less = 0.01 * numbers.sign + trained(study, numbers, row["step"])
        scatter = noise(numbers, "control", row["seed"])
        for draw in range(study.draws):
            about = {**row, "task": task, "draw": draw, "language": language, "loss": 2.0}
            yield about | {"accuracy": own - less + scatter, "memorisable": 0.7}


def _lengths(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    if "parts-of-speech" not in study.tasks:
        return
    for language, row in product(study.languages, _about(study, study.coarse_steps)):
        scatter = noise(numbers, "code", row["seed"])
        bits = 1000 * 2 ** -(trained(study, numbers, row["step"]) + scatter) + 10 * row["layer"]
        for draw in range(study.draws):
            yield {
                **row,
                "task": "parts-of-speech",
                "draw": draw,
                "language": language,
                "bits": bits,
                "uniform": 2000.0,
                "compression": 2000 / bits,
                "converged": True,
            }


def _identities(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    units = ("words", "sentences") if set(study.tasks) - {"topics", "pairing"} else ("sentences",)
    for unit, row in product(units, _about(study)):
        scatter = noise(numbers, unit, row["seed"])
        about = {**row, "unit": unit, "majority": 0.25, "share": 0.1}
        identified = {"accuracy": 0.25 + 0.2 * numbers.sign + scatter}
        yield about | identified | {"without": 0.26 + scatter + (numbers.sign < 0) * 0.3}


def retrieved(study: Study, numbers: Numbers, row: Mapping[str, int], removed: bool) -> float:
    more = 0.1 * numbers.sign * removed + noise(numbers, "retrieval", row["seed"])
    return 0.3 + trained(study, numbers, row["step"]) + more - 0.01 * row["layer"]


def _retrievals(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for (language, other), row in product(combinations(study.languages, 2), _about(study)):
        for removed in (False, True):
            margin = retrieved(study, numbers, row, removed)
            about = {**row, "one": language, "other": other, "removed": removed, "chance": 1 / 600}
            yield about | {"margin": margin, "cosine": margin / 2}


def _alignments(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    with_answers = [name for name in study.languages if name != "fi"]  # as XQuAD has none
    for (language, other), row in product(combinations(with_answers, 2), _about(study)):
        for method, answers in product(("argmax", "itermax"), ("all", "differing")):
            f1 = 0.3 + trained(study, numbers, row["step"]) / 2 + 0.1 * (answers == "all")
            f1 = f1 if numbers.sign > 0 else 0.05
            yield {
                **row,
                "one": language,
                "other": other,
                "method": method,
                "answers": answers,
                "precision": 0.5,
                "recall": 0.25,
                "f1": f1 + noise(numbers, method, row["seed"]),
                "chance": CHANCE,
                "answered": 0.6,
                "n": 20,
            }
