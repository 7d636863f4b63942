"""What is measured of a stack of models: losses, failures, slopes, alignment, probes, and tickets with their overlap.

Each function returns a table with a row a number: columns `seed`, `step`, and its own; what a model was trained on is
joined by the study. Losses are in nats a token.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.across.plan import GROUPS, Study
from neural.across.subjects import PARTS, Both
from neural.gpt.config import Compute
from neural.gpt.parts import names_of
from neural.masks.criteria import one_shot
from neural.masks.mask import Mask, prunable, random_like
from neural.masks.overlap import corrected, expected, only, overlap, without
from neural.masks.prune import FRACTION, tickets
from neural.measures.alignment import gradient_cosines
from neural.measures.curvature import FINE, damages
from neural.measures.perturb import curve
from neural.measures.probes import ridge
from neural.measures.probes.linear import Part, score
from neural.measures.retrieval import retrieval, sentence_states
from neural.measures.scoring import Sliding
from neural.measures.scoring import score as text_score
from neural.study.real import pooled_cosines
from neural.study.stack import Stack, perplexities
from neural.text.tokens import windows
from neural.tune.language_model import LanguageModel
from neural.tune.objective import trainer
from neural.tune.tagging import UPOS

Array = NDArray[np.floating[Any]]

LANGUAGE, RETRIEVAL = "language", "retrieval"
TAGS, TRANSFERRED = "parts of speech", "parts of speech, transferred"
PROBES = (LANGUAGE, RETRIEVAL, TAGS, TRANSFERRED)

Hunted = Mapping[tuple[str, int], Sequence[Mask]]
"""The tickets of a stack, one a model, by language and order of tuning."""


def losses(
    stack: Stack, language_pair: Both, languages: Sequence[str], sliding: Sliding
) -> pd.DataFrame:
    """The clean losses, and how many tokens of each language a model has seen."""
    return perplexities(stack, {name: language_pair.held_out[name] for name in languages}, sliding)


def failures(stack: Stack, language_pair: Both, study: Study) -> pd.DataFrame:
    """The losses on the first language under every failure at every strength, draw by draw."""
    plan, first = study.broken, language_pair.languages[0]
    parts = []
    for group in GROUPS:
        for failure, strengths in plan.failures:
            failure_curve = curve(
                stack.parameters,
                stack.config,
                language_pair.held_out[first],
                study.sliding,
                group,
                failure,
                strengths,
                draws=plan.draws,
            )
            place, level, draw = (
                index.reshape(-1) for index in np.indices(failure_curve.nats.shape)
            )
            rows = {
                "seed": np.array(stack.seeds)[place],
                "step": np.array(stack.steps)[place],
                "group": group,
                "failure": failure,
                "level": level,
                "strength": np.array(strengths)[level],
                "draw": draw,
                "nats_per_token": failure_curve.nats_per_token.reshape(-1),
            }
            parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)


def slopes(stack: Stack, language_pair: Both, study: Study) -> pd.DataFrame:
    """Growth of the loss on the first language under small relative noise on each group, over sigma squared."""
    plan, first = study.noise, language_pair.languages[0]
    groups = {name: names_of(name, stack.config) for name in GROUPS}
    read = windows(language_pair.held_out[first], plan.windows, stack.config.context)
    compute = Compute("float64" if stack.config.parameters <= FINE else "float32")
    rows = []
    for place in range(len(stack)):
        growth = damages(
            stack.model(place),
            stack.config,
            read,
            groups,
            [plan.sigma],
            pairs=plan.pairs,
            relative=True,
            compute=compute,
        ).slopes()
        rows += [
            _at(stack, place)
            | {
                "group": group,
                "slope": float(growth.value[g, 0]),
                "standard_error": float(growth.standard_error[g, 0]),
            }
            for g, group in enumerate(groups)
        ]
    return pd.DataFrame(rows)


def alike(stack: Stack, language_pair: Both, study: Study) -> pd.DataFrame:
    """How alike the two languages are to each model.

    state cosine: of the mean states of the same sentences, by layer after the embeddings; `unrelated` of sentences that
    do not belong together. gradient cosine: of the losses on text of the two, by matrix of the blocks.
    """
    rows = []
    first, other = (
        windows(language_pair.held_out[name], study.windows, stack.config.context)
        for name in language_pair.languages
    )
    for place in range(len(stack)):
        model, about = stack.model(place), _at(stack, place)
        states = pooled_cosines(model, stack.config, *language_pair.sentences)
        rows += [
            about | {"measure": "state cosine", "place": str(layer), "value": v, "unrelated": u}
            for layer, (v, u) in enumerate(zip(states.paired, states.unpaired, strict=True))
            if layer
        ]
        gradients = gradient_cosines(model, stack.config, first, other)
        rows += [
            about | {"measure": "gradient cosine", "place": name, "value": gradients[name]}
            for name in prunable(stack.config)
        ]
    return pd.DataFrame(rows)


def probes(stack: Stack, language_pair: Both) -> pd.DataFrame:
    """What can be read from the states of each model, by layer after the embeddings, and by `chance`.

    language: which one the mean state of a sentence is of, by a ridge probe. retrieval: how many sentences find their
    translation, by ratio margin. parts of speech: of the words of the first language, by a ridge probe fitted to it;
    transferred: by that probe, of the words of the second.
    """
    rows: list[dict[str, Any]] = []
    for place in range(len(stack)):
        model = stack.model(place)
        first, other = (
            sentence_states(model, stack.config, text.ids, text.lengths)[1:]
            for text in language_pair.sentences
        )
        scores = {
            LANGUAGE: _identity(first, other),
            RETRIEVAL: (retrieval(first, other).mean, 1 / first.shape[1]),
            **(_tagged(model, stack, language_pair) if language_pair.words else {}),
        }
        rows += [
            _at(stack, place)
            | {"probe": name, "layer": layer, "accuracy": float(value), "chance": chance}
            for name, (accuracies, chance) in scores.items()
            for layer, value in enumerate(accuracies, 1)
        ]
    return pd.DataFrame(rows)


def _identity(first: Array, other: Array) -> tuple[Array, float]:
    """Of mean states (layers, N, d): half of the sentences fit the probe, a quarter choose its penalty."""
    N = first.shape[1]
    ends = N // 2, 3 * N // 4
    parts = [
        Part(
            np.concatenate([first[:, rows], other[:, rows]], axis=1),
            np.repeat([0, 1], len(rows)),
        )
        for rows in np.split(np.arange(N), ends)
    ]
    return score(ridge.fit(parts[0], parts[1], 2), parts[2]).accuracy, 0.5


def _tagged(model: Any, stack: Stack, language_pair: Both) -> dict[str, tuple[Array, float]]:
    from neural.measures.words import word_features

    def part(language: str, name: str) -> Part:
        words = language_pair.words[language, name]
        return Part(word_features(model, stack.config, words.examples)[1:], words.labels)

    first, second = language_pair.languages
    train, dev = (part(first, name) for name in PARTS[:2])
    fitted = ridge.fit(train, dev, len(UPOS))
    scores: dict[str, tuple[Array, float]] = {}
    for name, language in ((TAGS, first), (TRANSFERRED, second)):
        test = part(language, "test")
        majority = float(np.bincount(np.asarray(test.labels)).max() / len(test))
        scores[name] = (score(fitted, test).accuracy, majority)
    return scores


def hunted(
    stack: Stack, language_pair: Both, study: Study, language: str, order: int
) -> tuple[Mask, ...]:
    """The ticket of each model of a stack: what pruning on the text of one language leaves after the last round."""
    plan = study.tickets
    objective = LanguageModel(
        (language,) * len(stack),
        language_pair.train,
        {},
        context=stack.config.context,
        size=plan.batch,
    )
    seeds = [1000 * seed + order for seed in stack.seeds]
    train = trainer(stack.config, objective, plan.tuning, seeds=seeds)
    *_, last = tickets(stack.parameters, stack.config, train, plan.rounds, fraction=FRACTION)
    return last.masks


def overlaps(stack: Stack, language_pair: Both, all_tickets: Hunted) -> pd.DataFrame:
    """How much the tickets of the two languages have in common, a row a model.

    jaccard, and by chance `expected` at the densities of each matrix; ceiling: of the tickets of one language in two
    orders, the mean over languages; overlap: 0 by chance and 1 at the ceiling; untuned: the Jaccard of the first
    language's ticket and the largest weights before any tuning.
    """
    first, second = language_pair.languages
    rows = []
    for place in range(len(stack)):
        masks = {key: tickets_of[place] for key, tickets_of in all_tickets.items()}
        pair = [masks[first, 0], masks[second, 0]]
        J, J0 = overlap(pair).total, expected(pair).total
        ceiling = np.mean(
            [
                overlap([masks[name, 0], mask]).total
                for name in language_pair.languages
                for (language, order), mask in masks.items()
                if language == name and order
            ]
        )
        largest = one_shot("magnitude", stack.model(place), stack.config, pair[0].density)
        row = {
            "density": pair[0].density,
            "jaccard": J,
            "expected": J0,
            "ceiling": float(ceiling),
            "overlap": float(corrected(J, J0, ceiling)),
            "untuned": overlap([pair[0], largest]).total,
        }
        rows.append(_at(stack, place) | row)
    return pd.DataFrame(rows)


def ablations(
    stack: Stack, language_pair: Both, all_tickets: Hunted, sliding: Sliding
) -> pd.DataFrame:
    """The loss on each `language` without the weights that only one language's ticket keeps (`removed`).

    how: "whole", "only this ticket's", or "random", as many of each matrix.
    """
    rows: list[dict[str, Any]] = []
    variants = []
    for place in range(len(stack)):
        model, masks = (
            stack.model(place),
            [all_tickets[name, 0][place] for name in language_pair.languages],
        )
        for about, removed in _removed(masks, language_pair.languages, stack.seeds[place]):
            rows.append(_at(stack, place) | about)
            variants.append(model if removed is None else without(model, removed))
    copies = {name: np.stack([variant[name] for variant in variants]) for name in variants[0]}
    parts = []
    for language, text in language_pair.held_out.items():
        scores = text_score(copies, stack.config, text, sliding)
        nats = scores.nats.sum(axis=-1) / scores.scored.sum()
        parts.append(pd.DataFrame(rows).assign(language=language, nats=nats))
    return pd.concat(parts, ignore_index=True)


def _removed(
    masks: Sequence[Mask], languages: Sequence[str], seed: int
) -> Iterator[tuple[dict[str, Any], Mask | None]]:
    yield {"removed": "", "how": "whole", "weights": 0}, None
    for i, language in enumerate(languages):
        own = only(masks, i)
        drawn = random_like(own, [seed, i])
        for how, mask in (("only this ticket's", own), ("random", drawn)):
            yield {"removed": language, "how": how, "weights": mask.kept}, mask


def _at(stack: Stack, place: int) -> dict[str, Any]:
    return {"seed": stack.seeds[place], "step": stack.steps[place]}
