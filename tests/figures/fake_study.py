"""A folder of study D22 whose numbers follow a formula, in a second and without models."""

import zlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural.measures.perturb import is_random
from neural.robustness.plan import HEADS, MAIN, Comparison, Hit, Study, hit, presets
from sim.runs.store import Run

MATRICES = {
    "wte.weight": (None, "embedding"),
    "wpe.weight": (None, "embedding"),
    **{
        f"h.{layer}.{part}.weight": (layer, "attention" if "attn" in part else "mlp")
        for layer in range(2)
        for part in ("attn.q", "attn.k", "attn.v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    },
}
"""Layer and component by name."""


@dataclass(frozen=True)
class Numbers:
    """What is measured, in nats a token, of models of k texts."""

    clean: float = 0.05
    """Added to the clean loss 3 by every text beyond the first."""
    damage: float = 2.0
    """Loss added at the greatest strength of any failure, to a model of one text."""
    spared: Mapping[str, float] | float = 0.2
    """By model of several texts, or for all: the part of that damage which it is spared."""
    scatter: float = 0.01
    """Of damages between seeds, relative: seed s of model m has 1 + scatter z(m, s)."""
    ratio: float = 0.9
    """Of measured to predicted slope."""


@lru_cache(maxsize=None, typed=True)
def z(*key: Hashable) -> float:
    """A standard normal number for a key."""
    return float(np.random.default_rng(zlib.crc32(repr(key).encode())).standard_normal())


def small(**changes: Any) -> Study:
    """The preset laptop with less of everything: failures of attention, three seeds, a comparison of each kind."""
    laptop = presets()["laptop"]
    kinds: dict[str, Comparison] = {}
    for comparison in laptop.comparisons:
        kinds.setdefault(comparison.kind, comparison)
    measures = replace(laptop.measures, hits=(hit("attention", MAIN, HEADS),))
    base = {
        "comparisons": tuple(kinds.values()),
        "seeds": (0, 1, 2),
        "measures": measures,
        "hits_matched": (hit("attention", MAIN),),
    }
    return replace(laptop, **(base | changes))


def spared(numbers: Numbers, model: str) -> float:
    if "+" not in model:
        return 0.0
    return numbers.spared if isinstance(numbers.spared, float) else numbers.spared.get(model, 0.0)


def damage(numbers: Numbers, model: str, seed: int, step: float = 1.0) -> float:
    """At the greatest strength; step is the part of training that is done, 1 at its end."""
    scatter = 1 + numbers.scatter * z(model, seed)
    return numbers.damage * (1 - spared(numbers, model)) * scatter * (2 - step)


def clean(numbers: Numbers, model: str, seed: int, step: float = 1.0) -> float:
    return 3 + numbers.clean * model.count("+") + 0.01 * z("clean", seed) + (1 - step)


def relative(failure: str, strengths: tuple[float, ...]) -> np.ndarray:
    """Strengths as parts of the greatest, those of rounding as its step."""
    x = np.array(strengths)
    amounts = 1 / (2 ** (x - 1) - 1) if failure.startswith("quantisation") else x
    return amounts / amounts.max()


def write(
    folder: Path, study: Study, numbers: Numbers, *, draws: int = 2, tables: str = ""
) -> Path:
    """The folder of a study that is done, with few draws; of the tables named, or all."""
    made = dict(_tables(study, numbers, draws))
    names = tables.split() or list(made)
    run = Run.open(folder, study, resume=True, parts=[])
    for name in names:
        if not made[name].empty:
            run.write(f"part-{name}-all", made[name])
    return folder


def _tables(study: Study, numbers: Numbers, draws: int) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "clean", pd.DataFrame(_clean(study, numbers))
    yield "curves", pd.concat(_curves(study, numbers, draws), ignore_index=True)
    yield "slopes", pd.DataFrame(_slopes(study, numbers))
    yield "spectra", pd.DataFrame(_spectra(study, numbers)).astype({"layer": "Int64"})
    yield "classification", pd.DataFrame(_classification(study, numbers))


def _losses(nats: float) -> dict[str, float]:
    return {
        "nats_per_token": nats,
        "perplexity": float(np.exp(nats)),
        "bits_per_byte": nats / np.log(2) / 3,
    }


def _of(study: Study, model: str, seed: int, step: int, text: str) -> dict[str, object]:
    return {"model": model, "seed": seed, "step": step, "text": text}


def _clean(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    last = study.optimiser.steps
    for model in study.models:
        for seed in study.seeds:
            for step in study.steps:
                for text in model.split("+"):
                    nats = clean(numbers, model, seed, step / last)
                    yield _of(study, model, seed, step, text) | _losses(nats)


def _curves(study: Study, numbers: Numbers, draws: int) -> Iterator[pd.DataFrame]:
    last = study.optimiser.steps
    for model in study.models:
        for text in model.split("+"):
            for planned_hit in study.measures.hits:
                yield _curve(study, numbers, draws, model, text, planned_hit, last, "")
    for comparison in study.comparisons:
        text, several = comparison.first, comparison.several
        for planned_hit in study.hits_matched:
            yield _curve(study, numbers, draws, text, text, planned_hit, last // 2, several)
    first = study.comparisons[0]
    for model in (first.first, first.several):
        for step in study.early:
            for planned_hit in study.hits_in_training:
                yield _curve(study, numbers, draws, model, first.first, planned_hit, step, "")


def _curve(
    study: Study,
    numbers: Numbers,
    draws: int,
    model: str,
    text: str,
    planned_hit: Hit,
    step: int,
    matched: str,
) -> pd.DataFrame:
    """Linear in strength; draws differ by 1 % of the damage, evenly on either side."""
    rows = []
    part = step / study.optimiser.steps
    # A matched model has the clean loss of the other, and the damage of a model of its own.
    at = 1.0 if matched else part
    base = {seed: clean(numbers, matched or model, seed, at) for seed in study.seeds}
    for failure, strengths in planned_hit.failures:
        copies = draws if is_random(failure) else 1
        for seed in study.seeds:
            whole = damage(numbers, model, seed, at)
            for level, amount in enumerate(relative(failure, strengths)):
                for draw in range(copies):
                    swing = 1 + 0.02 * (draw - (copies - 1) / 2)
                    nats = base[seed] + whole * amount * swing
                    rows.append(
                        _of(study, model, seed, step, text)
                        | {"group": planned_hit.group, "failure": failure, "level": level}
                        | {"strength": strengths[level], "draw": draw, "matched": matched}
                        | _losses(nats)
                    )
    return pd.DataFrame(rows).drop(columns="perplexity")


def _slopes(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    plan = study.measures.curvature
    for model in study.models:
        text = model.split("+")[0]
        for seed in study.seeds:
            for g, group in enumerate(plan.groups):
                for noise, sigmas in (("absolute", plan.sigmas), ("relative", plan.relative)):
                    unit = 100.0 if noise == "absolute" else 1.0
                    predicted = unit * 2.0**g * (1 + 0.1 * z(model, group))
                    for s, sigma in enumerate(sigmas):
                        measured = (
                            predicted * (numbers.ratio - 0.2 * s) * (1 + 0.01 * z(model, seed, g))
                        )
                        yield _of(study, model, seed, study.optimiser.steps, text) | {
                            "group": group,
                            "noise": noise,
                            "sigma": sigma,
                            "hessian": predicted,
                            "hessian_standard_error": 0.02 * predicted,
                            "gauss_newton": 1.1 * predicted,
                            "gauss_newton_standard_error": 0.02 * predicted,
                            "measured": measured,
                            "measured_standard_error": 0.05 * measured,
                        }


def _spectra(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    for model in study.models:
        for seed in study.seeds:
            for i, (name, (layer, component)) in enumerate(MATRICES.items()):
                rank = (4 + i) * (1 + 0.1 * model.count("+") + 0.01 * z(model, seed, name))
                yield {
                    "model": model,
                    "seed": seed,
                    "step": study.optimiser.steps,
                    "matrix": name,
                    "layer": layer,
                    "component": component,
                    "rows": 64,
                    "columns": 64,
                    "spectral": 1.0,
                    "frobenius": rank**0.5,
                    "sd": 0.1,
                    "stable_rank": rank,
                    "participation": 2 * rank,
                    **{f"share_{k}": min(1.0, k**0.5 / rank) for k in (1, 4, 16, 64)},
                }


def _classification(study: Study, numbers: Numbers) -> Iterator[dict[str, object]]:
    plan = study.classification
    if plan is None:
        return
    for task in plan.tasks:
        for comparison in [c for c in study.comparisons if c.kind in plan.kinds]:
            for model in (comparison.first, comparison.several):
                for at in ("best", "equal"):
                    for failure, strengths in plan.hit.failures:
                        for seed in study.seeds:
                            for level, amount in enumerate(relative(failure, strengths)):
                                for draw in range(2):
                                    lost = (
                                        0.3 * amount * damage(numbers, model, seed) / numbers.damage
                                    )
                                    yield {
                                        "task": task,
                                        "several": comparison.several,
                                        "model": model,
                                        "seed": seed,
                                        "at": at,
                                        "group": plan.hit.group,
                                        "failure": failure,
                                        "level": level,
                                        "strength": strengths[level],
                                        "draw": draw,
                                        "accuracy": 0.8 - lost,
                                    }
