"""The page of study D22: what became of the claims of Daras et al. 2022, what the controls say; from tables alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.engine import markdown
from figures.engine.markdown import between
from figures.engine.studies import named
from figures.engine.verdicts import NO_VERDICT, SIDES, judged
from figures.robustness.claims import answered, counted
from figures.robustness.crossover import NAME as CROSSOVER
from figures.robustness.failure_curves import GROUP
from figures.robustness.failure_curves import NAME as CURVES
from figures.robustness.read import robustness
from figures.robustness.slope_vs_curvature import NAME as SLOPES
from figures.robustness.spectra import NAME as SPECTRA
from figures.robustness.tables import TABLES, tables
from neural.robustness.asked import CLAIMS, CONTROLS
from neural.robustness.claims import ACCURACY, DEGRADATION, KEPT
from neural.robustness.claims import CROSSOVER as CROSSES
from neural.study.claims import ID
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.robustness.plan import Study

__all__ = ["FIGURES", "TABLES", "page", "tables"]

FIGURES = {
    CURVES: "Loss added by failures of attention; means over seeds with 95 % bands.",
    CROSSOVER: "Loss of models of several texts less that of the model of one, with 95 % bands. Below, the strength "
    "where it crosses 0, with its interval; filled where at least 97.5 % of resamples cross.",
    SLOPES: "Slope of the loss under small noise, measured against predicted (filled: Hessian; hollow: Gauss–Newton), "
    "with standard errors, and their ratio over all models with 95 % intervals.",
    SPECTRA: "Stable ranks and Ky Fan shares of weight matrices, means over layers and seeds with 95 % intervals, and "
    "what several texts change.",
}
"""Those shown, with their captions."""

OPENING = """# Do models of several languages survive structural failure better?

Made by `python -m figures.page robustness` from the results of one study; every sentence follows from its tables by \
rule. D22 is Daras et al. 2022 (arXiv 2210.11618), whose numbers are read off their figures.

An effect is a difference between a model of several texts and the model of the first of them alone, of equal tokens, \
judged on that text, seed by seed. Losses are in nats a token; degradation is the loss added by a failure, mean over \
its strengths. Brackets hold 95 % intervals, Student's t over seeds; those of crossovers are of a bootstrap over \
seeds and draws. An effect is *replicated* if its interval is on D22's side of 0 (a crossover: if 97.5 % of \
resamples cross), *opposite* if it is on the other, and else *not replicated*. Without any effect 1 interval of \
40 would be on each side. Several intervals have the verdict of the side that more than half \
of them are on and none opposes."""


def page(
    run: Path, study_tables: Mapping[str, pd.DataFrame], figures: Mapping[str, pd.DataFrame]
) -> str:
    """The page in Markdown, of a study's tables and those of its figures, by name."""
    plan = robustness(run).study
    claims = study_tables["robustness-claims"]
    if len(plan.seeds) < 2:  # not of crossovers either, whose draws scatter with one seed
        claims = claims.assign(verdict=NO_VERDICT)
    labels = named(plan.models)
    shown = {
        name: markdown.figure(name, said) if name in figures else ""
        for name, said in FIGURES.items()
    }
    sections = [
        OPENING,
        _claims(claims, labels),
        _controls(claims),
        _what(run, plan, study_tables["robustness-clean"]),
        _degradation(claims, labels, shown[CURVES]),
        _crossovers(claims, labels, shown[CROSSOVER]),
        _training(study_tables.get("robustness-training"), labels),
        _classification(claims, labels),
        _slopes(figures.get(SLOPES), shown[SLOPES]),
        _spectra(figures.get(SPECTRA), shown[SPECTRA]),
        markdown.files(study_tables, TABLES),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _claims(claims: pd.DataFrame, labels: Mapping[str, str]) -> str:
    lines = []
    for claim in CLAIMS:
        rows = claim.rows(claims)
        first = ""
        if len(rows):
            row = rows.iloc[0]
            where = row["failure"] if isinstance(row["failure"], str) else "clean"
            first = f"{labels[row['several']]}, {where}: {_effect(row)}"
        lines.append([claim.says, claim.source, f"**{judged(rows)}**", counted(rows), first])
    head = ["claim", "D22", "here", "intervals", "the first of them"]
    said = "Bilingual models and D22's failures of attention: deletion, noise, pruning."
    return f"## What became of the claims\n\n{said}\n\n{markdown.table(head, lines)}"


def _controls(claims: pd.DataFrame) -> str:
    lines = []
    for control in CONTROLS:
        rows = control.rows(claims)
        lines.append([control.says, f"**{answered(control, rows)}**", counted(rows)])
    said = (
        "A model that is stopped at another's loss stands where its learning rate was still higher than at the end. "
        "Mixed: some intervals are on a side, but too few, or on both."
    )
    table = markdown.table(["question", "answer", "intervals"], lines)
    return f"## What the controls say\n\n{said}\n\n{table}"


def _what(run: Path, plan: "Study", clean: pd.DataFrame) -> str:
    record = Run.existing(run).provenance() or {}
    model, steps = plan.model, plan.optimiser.steps
    tokens = steps * plan.batch * model.context
    said = (
        f"{len(plan.models)} kinds of GPT, {len(plan.seeds)} seeds each: {model.layers} layers, width {model.width}, "
        f"{model.heads} heads, context {model.context}, vocabulary {model.vocabulary} (one tokenizer for all), "
        f"{model.parameters:,} parameters. Each is trained on {tokens:,} tokens ({steps} updates of {plan.batch} × "
        f"{model.context}), in equal shares of its texts, from `{' '.join(plan.corpus)}`, and judged on "
        f"{plan.measures.text:,} held-out tokens of a text; a random failure has {plan.measures.draws} draws a "
        f"strength. {markdown.made_by(record)}"
    )
    lines = [
        [
            row.label,
            row.text,
            between([row.nats_per_token, row.low, row.high], ".3f"),
            f"{row.bits_per_byte:.3f}",
            f"{row.perplexity:.1f}",
        ]
        for row in clean.itertuples()
    ]
    head = ["model", "judged on", "nats a token", "bits a byte", "perplexity"]
    return f"## What was run\n\n{said}\n\nWithout failure:\n\n{markdown.table(head, lines)}"


def _degradation(claims: pd.DataFrame, labels: Mapping[str, str], figure: str) -> str:
    rows = claims[claims[ID] == DEGRADATION.id]
    attention = rows[rows["group"] == GROUP]
    lines = [
        [group, *(counted(part[part["kind"] == kind]) for kind in dict.fromkeys(rows["kind"]))]
        for group, part in rows.groupby("group", sort=False)
    ]
    groups = markdown.table(["all failures of", *dict.fromkeys(rows["kind"])], lines)
    table = _effects(attention, labels)
    said = "Degradation less that of the model of one text; D22 expects less than 0. Bold: 0 is outside."
    return "\n\n".join(
        part for part in ("## How models degrade", figure, said, table, groups) if part
    )


def _crossovers(claims: pd.DataFrame, labels: Mapping[str, str], figure: str) -> str:
    rows = claims[(claims[ID] == CROSSES.id) & (claims["group"] == GROUP)]
    said = "Strength at which the loss falls below that of the model of one text (↑: rises above it). Bold: sure."
    return "\n\n".join(
        part for part in ("## Where they cross", figure, said, _effects(rows, labels)) if part
    )


def _training(table: pd.DataFrame | None, labels: Mapping[str, str]) -> str:
    if table is None:
        return ""
    pruned = table[(table["failure"] == "magnitude-pruning") & (table["group"] == GROUP)]
    if pruned.empty:
        return ""
    steps = sorted(set(pruned["step"]))
    lines = []
    for (model, strength), part in pruned.groupby(["model", "strength"], sort=False):
        of_step = part.set_index("step").loc[steps]
        cells = [
            between(np.exp([row.value, row.low, row.high]), ".1f") for row in of_step.itertuples()
        ]
        lines.append([labels[model], f"{strength:g}", *cells])
    head = ["model", "attention pruned", *(f"step {step}" for step in steps)]
    said = (
        "Perplexity in the course of training. D22's bilingual model, epochs 1 to 8: 357, 220, 163, 130, 113, 100, 88, "
        "80 at 0.3 and 1435, 842, 622, 455, 368, 338, 155, 142 at 0.6. The claim above is of this loss, the last step "
        "less the first, mean over strengths; it falls with the clean loss too."
    )
    return f"## Pruning in the course of training\n\n{said}\n\n{markdown.table(head, lines)}"


def _classification(claims: pd.DataFrame, labels: Mapping[str, str]) -> str:
    rows = claims[claims[ID].isin([ACCURACY.id, KEPT.id])]
    if rows.empty:
        return ""
    several = list(dict.fromkeys(rows["several"]))
    lines = []
    for (claim, failure), part in rows.groupby(["claim", "failure"], sort=False):
        failing = failure if part[ID].iat[0] == KEPT.id else "none"
        by_model = {row["several"]: _effect(row) for _, row in part.iterrows()}
        line = [claim, failing, *(by_model.get(model, "") for model in several)]
        if line not in lines:
            lines.append(line)
    head = ["several less one", "failure of attention", *(labels[model] for model in several)]
    said = (
        "Models fine-tuned with a head that stays whole; at their best, and at equal clean accuracy. Kept: accuracy "
        "less that without failure, mean over strengths. Bold: 0 is outside; D22 expects more than 0."
    )
    return f"## Classification\n\n{said}\n\n{markdown.table(head, lines)}"


def _slopes(table: pd.DataFrame | None, figure: str) -> str:
    if table is None:
        return ""
    ratios = table[table["kind"] == "ratio"]
    least = ratios["sigma"] == ratios.groupby("noise")["sigma"].transform("min")
    first = ratios[least & (ratios["predictor"] == "hessian") & ratios["low"].notna()]
    inside = int(((first["low"] <= 1) & (first["high"] >= 1)).sum())
    said = (
        "Statement 31 of the theory: small noise on weights adds σ² times half the trace of the Hessian to the loss. "
        "Measured slope over predicted, all models together."
    )
    if len(first):
        ends = f"{first['ratio'].min():.3f} to {first['ratio'].max():.3f}"
        said += f" At the least σ, ratios to the Hessian's are {ends}; {inside} of {len(first)} intervals contain 1."
    lines = []
    for (noise, group, sigma), part in ratios.groupby(["noise", "group", "sigma"], sort=False):
        by_predictor = part.set_index("predictor")
        cells = [
            between(by_predictor.loc[name, ["ratio", "low", "high"]], ".3f")
            for name in ("hessian", "gauss_newton")
        ]
        lines.append([group, noise, f"{sigma:g}", *cells])
    head = ["group", "noise", "σ", "measured / Hessian", "measured / Gauss–Newton"]
    parts = ["## Small noise and curvature", figure, said, markdown.table(head, lines)]
    return "\n\n".join(part for part in parts if part)


def _spectra(table: pd.DataFrame | None, figure: str) -> str:
    if table is None:
        return ""
    changes = table[(table["rows"] == "difference") & table["low"].notna()]
    lines = []
    for (measure, family), part in changes.groupby(["measure", "family"], sort=False):
        above, below = int((part["low"] > 0).sum()), int((part["high"] < 0).sum())
        name = "stable rank" if measure == "stable_rank" else "share of the 4 largest σ²"
        lines.append([name, family, f"{above} above 0, {below} below, of {len(part)}"])
    parts = ["## Spectra", figure]
    if lines:
        parts += [
            "Several less one, by kind of matrix and model:",
            markdown.table(["", "models", "intervals"], lines),
        ]
    return "\n\n".join(part for part in parts if part)


def _effects(rows: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """A line a failure, a column a model of several texts."""
    if rows.empty:
        return ""
    several = list(dict.fromkeys(rows["several"]))
    lines = []
    for failure, part in rows.groupby("failure", sort=False):
        by_model = {row["several"]: _effect(row) for _, row in part.iterrows()}
        lines.append([failure, *(by_model[model] for model in several)])
    return markdown.table([f"failure of {GROUP}", *(labels[model] for model in several)], lines)


def _effect(row: pd.Series) -> str:
    """An effect with its interval, bold where it is on a side."""
    if row[ID] == CROSSES.id:
        if np.isnan(row["effect"]):
            return "none in range"
        said = between(row[["effect", "low", "high"]], ".3g")
        said += " ↑" if row["verdict"] == "opposite" else ""
    else:
        said = between(row[["effect", "low", "high"]], "+.3g")
    return f"**{said}**" if row["verdict"] in SIDES else said
