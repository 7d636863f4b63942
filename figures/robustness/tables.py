"""The tables beside the page of study D22: claims, clean losses, degradation, and pruning in the course of training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures.engine.studies import named
from figures.robustness.read import robustness

if TYPE_CHECKING:
    from neural.measures.degradation import Curve
    from neural.robustness.claims import Results

CLAIMS, CLEAN = "robustness-claims", "robustness-clean"
DEGRADATION, TRAINING = "robustness-degradation", "robustness-training"

TABLES = {
    CLAIMS: "effects with their intervals, and what became of each claim",
    CLEAN: "losses without failure",
    DEGRADATION: "loss added by each failure, nats a token, mean over its strengths",
    TRAINING: "losses under failure, nats a token, in the course of training",
}


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Those of TABLES that the study has rows for. Raises UserError for what is no study, or not done."""
    from neural.robustness.claims import claims

    results = robustness(run)
    by_name = {
        CLAIMS: claims(results),
        CLEAN: clean(results),
        DEGRADATION: degradation(results),
        TRAINING: training(results),
    }
    return {name: table for name, table in by_name.items() if len(table)}


def clean(results: "Results") -> pd.DataFrame:
    """By model and text, at the end of training: means over `seeds` seeds, with the 95 % interval of nats a token.

    perplexity is exp of the mean loss.
    """
    labels = named(results.study.models)
    rows = []
    for model in results.study.models:
        for text in model.split("+"):
            own = results.last[(results.last["model"] == model) & (results.last["text"] == text)]
            mean, low, high, seeds = _mean(own.sort_values("seed")["nats_per_token"])
            bits = own["bits_per_byte"].mean()
            rows.append([model, labels[model], text, mean, low, high, np.exp(mean), bits, seeds])
    columns = ["model", "label", "text", "nats_per_token", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "perplexity", "bits_per_byte", "seeds"])


def degradation(results: "Results") -> pd.DataFrame:
    """By model, group and failure, on the model's first text: `value`, mean over strengths, with its 95 % interval."""
    rows = []
    for model in results.study.models:
        text = model.split("+")[0]
        for hit in results.study.measures.hits:
            for failure, _ in hit.failures:
                areas = results.curve(model, text, hit.group, failure).areas
                rows.append([model, text, hit.group, failure, *_mean(areas)])
    columns = ["model", "text", "group", "failure", "value", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def training(results: "Results") -> pd.DataFrame:
    """By model of the first comparison, step and strength: `value`, the loss, with its 95 % interval over seeds.

    Strengths are those of the early steps, of which the last has more.
    """
    plan = results.study
    first = plan.comparisons[0]
    rows: list[list[Any]] = []
    for model in (first.first, first.several):
        for hit in plan.hits_in_training:
            for failure, strengths in hit.failures:
                for step in (*plan.early, plan.optimiser.steps):
                    curve = results.curve(model, first.first, hit.group, failure, step=step)
                    place = [model, first.first, hit.group, failure, step]
                    levels = [level for level in _levels(curve) if level[0] in strengths]
                    rows += [[*place, *level] for level in levels]
    columns = ["model", "text", "group", "failure", "step", "strength", "value", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "seeds"])


def _levels(curve: "Curve") -> list[list[float]]:
    means = curve.losses.mean(axis=-1)
    return [[x, *_mean(of_seed)] for x, of_seed in zip(curve.strengths, means.T, strict=True)]


def _mean(values: Any) -> list[float]:
    """Mean, the ends of its 95 % interval, and over how many seeds."""
    from neural.measures.intervals import interval

    estimate = interval(values)
    return [float(estimate.value), float(estimate.low), float(estimate.high), len(values)]
