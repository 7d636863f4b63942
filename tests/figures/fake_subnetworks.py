"""A folder of study F22 whose numbers follow a formula, in a second and without models."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural.masks.mask import COMPONENTS, size
from neural.masks.prune import FRACTION
from neural.subnetworks.plan import Hunt, Member, Study, Task, presets
from neural.text.languages import family_distance
from sim.runs.store import Run
from tests.figures.fake_study import z

LM = "language-modelling"
CONTROLS = {
    "full": 0.0,
    "random": 1.0,
    "random by matrix": 0.9,
    "random within tickets": 0.5,
    "magnitude of theta0": 0.1,
    "one-shot magnitude": 0.15,
    "movement": 0.4,
    "fisher": 0.2,
    "wanda": 0.25,
    "shuffled": 0.3,
    "mixed": 0.05,
}
"""What a mask costs more than a language's own ticket, in parts of what a random one costs."""


@dataclass(frozen=True)
class Numbers:
    """What is measured."""

    shared: float = 0.4
    """Overlap of two languages, in parts of the way from chance to the ceiling."""
    deeper: float = 0.1
    """Added to that from the first layer to the last, of tasks other than language modelling."""
    theta0: float = 0.6
    """As `shared`, of tickets and the largest weights before tuning."""
    akin: float = 0.15
    """Added to `shared` within a family, and taken off its cost."""
    random: float = 0.5
    """What a random mask costs more than a ticket: nats, or tenths of all answers."""
    other: float = 0.4
    """What another language's ticket costs, in parts of that."""
    sparser: float = 3.0
    """By which costs grow at the second density."""
    removed: float = 0.02
    """Nats that a language loses without the weights that only its ticket keeps, beyond random ones."""
    scatter: float = 0.01
    """Between seeds: of overlaps, and of costs, relative."""


def small(**changes: Any) -> Study:
    """The preset laptop with fewer tasks and steps, and one that is pruned beyond the density compared."""
    laptop = presets()["laptop"]
    tasks = tuple(
        replace(task, rounds=8 if task.name == "parts-of-speech" else task.rounds)
        for task in laptop.tasks
        if task.name in (LM, "parts-of-speech", "entities")
    )
    optimiser = replace(laptop.optimiser, steps=256)
    base: dict[str, Any] = {"tasks": tasks, "optimiser": optimiser, "early": 64}
    return replace(laptop, **(base | changes))


def write(folder: Path, study: Study, numbers: Numbers, *, without: str = "") -> Path:
    """The folder of a study that is done, or lacks the tables named."""
    tables = {
        "pretrained": _pretrained(study),
        "counts": _counts(study),
        "overlap": _overlaps(study, numbers),
        "transfer": _transfers(study, numbers),
        "ablation": _ablations(study, numbers),
        "retrieval": _retrievals(study),
        "costs": _costs(study),
    }
    run = Run.open(folder, study, resume=True, parts=[])
    for name, rows in tables.items():
        table = pd.DataFrame(rows)
        if len(table) and name not in without.split():
            run.write(f"part-{name}-all", table)
    return folder


def density_after(number: int) -> float:
    return 1 - FRACTION * number


def chance(number: int) -> float:
    q = density_after(number)
    return q / (2 - q)


def share(numbers: Numbers, task: Task, language: str, other: str) -> float:
    """Of the way from chance to the ceiling, of all layers together."""
    near = numbers.akin * (family_distance(language, other) < 2)
    return numbers.shared + near + 0.05 * affinity(task, language, other)


def affinity(task: Task, language: str, other: str) -> float:
    """Of two languages, whichever comes first, from -1 to 1."""
    return float(np.tanh(z("affinity", task.name, *sorted((language, other)))))


def cost(numbers: Numbers, task: Task, density: float, source: str, target: str) -> float:
    """More than the own ticket's."""
    if source == target:
        return 0.0
    whole = numbers.random if task.name == LM else numbers.random / 10
    if density != task.densities[0]:
        whole *= numbers.sparser
    if source in CONTROLS:
        return whole * CONTROLS[source]
    near = numbers.akin * (family_distance(source, target) < 2)
    return whole * (numbers.other - near - 0.05 * affinity(task, source, target))


def own_score(task: Task, target: str) -> float:
    """Of a language's own ticket: nats, or what is right."""
    return 3.0 + 0.1 * task.languages.index(target) if task.name == LM else 0.8


def _pretrained(study: Study) -> Iterator[dict[str, object]]:
    for step in study.steps:
        for seed in study.seeds:
            for language in study.languages:
                nats = 3 + 4 / (1 + step) + 0.01 * z("loss", seed, language)
                yield {
                    "seed": seed,
                    "step": step,
                    "language": language,
                    "nats_per_token": nats,
                    "bits_per_byte": nats / np.log(2) / 3,
                }


def _of(member: Member) -> dict[str, object]:
    return {"seed": member.seed, "language": member.language, "order": member.order}


def _counts(study: Study) -> Iterator[dict[str, object]]:
    for hunt in study.hunts:
        for member in study.members(hunt):
            for number in range(1, hunt.rounds + 1):
                for layer in range(study.model.layers):
                    for component in COMPONENTS:
                        more = 0.05 if component.startswith("mlp") else -0.1
                        yield {
                            **_of(member),
                            "round": number,
                            "kept": round(size(study.model) * density_after(number)),
                            "layer": layer,
                            "component": component,
                            "density": density_after(number) + (more if number > 1 else 0.0),
                            "task": hunt.task.name,
                            "variant": hunt.variant,
                        }


def _overlaps(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for task in study.tasks:
        for seed in study.seeds:
            for number in range(1, task.rounds + 1):
                for language, kind, other, part in _compared(study, numbers, task, number):
                    yield from _scopes(
                        study, numbers, task, seed, number, language, kind, other, part
                    )


def _compared(
    study: Study, numbers: Numbers, task: Task, number: int
) -> Iterator[tuple[str, str, str, float]]:
    """Language, kind, other language, and the part of the way from chance to the ceiling."""
    for language, other in combinations(sorted(task.languages), 2):
        yield language, "languages", other, share(numbers, task, language, other)
    for language in task.languages:
        yield language, "seeds", language, 1.0
        yield language, "theta0", language, numbers.theta0
        for variant, part in (("early", 0.7), ("rewound", 0.8), ("shuffled", 0.75)):
            if variant in task.variants and Hunt(task, variant).rounds >= number:
                yield language, variant, language, part


def _scopes(
    study: Study,
    numbers: Numbers,
    task: Task,
    seed: int,
    number: int,
    language: str,
    kind: str,
    other: str,
    part: float,
) -> Iterator[dict[str, object]]:
    layers = study.model.layers
    scatter = numbers.scatter * z("J", seed, task.name, kind, language, other)
    for scope in ("total", *(f"layer {i}" for i in range(layers)), *COMPONENTS):
        moved = 0.0
        if scope.startswith("layer ") and kind == "languages" and task.name != LM:
            moved = numbers.deeper * (int(scope[6:]) / max(layers - 1, 1) - 0.5)
        null = chance(number) + 0.01
        ceiling = 0.5 + 0.5 * null
        yield {
            "seed": seed,
            "language": language,
            "order": 0,
            "round": number,
            "density": density_after(number) - 1e-5,
            "kind": kind,
            "other": other,
            "scope": scope,
            "jaccard": null + (part + moved) * (ceiling - null) + scatter,
            "chance": chance(number),
            "expected": null,
            "task": task.name,
        }


def _transfers(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for task in study.tasks:
        for density in task.densities:
            first = density == task.densities[0]
            controls = [name for name in CONTROLS if _there(task, name, first)]
            for seed in study.seeds:
                for target in task.languages:
                    for source in (*task.languages, *controls):
                        more = cost(numbers, task, density, source, target)
                        scatter = 1 + numbers.scatter * z("a", seed, task.name, source, target)
                        yield _tuned(task, density, seed, source, target, more * scatter)
                    if first and "rewound" in task.variants:
                        yield _tuned(task, density, seed, "full, rewound", target, 0.6)
                        again = 0.65 + numbers.scatter * z("rewound", seed)
                        yield _tuned(task, density, seed, "rewound", target, again)


def _there(task: Task, control: str, first: bool) -> bool:
    if control in ("shuffled", "mixed"):
        return first and control in task.variants
    if control in ("fisher", "wanda"):
        return first and task.name == LM
    return first or control in ("full", "random")


def _tuned(
    task: Task, density: float, seed: int, source: str, target: str, more: float
) -> dict[str, object]:
    modelled = task.name == LM
    shift = 0.01 * z("own", seed, task.name)
    score = own_score(task, target) + shift + (more if modelled else -more)
    measures = {"nats": score if modelled else 0.5, task.measure: score, "score": score}
    if modelled:
        measures |= {"perplexity": np.exp(score), "bits_per_byte": score / 2}
    return {
        "source": source,
        "kind": "ticket" if source in task.languages else "control",
        "target": target,
        "task": task.name,
        "density": density,
        "seed": seed,
        "kept": 100,
        **measures,
    }


def _ablations(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for task in study.tasks:
        for density in task.densities if task.name == LM else ():
            for seed in study.seeds:
                for language in task.languages:
                    about = {"seed": seed, "language": language, "task": LM, "density": density}
                    nats = own_score(task, language)
                    yield about | {"removed": "", "how": "whole", "weights": 0, "nats": nats}
                    for removed in task.languages:
                        lost = numbers.removed if removed == language else 0.2 * numbers.removed
                        lost *= 1 + 10 * numbers.scatter * z("ablated", seed, removed, language)
                        about |= {
                            "removed": removed,
                            "weights": 1000 + task.languages.index(removed),
                        }
                        ticket = {"how": "only this ticket's", "nats": nats + 0.01 + lost}
                        yield about | ticket
                        yield about | {"how": "random", "nats": nats + 0.01}


def _retrievals(study: Study) -> Iterator[dict[str, object]]:
    tested = study.tasks[0].languages
    for step in study.steps:
        last = step == study.optimiser.steps and study.tasks[0].name == LM
        for seed in study.seeds:
            for ticket in ("", *(tested if last else ())):
                for language, other in combinations(study.languages, 2):
                    for layer in range(study.model.layers + 1):
                        margin = 0.1 + 0.05 * layer * np.log2(1 + step) / 8
                        margin += 0.01 * z("retrieval", seed)
                        less = 0.0 if not ticket else 0.01 if ticket in (language, other) else 0.03
                        yield {
                            "seed": seed,
                            "step": step,
                            "ticket": ticket,
                            "one": language,
                            "other": other,
                            "layer": layer,
                            "margin": margin - less,
                            "cosine": margin / 2,
                        }


def _costs(study: Study) -> Iterator[dict[str, object]]:
    task, n = study.tasks[0], size(study.model)
    for member in study.members(Hunt(task, "tickets")):
        for number in range(1, task.rounds + 1):
            q = density_after(number)
            for form, stored, adds, seconds in (
                ("dense", 4 * n, n, 1e-4),
                ("packed", 4 * q * n + n / 8, n, np.nan),
                ("rows", 8 * q * n, q * n, 3e-4 * q),
                ("compacted", 4 * n, n, 1e-4),
            ):
                yield {
                    **_of(member),
                    "round": number,
                    "density": q,
                    "form": form,
                    "bytes": int(stored),
                    "multiply_adds": int(adds),
                    "seconds": seconds,
                    "task": task.name,
                }
