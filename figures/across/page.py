"""The page of the study across the four: what became of each question, and every table; from tables alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.across.read import across
from figures.across.sharing import LABELS, NAME, means
from figures.engine import markdown, verdicts
from figures.engine.markdown import between
from figures.engine.studies import LANGUAGES, over_seeds
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.across.join import Results
    from neural.across.plan import Study

CLAIMS, MODELS, MEANS = "across-claims", "across-models", "across-means"
ONSETS, FAILURES = "across-onsets", "across-failures"

TABLES = {
    CLAIMS: "effects with their intervals, and what became of each claim",
    MODELS: "all that is measured of each model: a row a pair, share, seed and step",
    MEANS: "the same by pair, share and step, with intervals over seeds",
    ONSETS: "when the gain over the model of one language reaches half of its maximum, in log2 of the step",
    FAILURES: "what each failure adds to the loss on the first language, at the end of training",
}

FIGURES = {
    NAME: "The same models in all panels. Above: sharing against what failures add to the loss on the first language, "
    "on average over their strengths, a point a model at the end of training; ρ: Spearman's rank correlation within a "
    "seed, a mean over seeds. Middle: by pair and share at the end of training. Below: in the course of training. 95 % "
    "intervals and bands over seeds; hollow: a bound.",
}
"""Those shown, with their captions."""

OPENING = """# Does shared structure make models robust, and does imbalance create it?

Made by `python -m figures.page across` from the results of one study; every sentence follows from its tables by rule. \
On the same models it measures what four studies measured on different ones: robustness to failure (D22, Daras et al. \
2022), the overlap of two languages' sub-networks (F22, Foroutan et al. 2022), token efficiency and alignment under \
unequal shares (S24, Schäfer et al. 2024), and when probes can read what they read (B22, Blevins et al. 2022).

A model learns two languages, in shares of 50/50 or 90/10, or the first alone, on equal tokens in all; c0 and c1 are \
clones of one text. Brackets hold 95 % intervals, Student's t over seeds. Correlations and slopes over several models \
are computed within each seed and then averaged: models of a seed share their initial weights, and intervals say \
nothing of other languages. The slope is of least squares after the means of each pair and step are taken off, in \
place of a mixed-effects model. Expectations are those that the four studies lead to: an effect is *replicated* if its \
interval is on the expected side of 0, *opposite* if it is on the other, and else *not replicated*. Several intervals \
have the verdict of the side that more than half of them are on and none opposes."""


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Those of TABLES. Raises UserError for what is no study, or not done."""
    from neural.across.claims import claims

    results = across(run)
    study_tables = {
        CLAIMS: claims(results),
        MODELS: results.models,
        MEANS: means(results),
        ONSETS: _onsets(results),
        FAILURES: _failures(results),
    }
    return {name: table for name, table in study_tables.items() if len(table)}


def _onsets(results: "Results") -> pd.DataFrame:
    """By measure, pair and share; sure: whether the gain is above 0 by its interval at some step; early: whether the
    onset of a seed lies before the first step that was looked at.
    """
    from neural.across.claims import onsets

    rows = onsets(results)
    keys = ["measure", "pair", "share"]
    if rows.empty:
        return rows
    said = rows.groupby(keys, sort=False)[["sure", "early"]].any().reset_index()
    return said.merge(over_seeds(rows, keys, "log2"), how="left", on=keys)


def _failures(results: "Results") -> pd.DataFrame:
    rows = results.areas[results.areas["step"] == results.study.optimiser.steps]
    return over_seeds(rows, ["group", "failure", "pair", "share"], "area")


def page(
    run: Path, study_tables: Mapping[str, pd.DataFrame], figures: Mapping[str, pd.DataFrame]
) -> str:
    """The page in Markdown, of a study's tables and those of its figures, by name."""
    plan = across(run).study
    shown = markdown.figure(NAME, FIGURES[NAME]) if NAME in figures else ""
    from neural.across.claims import CLAIMS as KNOWN

    claims = study_tables[CLAIMS]
    every = verdicts.effects(claims, ["claim", "setting"], "expected")
    sections = [
        OPENING,
        markdown.section(
            "What became of the claims",
            verdicts.summary(
                claims,
                "joins",
                KNOWN,
                named=lambda row: str(row["setting"]),
                expected="as expected",
                untold="–",
            ),
        ),
        _what(run, plan),
        markdown.section("Sharing and robustness", shown),
        markdown.section("By share, at the end of training", _last(study_tables.get(MEANS), plan)),
        markdown.section("When", _when(study_tables.get(ONSETS), plan)),
        markdown.section("Failures", _areas(study_tables.get(FAILURES))),
        markdown.section("Every effect", "Bold: 0 is outside the interval.", every),
        markdown.files(study_tables, TABLES),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _what(run: Path, plan: "Study") -> str:
    record = Run.existing(run).provenance() or {}
    model, pruning = plan.model, plan.tickets
    tokens = plan.tokens(plan.studied[0])
    names = ", ".join(LANGUAGES.get(name, name) for name in (plan.text, *plan.others))
    kinds = ", ".join(name.replace("-", " ") for name, _ in plan.broken.failures)
    references = len(plan.runs) - len(plan.studied)
    said = (
        f"{len(plan.studied)} kinds of model of {len(plan.seeds)} seeds each, layers: {model.layers}; width: "
        f"{model.width}, context {model.context}, {model.vocabulary} ids, {tokens:,} tokens "
        f"({plan.optimiser.steps} updates), of `{' '.join(plan.corpus)}` in {names}; and {references} runs of one "
        "language on fewer or more tokens, between which TEff is interpolated. Models are looked at after "
        f"{', '.join(map(str, plan.steps))} updates, tickets sought after {', '.join(map(str, plan.ticket_steps))}: "
        f"{pruning.rounds} rounds of {pruning.tuning.steps} updates that each remove a tenth of the weights, in "
        f"{pruning.orders} orders of each language's text, which give the ceiling. Failures of attention and of all "
        f"parameters: {kinds}; slopes under noise of {plan.noise.sigma:g} standard deviations of each tensor. "
        f"{markdown.made_by(record)}"
    )
    return f"## What was run\n\n{said}"


def _last(table: pd.DataFrame | None, plan: "Study") -> str:
    if table is None:
        return ""
    rows = table[table["step"] == plan.optimiser.steps]
    shares = sorted(set(rows["share"]), reverse=True)
    lines = []
    for (measure, pair), part in rows.groupby(["measure", "pair"], sort=False):
        by = {row["share"]: row for _, row in part.iterrows()}
        title, unit = LABELS[measure]
        cells = [_bounded(by[share]) if share in by else "–" for share in shares]
        lines.append([title, unit, pair, *cells])
    head = ["measure", "in", "languages", *(f"share {share:g}" for share in shares)]
    said = "A token efficiency is only a bound (≤, ≥) where its tokens lie beyond those that were trained."
    return f"{said}\n\n{markdown.table(head, lines)}"


def _bounded(row: pd.Series) -> str:
    sign = {"": "", "above": "≥ ", "below": "≤ "}.get(row["beyond"], "? ")
    return sign + between(row[["value", "low", "high"]], ".3g")


def _when(table: pd.DataFrame | None, plan: "Study") -> str:
    if table is None:
        return ""
    shares = sorted(set(table["share"]), reverse=True)
    lines = []
    for (measure, pair), part in table.groupby(["measure", "pair"], sort=False):
        by = {row["share"]: row for _, row in part.iterrows()}
        cells = [_at(by[share]) if share in by else "–" for share in shares]
        name = {"spared_all": "failures of all spared"}.get(measure) or LABELS[measure][0]
        lines.append([name, pair, *cells])
    head = ["gain over one language", "languages", *(f"share {share:g}" for share in shares)]
    steps = ", ".join(map(str, plan.ticket_steps))
    said = (
        "log2 of the update at which the gain over the model of the first language alone reaches half of its maximum, "
        "between kept steps by straight lines. In parentheses: at no step the gain is above 0 by its interval, so that "
        f"there is nothing to time. Tickets are known at {steps} updates alone."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def _at(row: pd.Series) -> str:
    if np.isnan(row["value"]):
        return "–"
    said = ("≤ " if row["early"] else "") + between(row[["value", "low", "high"]], ".2f")
    return said if row["sure"] else f"({said})"


def _areas(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    shares = sorted(set(table["share"]), reverse=True)
    lines = []
    for (group, failure, pair), part in table.groupby(["group", "failure", "pair"], sort=False):
        by = {row["share"]: row for _, row in part.iterrows()}
        cells = [between(by[share][["value", "low", "high"]], ".3f") for share in shares]
        lines.append([group, failure.replace("-", " "), pair, *cells])
    head = ["parameters", "failure", "languages", *(f"share {share:g}" for share in shares)]
    said = "Added to the loss on the first language, in nats a token, on average over strengths."
    return f"{said}\n\n{markdown.table(head, lines)}"
