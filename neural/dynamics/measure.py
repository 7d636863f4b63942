"""What is measured of the models of several steps. Each function returns a table with a row a number.

All tables but `similarity` have step and seed (of pretraining), and all but `bits` and `similarity` layer: 0 is the
residual stream after the embeddings, l that after block l. Further columns:

bits        language; nats_per_token, bits_per_byte, bits_per_character of held-out text
probes      task; draw, of what is drawn at random (0 where nothing is); train, test: the languages that the probe was
            fitted and tried in; removed: whether the language subspace was taken out of the features before; accuracy,
            loss (nats an example) on the test part of the language tried in, accuracy_dev, loss_dev on its dev part;
            majority: accuracy of always the most frequent class of the test part; strength of the penalty, chosen on
            dev of the language fitted in; converged
controls    task, draw, language; accuracy, loss of a probe of random labels on the test part; memorisable: the most
            that remembering words can get right
length      task, draw, language; bits: the codelength of the training part's labels by online coding; uniform: at
            log2 of the classes each; compression: uniform / bits; converged
identity    unit: words (of treebanks) or sentences (aligned); accuracy of telling the language; without: the same when
            the directions in which languages' means differ are removed; share: of the variance in these; majority
retrieval   one, other: languages; removed, as of probes; margin, cosine: the part of sentences that find their
            translation, by ratio margin and by cosine, the mean of both directions; chance: one in so many sentences
alignment   one, other; method: argmax or itermax; answers: all, or those written differently in both; precision: of
            the links of one's answers the part that ends in other's; recall: the same the other way; f1 of the two;
            chance: that f1 if links ended anywhere in the sentence; answered: the part of one's answers with a link
            that ends in other's; n: answers
similarity  one, other; distance: 0 of one genus, 1 of one family, 2 of none, NaN unknown; overlap: of subwords
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.dynamics.examples import Examples, Floats
from neural.dynamics.plan import OF_WORDS, PARTS, REDRAWN, Name, Part
from neural.dynamics.readings import Readings
from neural.dynamics.subjects import Subjects
from neural.measures.probes import align, linear, logistic, subspace
from neural.measures.probes.controls import control_labels, distribution, memorisable
from neural.measures.probes.description_length import description_length
from neural.measures.probes.linear import score
from neural.measures.retrieval import retrieval
from neural.measures.scoring import score as text_score
from neural.text.languages import family_distance
from neural.text.xquad import Side

METHODS: dict[str, Callable[[Any], align.Links]] = {
    "argmax": align.argmax,
    "itermax": align.itermax,
}


def bits(readings: Readings) -> pd.DataFrame:
    """How well each language's held-out text is predicted."""
    subjects, parts = readings.subjects, []
    for step, models in zip(readings.steps, readings.stacks, strict=True):
        for language, text in subjects.held_out.items():
            scores = text_score(
                models.parameters, models.config, text, subjects.study.sliding
            ).estimates(resamples=1)
            per_byte = scores["bits_per_byte"].value
            parts.append(
                pd.DataFrame({"step": step, "seed": models.seeds, "language": language}).assign(
                    nats_per_token=scores["nats_per_token"].value,
                    bits_per_byte=per_byte,
                    bits_per_character=per_byte * subjects.bytes_per_character[language],
                )
            )
    return pd.concat(parts, ignore_index=True)


def probes(readings: Readings, task: Name) -> pd.DataFrame:
    """Probes of a task fitted in every language, and tried in every language."""
    study, parts = readings.subjects.study, []
    for draw in range(study.draws if task in REDRAWN else 1):
        data = {
            (language, part): _data(readings, task, language, part, draw)
            for language in study.sources(task)
            for part in PARTS
        }
        parts.append(_transferred(readings, task, data).assign(draw=draw, removed=False))
    return pd.concat(parts, ignore_index=True)


def without_language(readings: Readings, task: Name) -> pd.DataFrame:
    """The same without the directions in which the mean states of the languages differ, of their training words."""
    subjects = readings.subjects
    basis = subspace.mean_directions(*_mixed(readings, "train"))
    data = {}
    for language in subjects.study.languages:
        for part in PARTS:
            states = subspace.removed(readings.words(language, part), basis).astype(np.float32)
            data[language, part] = _Data(subjects.examples(task, language, part), states)
    return _transferred(readings, task, data).assign(draw=0, removed=True)


@dataclass(frozen=True, eq=False)
class _Data:
    """Examples with their states, not yet put together: features of pairs are large."""

    examples: Examples
    states: Floats
    others: Floats | None = None

    def part(self) -> linear.Part:
        return self.examples.part(self.states, self.others)


def _data(readings: Readings, task: Name, language: str, part: Part, draw: int) -> _Data:
    examples = readings.subjects.examples(task, language, part, draw)
    if task in OF_WORDS:
        return _Data(examples, readings.words(language, part))
    states = readings.sentences(task, language, part)
    if task != "pairing":
        return _Data(examples, states)
    pivot = readings.subjects.study.languages[0]
    return _Data(examples, readings.sentences(task, pivot, part), states)


def _transferred(
    readings: Readings, task: Name, data: Mapping[tuple[str, Part], _Data]
) -> pd.DataFrame:
    rows = []
    languages = list(dict.fromkeys(language for language, _ in data))
    for source in languages:
        train, dev = (data[source, part].part() for part in PARTS[:2])
        fitted = logistic.fit(train, dev, data[source, "train"].examples.classes)
        for target in languages:
            ours, theirs = (score(fitted, data[target, part].part()) for part in ("test", "dev"))
            rows.append(
                readings.about.assign(
                    task=task,
                    train=source,
                    test=target,
                    accuracy=ours.accuracy,
                    loss=ours.loss,
                    accuracy_dev=theirs.accuracy,
                    loss_dev=theirs.loss,
                    majority=data[target, "test"].examples.majority,
                    strength=fitted.strength,
                    converged=fitted.converged,
                )
            )
    return pd.concat(rows, ignore_index=True)


def controls(readings: Readings, task: Name) -> pd.DataFrame:
    """Probes of random labels of words, or of pairs of them, drawn with the frequencies of the task's own."""
    subjects, rows = readings.subjects, []
    places = readings.at(subjects.study.coarse_steps)
    for language in subjects.study.sources(task):
        by_part = {part: subjects.examples(task, language, part) for part in PARTS}
        states = {part: readings.words(language, part)[places] for part in PARTS}
        classes = by_part["train"].classes
        frequencies = distribution(by_part["train"].labels, classes)
        for draw in range(subjects.study.draws):
            data = {
                part: examples.relabelled(control_labels(examples.types, frequencies, draw)).part(
                    states[part]
                )
                for part, examples in by_part.items()
            }
            fitted = logistic.fit(data["train"], data["dev"], classes)
            ours = score(fitted, data["test"])
            most = memorisable(by_part["train"].types, by_part["test"].types, frequencies)
            rows.append(
                readings.about.iloc[places].assign(
                    task=task,
                    draw=draw,
                    language=language,
                    accuracy=ours.accuracy,
                    loss=ours.loss,
                    memorisable=most,
                )
            )
    return pd.concat(rows, ignore_index=True)


def lengths(readings: Readings, task: Name) -> pd.DataFrame:
    """Codelengths of the labels of a task, in every language."""
    subjects, rows = readings.subjects, []
    places = readings.at(subjects.study.coarse_steps)
    for language in subjects.study.sources(task):
        by_part = {part: subjects.examples(task, language, part) for part in PARTS}
        train, dev = (
            by_part[part].part(readings.words(language, part)[places]) for part in PARTS[:2]
        )
        for draw in range(subjects.study.draws):
            coded = description_length(train, dev, by_part["train"].classes, seed=draw)
            rows.append(
                readings.about.iloc[places].assign(
                    task=task,
                    draw=draw,
                    language=language,
                    bits=coded.bits,
                    uniform=coded.uniform,
                    compression=coded.compression,
                    converged=coded.converged,
                )
            )
    return pd.concat(rows, ignore_index=True)


def identities(readings: Readings) -> pd.DataFrame:
    """How well states tell the language: of words where there are treebanks, and of aligned sentences, if any."""
    subjects = readings.subjects
    there = {"words": subjects.sentences, "sentences": subjects.study.aligned}
    units = [unit for unit, evidence in there.items() if evidence]
    rows = []
    for unit in units:
        mixed = _mixed if unit == "words" else _mixed_sentences
        evidence = subspace.identity(*(linear.Part(*mixed(readings, part)) for part in PARTS))
        rows.append(
            readings.about.assign(
                unit=unit,
                accuracy=evidence.accuracy,
                without=evidence.without,
                share=evidence.share,
                majority=evidence.majority,
            )
        )
    return pd.concat(rows, ignore_index=True)


def _mixed(readings: Readings, part: Part) -> tuple[Floats, NDArray[np.int64]]:
    """As many words of every language as there are wanted of one, and the languages."""
    subjects = readings.subjects
    each = -(-subjects.study.words.size(part) // len(subjects.study.languages))
    return _joined([readings.words(name, part)[:, :each] for name in subjects.study.languages])


def _mixed_sentences(readings: Readings, part: Part) -> tuple[Floats, NDArray[np.int64]]:
    """The aligned sentences of a part in every language, and the languages."""
    subjects = readings.subjects
    rows = subjects.aligned.rows[part]
    return _joined(
        [readings.sentences("pairing", name, part)[:, rows] for name in subjects.study.languages]
    )


def _joined(states: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    sizes = [item.shape[1] for item in states]
    return np.concatenate(states, axis=1), np.repeat(np.arange(len(sizes)), sizes)


def retrievals(readings: Readings) -> pd.DataFrame:
    """How many of the test part's sentences find their translations, with the language subspace and without.

    That is of the training part's sentences.
    """
    subjects = readings.subjects
    basis = subspace.mean_directions(*_mixed_sentences(readings, "train"))
    rows, test = [], subjects.aligned.rows["test"]
    for removed in (False, True):
        states = {}
        for language in subjects.study.languages:
            own = readings.sentences("pairing", language, "test")[:, test]
            states[language] = subspace.removed(own, basis) if removed else own
        for first, other in combinations(states, 2):
            rows.append(
                readings.about.assign(
                    one=first,
                    other=other,
                    removed=removed,
                    margin=retrieval(states[first], states[other]).mean,
                    cosine=retrieval(states[first], states[other], None).mean,
                    chance=1 / len(test),
                )
            )
    return pd.concat(rows, ignore_index=True)


def alignments(readings: Readings) -> pd.DataFrame:
    """How often words of answers are aligned with words of the same answers in another language."""
    answers = readings.subjects.answers
    states = {
        language: _by_sentence(readings.answers(language), answers.words[language].there)
        for language in answers.words
    }
    rows: list[dict[str, Any]] = []
    for first, other in combinations(states, 2):
        different = [side[first].form != side[other].form for side in answers.sides]
        for place, about in enumerate(readings.about.to_dict("records")):
            similarities = [
                align.similarity(x[place], y[place])
                for x, y in zip(states[first], states[other], strict=True)
            ]
            for method, links_of in METHODS.items():
                links = [links_of(S) for S in similarities]
                for kind, kept in (("all", [True] * len(links)), ("differing", different)):
                    about_these = {"one": first, "other": other, "method": method, "answers": kind}
                    rows.append(
                        about | about_these | _answered(links, answers.sides, first, other, kept)
                    )
    return pd.DataFrame(rows)


def _by_sentence(states: Floats, there: NDArray[np.bool_]) -> list[Floats]:
    """Of words (P, M, d) those of each sentence, (P, W, d)."""
    ends = np.cumsum(there.sum(axis=1))[:-1]
    return list(np.split(states, ends, axis=1))


def _answered(
    links: Sequence[align.Links],
    sides: Sequence[Side],
    first: str,
    other: str,
    kept: Sequence[bool],
) -> dict[str, float]:
    """Of the answers that are kept, as `alignment` says."""
    chosen = [i for i, keep in enumerate(kept) if keep]
    A = [links[i] for i in chosen]
    ours, theirs = ([sides[i][name].answer for i in chosen] for name in (first, other))
    there = align.projected(A, ours, theirs)
    back = align.projected([item.T for item in A], theirs, ours)
    answered = [
        bool(item[a:b, c:d].any()) for item, (a, b), (c, d) in zip(A, ours, theirs, strict=True)
    ]
    return {
        "precision": there.precision,
        "recall": back.precision,
        "f1": _f1(there.precision, back.precision),
        "chance": _f1(there.chance, back.chance),
        "answered": float(np.mean(answered)) if answered else float("nan"),
        "n": len(chosen),
    }


def _f1(precision: float, recall: float) -> float:
    """Their harmonic mean; 0 of two zeros, NaN of what is not there."""
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def similarities(subjects: Subjects) -> pd.DataFrame:
    """Of every pair of languages."""
    return pd.DataFrame(
        [
            {
                "one": first,
                "other": other,
                "distance": family_distance(first, other),
                "overlap": shared,
            }
            for (first, other), shared in subjects.overlap.items()
        ]
    )
