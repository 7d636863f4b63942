"""The page of study F22: what became of the claims of Foroutan et al. 2022, and every table; from tables alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from figures.engine import markdown
from figures.engine.studies import LANGUAGES
from figures.subnetworks import sections as show
from figures.subnetworks import tables as sheets
from figures.subnetworks.ablation_matrix import NAME as ABLATION
from figures.subnetworks.claims import effects, summary
from figures.subnetworks.overlap_layers import NAME as LAYERS
from figures.subnetworks.overlap_vs_transfer import NAME as PAIRS
from figures.subnetworks.read import subnetworks
from figures.subnetworks.tables import TABLES, cells, tables
from figures.subnetworks.transfer_matrix import NAME as TRANSFER
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.subnetworks.plan import Study

__all__ = ["FIGURES", "TABLES", "page", "tables"]

FIGURES = {
    LAYERS: "Jaccard overlap of tickets by layer (from 0) and by component, means over pairs of languages or over "
    "languages with 95 % intervals: of two languages; of two tunings in one language, the ceiling; of a ticket with "
    "the largest weights before any tuning, and with the ticket of shuffled labels; dashed, of random masks of the "
    "same densities in every matrix, and dotted, in all. Right: that of two languages, 0 at the dashed line and 1 at "
    "the ceiling.",
    TRANSFER: "What masks (lines) are worth on each language (columns) after tuning from the pretrained weights: "
    "tickets of every language above, controls below. Red is worse than the language's own ticket; framed where the "
    "95 % interval of the difference excludes 0.",
    ABLATION: "What every language (columns) loses without the weights that only one language's ticket keeps (lines, "
    "with their number), less what it loses without as many random weights of each matrix, nothing being tuned; framed "
    "where the 95 % interval excludes 0.",
    PAIRS: "Corrected overlap of the tickets of two languages against what the first one's ticket costs the second, "
    "with 95 % intervals over seeds, filled from the first of two languages to the second and open the other way; ρ: "
    "Spearman's rank correlation over ordered pairs, a mean over seeds, within which pairs are not independent.",
}
"""Those shown, with their captions."""

OPENING = """# Do languages share sub-networks of one model?

Made by `python -m figures.page subnetworks` from the results of one study; every sentence follows from its tables by \
rule. F22 is Foroutan et al. 2022 (arXiv 2205.12672); their numbers are of multilingual BERT (MLM, NER, XNLI), ours of \
small GPTs trained here, for which topics of sentences stand in place of XNLI.

A ticket is what iterative magnitude pruning of a pretrained model leaves: a tenth of the original weights goes in \
each round, the rest is rewound. It is worth what the pretrained weights under it reach when tuned again, and costs \
loss: nats a token of language modelling, wrong answers of other tasks. Brackets hold 95 % intervals, Student's t over \
pretrained models. An effect is *replicated* if its interval is on the claimed side of 0, *opposite* if it is on the \
other, and else *not replicated*; where no effect is claimed, *replicated* if the interval lies within one standard \
deviation between whole models, *opposite* if it lies outside, and else *not replicated*. Several intervals have the \
verdict of the side that more than half of them are on and none opposes."""


def page(
    run: Path, tables_by_name: Mapping[str, pd.DataFrame], figures: Mapping[str, pd.DataFrame]
) -> str:
    """The page in Markdown, of a study's tables and those of its figures, by name."""
    results = subnetworks(run)
    plan = results.study
    shown = {
        name: markdown.figure(name, said) if name in figures else ""
        for name, said in FIGURES.items()
    }
    order = cells(results)
    sections = [
        OPENING,
        markdown.section("What became of the claims", summary(tables_by_name[sheets.CLAIMS])),
        _what(run, plan, tables_by_name.get(sheets.PRETRAINED)),
        markdown.section(
            "What tickets are worth",
            show.tickets(tables_by_name.get(sheets.TICKETS), plan, order),
            show.rewound(tables_by_name),
        ),
        markdown.section(
            "From one language to another", shown[TRANSFER], show.matrices(figures.get(TRANSFER))
        ),
        markdown.section(
            "What tickets have in common",
            show.overlap(tables_by_name.get(sheets.OVERLAP), order),
            shown[LAYERS],
            show.kept(tables_by_name.get(sheets.KEPT)),
        ),
        markdown.section(
            "Overlap and transfer", shown[PAIRS], show.correlations(figures.get(PAIRS))
        ),
        markdown.section("What only one language's ticket keeps", shown[ABLATION]),
        markdown.section(
            "Sentences that find each other",
            show.retrieval(tables_by_name.get(sheets.RETRIEVAL), plan),
        ),
        markdown.section("What sparse forms cost", show.costs(tables_by_name.get(sheets.COSTS))),
        markdown.section("Every effect", effects(tables_by_name[sheets.CLAIMS])),
        markdown.files(tables_by_name, TABLES),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _what(run: Path, plan: "Study", losses: pd.DataFrame | None) -> str:
    record = Run.existing(run).provenance() or {}
    model = plan.model
    tokens = plan.optimiser.steps * plan.batch * model.context
    names = ", ".join(LANGUAGES.get(name, name) for name in plan.languages)
    said = (
        f"{len(plan.seeds)} GPTs of {model.layers} layers, width {model.width}, context {model.context} and one "
        f"vocabulary of {model.vocabulary} ids, each pretrained on {tokens:,} tokens of {names} "
        f"(`{' '.join(plan.corpus)}`, {plan.optimiser.steps} updates). Every language is tuned for in {plan.orders} "
        f"orders of its text, whose tickets give the ceiling. The earlier checkpoint is that of step {plan.early}. "
        f"{markdown.made_by(record)}"
    )
    head = ["task", "measure", "languages", "updates a round", "rounds", "compared at", "variants"]
    lines = [
        [
            task.name.replace("-", " "),
            show.measure(task),
            ", ".join(task.languages),
            task.tuning.steps,
            task.rounds,
            " and ".join(f"{density:.0%}" for density in task.densities),
            ", ".join(task.variants),
        ]
        for task in plan.tasks
    ]
    parts = [f"## What was run\n\n{said}", markdown.table(head, lines)]
    if losses is not None:
        last = losses[losses["step"] == losses["step"].max()]
        head = ["pretrained on", "perplexity", "bits a byte"]
        rows = [
            [row["language"], show.number(row, "perplexity", ".1f"), f"{row['bits_per_byte']:.3f}"]
            for _, row in last.iterrows()
        ]
        parts.append(markdown.table(head, rows))
    return "\n\n".join(parts)
