"""The page of study B22: what became of the claims of Blevins et al. 2022, and every table; from tables alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from figures.dynamics import sections as show
from figures.dynamics import tables as sheets
from figures.dynamics.claims import by_measure, controls, summary
from figures.dynamics.forgetting import NAME as FORGETTING
from figures.dynamics.layer_drift import NAME as LAYERS
from figures.dynamics.learning_progress import NAME as PROGRESS
from figures.dynamics.read import dynamics
from figures.dynamics.tables import TABLES, tables
from figures.dynamics.transfer_onset import NAME as ONSET
from figures.engine import markdown
from figures.engine.studies import LANGUAGES
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.dynamics.results import Results

__all__ = ["FIGURES", "TABLES", "page", "tables"]

FIGURES = {
    PROGRESS: "Scores over training, means over languages or pairs with 95 % bands: of probes accuracy at the layer "
    "that is best on dev, within a language (blue) and from each to every other (red); dotted, the untrained model; "
    "pink, probes of random labels; dashed, the most frequent class or chance. Below each: onsets with 95 % intervals, "
    "filled of 98 % of the gain over the untrained model, hollow of 98 % of the best score, as in B22. Intervals that "
    "are far wider than the range of the values end at the panel's edge.",
    ONSET: "Above: the update at which a probe fitted in one language (lines) has 98 % of its gain over the untrained "
    "model when tried in another (columns); in parentheses where some models never gain, – where none does; retrieval "
    "and word alignments have no direction. Below: the same of pairs of two languages against the subwords that they "
    "share; ρ: Spearman's rank correlation, a mean over models, within which pairs are not independent. 95 % "
    "intervals.",
    LAYERS: "Scores by layer (0: embeddings) and step, coloured from the least to the greatest of each panel (written "
    "below it); rings: the layer that is best on average; lines: the centre of mass over layers of the accuracy above "
    "the most frequent class.",
    FORGETTING: "Relative change of accuracy by layer, above from the layer's own best step to the last one, below "
    "from the best step of the last layer; best steps are chosen on dev, so that a change may be above 0. 95 % "
    "intervals.",
}
"""Those shown, with their captions."""

OPENING = """# When do multilingual models come to know what?

Made by `python -m figures.page dynamics` from the results of one study; every sentence follows from its tables by \
rule. B22 is Blevins et al. 2022 (arXiv 2205.11758); their numbers are of one replica of XLM-R (base, 1.5 million \
updates), ours of small GPTs trained here, for which pairing of translated sentences stands in place of XNLI.

Linear probes are fitted to the frozen states of every layer at many steps, within each language (in-language) and \
tried in every other (cross-lingual). Brackets hold 95 % intervals, Student's t over pretrained models (seeds). A \
claim is judged over models, for the languages at hand, and over languages or pairs, for the models at hand; \
differences of onsets are in octaves (factors of two) of the step. An effect is *replicated* if its interval is on the \
claimed side of 0, *opposite* if it is on the other, and else *not replicated*; where no effect is claimed, \
*replicated* if the interval lies within 0.05 of accuracy, *opposite* if it lies outside, and else *not replicated*. \
Several intervals have the verdict of the side that more than half of them are on and none opposes; in parentheses, \
how many are, of how many that were tested. Effects: the median, and from the least to the greatest."""


def page(run: Path, frames: Mapping[str, pd.DataFrame], figures: Mapping[str, pd.DataFrame]) -> str:
    """The page in Markdown, of a study's tables and those of its figures, by name."""
    results = dynamics(run)
    plan = results.study
    shown = {
        name: markdown.figure(name, said) if name in figures else ""
        for name, said in FIGURES.items()
    }
    claims = frames[sheets.CLAIMS]
    sections = [
        OPENING,
        markdown.section("What became of the claims", summary(claims)),
        markdown.section("What the controls say", controls(claims)),
        _what(run, results),
        markdown.section(
            "What is learnt when", shown[PROGRESS], show.onsets(frames[sheets.ONSETS], plan)
        ),
        markdown.section("Bits per character", show.bits(frames[sheets.BITS])),
        markdown.section("Probes", show.probes(frames.get(sheets.PROBES))),
        markdown.section(
            "From one language to another", shown[ONSET], show.pairs(frames.get(sheets.PAIRS))
        ),
        markdown.section("Layers", shown[LAYERS]),
        markdown.section(
            "What is lost again", shown[FORGETTING], show.changes(figures.get(FORGETTING))
        ),
        markdown.section("Description length", show.codelengths(frames.get(sheets.CODE))),
        markdown.section("Random labels", show.selectivity(frames.get(sheets.SELECTIVITY))),
        markdown.section("Word alignment", show.alignment(frames.get(sheets.ALIGNMENT))),
        markdown.section(
            "Sentences that find each other", show.retrieval(frames.get(sheets.RETRIEVAL))
        ),
        markdown.section(
            "Which language it is",
            show.identity(frames.get(sheets.IDENTITY), frames.get(sheets.PROBES)),
        ),
        markdown.section(
            "The claims, by how they are measured", _every(claims), by_measure(claims)
        ),
        markdown.files(frames, TABLES),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _every(claims: pd.DataFrame) -> str:
    return (
        f"Each line counts the intervals of several tasks; all {len(claims)} effects, with theirs, are in "
        f"[{sheets.CLAIMS}.csv]({sheets.CLAIMS}.csv)."
    )


def _what(run: Path, results: "Results") -> str:
    from neural.study.results import read

    record = Run.existing(run).provenance() or {}
    plan = results.study
    model = plan.model
    tokens = plan.optimiser.steps * plan.batch * model.context
    names = ", ".join(LANGUAGES.get(name, name) for name in plan.languages)
    fits = [
        f"{plan.words.train} words" if "parts-of-speech" in plan.tasks else "",
        f"{plan.arcs.train} pairs of words" if {"arcs", "relations"} & {*plan.tasks} else "",
        f"{plan.sentences.train} aligned sentences (`{' '.join(plan.aligned)}`)"
        if plan.aligned
        else "",
        f"{plan.inferences.train} pairs of XNLI" if "xnli" in plan.tasks else "",
    ]
    models = f"{len(plan.seeds)} GPT{'s' if len(plan.seeds) > 1 else ''}"
    layers = f"{model.layers} layer{'s' if model.layers > 1 else ''}"
    said = (
        f"{models} of {layers}, width {model.width}, context {model.context} and "
        f"one vocabulary of {model.vocabulary} ids, each pretrained on {tokens:,} tokens of {names} "
        f"(`{' '.join(plan.corpus)}`, {plan.optimiser.steps} updates). They are looked at after "
        f"{', '.join(map(str, plan.steps))} updates, by random labels and codelengths after "
        f"{', '.join(map(str, plan.coarse_steps))}. "
    )
    if plan.tasks:
        fitted = read(results.out, "probes")
        said += (
            f"Probes of {', '.join(map(show.titled, plan.tasks))}, fitted in each language to "
            f"{', '.join(filter(None, fits))}; {plan.draws} draws of what is random. Of {len(fitted):,} probes that "
            f"were tried, {int((~fitted['converged'].astype(bool)).sum()):,} are of a fit that did not converge. "
        )
    else:
        said += "No task was probed: their text has no annotation and no aligned sentences. "
    said += markdown.made_by(record)
    return f"## What was run\n\n{said}"
