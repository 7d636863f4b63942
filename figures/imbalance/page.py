"""The page of study S24: what became of the claims of Schäfer et al. 2024, and every experiment; from tables alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.engine import markdown
from figures.engine.markdown import between
from figures.engine.studies import LANGUAGES
from figures.imbalance import tables as sheets
from figures.imbalance.alignment_layers import NAME as LAYERS
from figures.imbalance.claims import effects, summary
from figures.imbalance.perplexity import NAME as PERPLEXITY
from figures.imbalance.phase import NAME as PHASE
from figures.imbalance.read import imbalance
from figures.imbalance.schedules import NAME as SCHEDULES
from figures.imbalance.tables import TABLES, tables
from figures.imbalance.token_efficiency import NAME as EFFICIENCY
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.imbalance.plan import Study

__all__ = ["FIGURES", "TABLES", "page", "tables"]

FIGURES = {
    PERPLEXITY: "Perplexity of two cloned languages by the share of the second, with 95 % intervals; thin lines: the "
    "levels of equal shares; dotted: the perplexity of one language alone after as many tokens of it, within the "
    "budgets that were trained.",
    EFFICIENCY: "a: models of one language and the curve 1/PPL = c − a x^(−b) fitted to them. b, c: token efficiency "
    "by share and budget, with 95 % intervals; hollow arrows are bounds, where the equivalent budget is less (down) or "
    "more (up) than any that was trained.",
    PHASE: "Loss at unequal shares less that at equal ones, of the language that fares worse: blue where both "
    "languages are better; framed where the 95 % interval excludes 0. Last: the risks of two tasks with a "
    "correlation in the linear theory (statement 30), where no cell is below 0.",
    LAYERS: "How alike the same text is in two clones, at the largest budget, with 95 % bands: at the end of training "
    "by place, and in its course. Dashed: text or ids that do not belong together. Patched: the part of what a "
    "context tells that stays where its states come from the other clone.",
    SCHEDULES: "a: perplexity after shares that change from stage to stage, and after constant ones; thin lines: "
    "the levels of equal shares. b: loss less that of equal shares, seed by seed. 95 % intervals.",
}
"""Those shown, with their captions."""

OPENING = """# Does language imbalance help cross-lingual generalisation?

Made by `python -m figures.page imbalance` from the results of one study; every sentence follows from its tables by \
rule. S24 is Schäfer et al. 2024 (arXiv 2404.07982); their numbers are of a GPT of 12 layers and width 768, their 1× \
is 1.2 billion tokens.

Cloned languages are one text read with other ids: c0 and c1 have the same grammar and the same words, and no id in \
common. Shares are those of the second language, so that 90/10 is a share of 0.1; a budget is a multiple of 1×, of all \
languages together. Token efficiency, TEff, is how many tokens of one language alone reach the same perplexity, over \
the tokens of it that were seen; it is fitted seed by seed, and a bound (≤, ≥) where the equivalent budget lies beyond \
those that were trained. Brackets hold 95 % intervals, Student's t over seeds. An effect is *replicated* if its \
interval is on S24's side of 0, *opposite* if it is on the other, and else *not replicated*; where S24 finds no \
effect, *replicated* if the interval lies within a margin about 0 (10 % of TEff, 0.05 of cosines), *opposite* if it \
lies outside, and else *not replicated*. Several intervals have the verdict of the side that more than half of them \
are on and none opposes."""


def page(
    run: Path, study_tables: Mapping[str, pd.DataFrame], figures: Mapping[str, pd.DataFrame]
) -> str:
    """The page in Markdown, of a study's tables and those of its figures, by name."""
    plan = imbalance(run).study
    shown = {
        name: markdown.figure(name, said) if name in figures else ""
        for name, said in FIGURES.items()
    }
    claims, grid = study_tables[sheets.CLAIMS], study_tables.get(sheets.GRID)
    sections = [
        OPENING,
        markdown.section("What became of the claims", summary(claims)),
        _what(run, plan),
        markdown.section("Perplexity by share", shown[PERPLEXITY], _grid(grid, plan)),
        markdown.section(
            "Token efficiency", shown[EFFICIENCY], _misfit(study_tables.get(sheets.REFERENCES))
        ),
        markdown.section(
            "Where unequal shares are better for both", _phase(figures.get(PHASE)), shown[PHASE]
        ),
        markdown.section("Alignment", shown[LAYERS], _onset(study_tables.get(sheets.ONSET))),
        markdown.section("Transfer", _transfer(study_tables.get(sheets.TRANSFER))),
        markdown.section(
            "Schedules", shown[SCHEDULES], _scores(study_tables.get(sheets.SCHEDULES), "schedule")
        ),
        markdown.section("Shared ids", _scores(study_tables.get(sheets.ANCHORS), "anchors")),
        markdown.section("More languages", _many(study_tables.get(sheets.LANGUAGES))),
        markdown.section(
            "Real languages",
            _real(study_tables.get(sheets.REAL)),
            _real_alignment(study_tables.get(sheets.REAL_ALIGNMENT)),
        ),
        markdown.section("Every effect", effects(claims)),
        markdown.files(study_tables, TABLES),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _what(run: Path, plan: "Study") -> str:
    record = Run.existing(run).provenance() or {}
    model, runs = plan.model, plan.runs
    said = (
        f"{len(runs)} runs of {len(plan.seeds)} seeds each: layers: {model.layers}; width: "
        f"{' and '.join(map(str, plan.widths))} (the figures and tables below: {model.width}, where they do not say), "
        f"context {model.context}, {plan.ids} ids a language. 1× is {plan.unit:,} tokens, updates of {plan.batch} × "
        f"{model.context}; every budget has its own learning rate schedule. Text: `{' '.join(plan.corpus)}`, of which "
        f"{LANGUAGES.get(plan.text, plan.text)} is cloned; perplexities are of {plan.measures.text:,} held-out tokens "
        f"of a language, predicted in the last quarter of the context. {markdown.made_by(record)}"
    )
    experiments = list(dict.fromkeys(recipe.experiment for recipe in runs))
    lines = []
    for name in experiments:
        own = [recipe for recipe in runs if recipe.experiment == name]
        total = sum(map(plan.tokens, own)) * len(plan.seeds)
        lines.append([name, len(own), f"{total:,}"])
    table = markdown.table(["experiment", "runs", "tokens, all seeds"], lines)
    return f"## What was run\n\n{said}\n\n{table}"


def _grid(table: pd.DataFrame | None, plan: "Study") -> str:
    if table is None:
        return ""
    rows = table[table["width"] == plan.model.width]
    lines = []
    for (budget, share), part in rows.groupby(["budget", "share"], sort=False):
        by = {row["language"]: row for _, row in part.iterrows()}
        cells = [_perplexity(by.get(name)) for name in ("c0", "c1")]
        for how in ("", "_interpolated"):
            cells += [_teff(by.get(name), how) if share else "–" for name in ("c0", "c1")]
        lines.append([f"{budget:g}×", f"{share:g}", *cells])
    head = ["tokens", "share", "perplexity c0", "perplexity c1", "TEff c0", "TEff c1"]
    return markdown.table([*head, "interpolated c0", "interpolated c1"], lines)


def _misfit(table: pd.DataFrame | None) -> str:
    """How well the monolingual curves fit."""
    if table is None:
        return ""
    least, most = (np.exp(end) for end in (table["misfit"].min(), table["misfit"].max()))
    return (
        f"The monolingual curves ({len(table)}) miss the runs that they were fitted to by a factor in tokens of up to "
        f"{least:.2f} to {most:.2f}. Where that is far from 1, models do not learn as a power law, and the efficiency "
        "interpolated between the monolingual runs is the one to read."
    )


def _scores(table: pd.DataFrame | None, what: str) -> str:
    """Of two clones, by what is varied."""
    if table is None:
        return ""
    lines = []
    for (share, varied), part in table.groupby(["share", what], sort=False):
        by = {row["language"]: row for _, row in part.iterrows()}
        name = f"{varied:.0%}" if what == "anchors" else varied.replace(" > ", " → ")
        cells = [_perplexity(by.get(name)) for name in ("c0", "c1")]
        cells += [_teff(by.get(name)) for name in ("c0", "c1")]
        lines.append([name or f"{share:g} throughout", *cells])
    named = "ids in common" if what == "anchors" else "share by stages"
    said = (
        f"Equal shares, {' and '.join(f'{budget:g}×' for budget in sorted(set(table['budget'])))}."
        if what == "anchors"
        else ""
    )
    head = [named, "perplexity c0", "perplexity c1", "TEff c0", "TEff c1"]
    return "\n\n".join(part for part in (said, markdown.table(head, lines)) if part)


def _many(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    lines = [
        [row["languages"], row["language"], f"{row['seen']:,.0f}", _perplexity(row), _teff(row)]
        for _, row in table.iterrows()
    ]
    head = ["languages", "language", "tokens of it", "perplexity", "TEff"]
    return markdown.table(head, lines)


def _real(table: pd.DataFrame | None) -> str:
    """Without the runs of one language alone."""
    if table is None:
        return ""
    lines = [
        [
            row["pair"],
            row["vocabulary"],
            f"{row['budget']:g}×",
            f"{row['share']:g}",
            row["language"],
            between(
                [row["bits_per_byte"], row["bits_per_byte_low"], row["bits_per_byte_high"]], ".3f"
            ),
            _perplexity(row),
            _teff(row),
        ]
        for _, row in table[table["share"].between(0, 1, inclusive="neither")].iterrows()
    ]
    head = ["languages", "vocabulary", "tokens", "share", "language"]
    return markdown.table([*head, "bits a byte", "perplexity", "TEff"], lines)


def _real_alignment(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    keys = ["pair", "vocabulary", "budget", "measure"]
    shares = sorted(set(table["share"]), reverse=True)
    lines = []
    for key, part in table.groupby(keys):
        by = {row["share"]: row for _, row in part.iterrows()}
        cells = [_likeness(by.get(share)) for share in shares]
        lines.append([*key[:2], f"{key[2]:g}×", key[3], *cells])
    head = ["languages", "vocabulary", "tokens", "measure", *(f"share {s:g}" for s in shares)]
    said = (
        "States of sentences with the same meaning, gradients by tensor, and embeddings of ids matched one to one for "
        "the greatest cosine; in parentheses, of sentences that do not belong together, and of ids matched after a "
        "random rotation."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def _likeness(row: pd.Series | None) -> str:
    if row is None:
        return "–"
    said = between(row[["value", "low", "high"]], ".3f")
    return said if np.isnan(row["unrelated"]) else f"{said} ({row['unrelated']:.3f})"


def _phase(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    cells = table[table["kind"] == "trained"]
    linear = table[table["kind"] == "linear"]
    better, worse = int((cells["high"] < 0).sum()), int((cells["low"] > 0).sum())
    return (
        f"Of {len(cells)} cells of unequal shares, both languages are better than with equal ones in {better}, and one "
        f"is worse in {worse}; the interval of {len(cells) - better - worse} holds 0. The least value of the linear "
        f"theory is {linear['value'].min():+.2g}."
    )


def _onset(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    steps = markdown.some(sorted(set(table["step"])))
    lines = []
    for (measure, share, part), rows in table.groupby(["measure", "share", "part"], sort=False):
        if part not in ("aligned", "gained"):
            continue
        by = {row["step"]: row for _, row in rows.iterrows()}
        cells = [_gain(by[step], part) if step in by else "–" for step in steps]
        lines.append([measure, f"{share:g}" if part == "aligned" else "difference", *cells])
    lines.sort(key=lambda line: line[0])
    said = (
        "In the course of training: means over layers, tensors or ids, of states and embeddings less those of "
        "unrelated ones. Bold: the difference of the shares excludes 0."
    )
    head = ["measure", "share", *(f"step {step:g}" for step in steps)]
    return f"{said} {_first(table)}\n\n{markdown.table(head, lines)}"


def _gain(row: pd.Series, part: str) -> str:
    if part == "aligned":
        return f"{row['value']:.3f}"
    said = between(row[["value", "low", "high"]], "+.3f")
    return f"**{said}**" if row["low"] > 0 or row["high"] < 0 else said


def _first(table: pd.DataFrame) -> str:
    """From which kept step on the difference stays surely above 0, measure by measure."""
    said = []
    for measure, rows in table[table["part"] == "gained"].groupby("measure", sort=False):
        ordered = rows.sort_values("step")
        sure = (ordered["low"] > 0).to_numpy()[::-1]
        lasting = int(np.argmin(sure)) if not sure.all() else len(sure)
        step = ordered["step"].to_numpy()[len(sure) - lasting] if lasting else None
        said.append(f"{measure} {'never' if step is None else f'from step {step:g}'}")
    if not said:
        return ""
    return f"More alike at a share of 0.1, at every kept step from there on: {', '.join(said)}."


def _transfer(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    lines = []
    keys = ["task", "vocabulary", "budget", "share", "schedule", "source"]
    for (task, vocabulary, budget, share, schedule, source), part in table.groupby(
        keys, sort=False
    ):
        for _, row in part.iterrows():
            shares = schedule.replace(" > ", " → ") or f"{share:g}"
            accuracy = between(row[["accuracy", "low", "high"]], ".3f")
            line = [task, vocabulary, f"{budget:g}×", shares, source, row["target"], accuracy]
            lines.append([*line, f"{row['majority']:.3f}"])
    head = ["task", "languages", "tokens", "share", "fine-tuned in", "tested in", "accuracy"]
    return markdown.table([*head, "majority class"], lines)


def _perplexity(row: pd.Series | None) -> str:
    return "–" if row is None else between(row[["perplexity", "low", "high"]], ".1f")


def _teff(row: pd.Series | None, how: str = "") -> str:
    """With its interval, as a bound, or "–" where nothing was fitted or seeds lie on both sides."""
    name = f"teff{how}"
    if row is None or np.isnan(row[name]):
        return "–"
    if beyond := row[f"beyond{how}"]:
        return f"{'≥' if beyond == 'above' else '≤'} {row[name]:.2f}"
    return between(row[[name, f"{name}_low", f"{name}_high"]], ".2f")
