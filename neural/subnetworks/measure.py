"""What is measured of tickets: how they overlap, what they are worth, and what only one of them holds.

Each function returns a table with a row a number.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from neural.masks import sparse
from neural.masks.criteria import Criterion, one_shot
from neural.masks.mask import COMPONENTS, Mask, full, random, random_like, random_within
from neural.masks.overlap import chance, expected, only, overlap, without
from neural.masks.prune import FRACTION
from neural.measures.retrieval import retrieval, sentence_states
from neural.measures.scoring import score
from neural.study.stack import Parameters
from neural.subnetworks.plan import Member, Task
from neural.subnetworks.subjects import Subjects
from neural.subnetworks.tuning import Job, measured, weights
from neural.text.tokens import windows

Tickets = Mapping[Member, Sequence[Mask]]
"""Of each model of a hunt its masks after rounds 1, 2, …"""


def counts(tickets: Tickets) -> pd.DataFrame:
    """What each ticket keeps of each component of each layer."""
    rows = [
        {
            **_of(member),
            "round": number,
            "kept": mask.kept,
            "layer": layer,
            "component": component,
            "density": float(np.mean(mask.component(layer, component))),
        }
        for member, masks in tickets.items()
        for number, mask in enumerate(masks, 1)
        for layer in range(mask.config.layers)
        for component in COMPONENTS
    ]
    return pd.DataFrame(rows)


def overlaps(tickets: Tickets, others: Mapping[str, Tickets], subjects: Subjects) -> pd.DataFrame:
    """Jaccard overlaps of pairs of masks of the same pretrained model and round.

    kind: "languages", two languages; "seeds", one language tuned in two orders (the ceiling); "theta0", a ticket and
    the weights that are largest before any tuning; and a ticket and the same model's in each of the other hunts.
    """
    rows: list[dict[str, Any]] = []
    for member, masks in tickets.items():
        start = {name: value[0] for name, value in subjects.start([member.seed]).items()}
        for number, mask in enumerate(masks, 1):
            for kind, language, other in _partners(member, number, tickets, others):
                rows += _overlap_rows(member, number, kind, language, mask, other)
            if not member.order:
                largest = one_shot("magnitude", start, mask.config, mask.density)
                rows += _overlap_rows(member, number, "theta0", member.language, mask, largest)
    return pd.DataFrame(rows)


def _partners(
    member: Member, number: int, own_tickets: Tickets, others: Mapping[str, Tickets]
) -> Iterator[tuple[str, str, Mask]]:
    for other, masks in own_tickets.items():
        if other.seed == member.seed and not member.order:
            if other.language > member.language and not other.order:
                yield "languages", other.language, masks[number - 1]
            if other.language == member.language and other.order:
                yield "seeds", other.language, masks[number - 1]
    for name, tickets in others.items():
        theirs = tickets.get(member, ())
        if len(theirs) >= number:
            yield name, member.language, theirs[number - 1]


def _overlap_rows(
    member: Member, number: int, kind: str, language: str, a: Mask, b: Mask
) -> list[dict[str, Any]]:
    J, by_matrix = overlap([a, b]), expected([a, b])
    scopes = [
        ("total", J.total, by_matrix.total),
        *(
            (f"layer {i}", *pair)
            for i, pair in enumerate(zip(J.by_layer, by_matrix.by_layer, strict=True))
        ),
        *zip(COMPONENTS, J.by_component, by_matrix.by_component, strict=True),
    ]
    return [
        {
            **_of(member),
            "round": number,
            "density": a.density,
            "kind": kind,
            "other": language,
            "scope": scope,
            "jaccard": float(value),
            "chance": float(chance(a.density, b.density)),
            "expected": float(null),
        }
        for scope, value, null in scopes
    ]


def transfers(
    subjects: Subjects,
    task: Task,
    density: float,
    tickets: Tickets,
    others: Mapping[str, Tickets],
) -> pd.DataFrame:
    """Every ticket trained on every language, from the pretrained weights, and the controls of each language.

    At other densities than the task's first the whole models and random masks alone.
    """
    number = task.round_of(density)
    rows, jobs = [], []
    for member, masks in tickets.items():
        if member.order:
            continue
        for target in task.languages:
            rows.append({"source": member.language, "kind": "ticket", "target": target})
            jobs.append(Job(member.seed, target, masks[number - 1]))
    for name, job in _controls(subjects, task, density, tickets, others):
        rows.append({"source": name, "kind": "control", "target": job.language})
        jobs.append(job)
    about = pd.DataFrame(rows).assign(
        task=task.name,
        density=density,
        seed=[job.seed for job in jobs],
        kept=[
            full(subjects.study.model).size if job.mask is None else job.mask.kept for job in jobs
        ],
    )
    measurements = measured(subjects, task, jobs)
    return pd.concat([about, measurements.assign(score=measurements[task.measure])], axis=1)


def _controls(
    subjects: Subjects,
    task: Task,
    density: float,
    tickets: Tickets,
    others: Mapping[str, Tickets],
) -> Iterator[tuple[str, Job]]:
    """Masks beside the tickets of the languages, and where tickets were rewound, what these are worth."""
    study, number = subjects.study, task.round_of(density)
    first = density == task.densities[0]
    own = {
        (member.seed, member.language): masks
        for member, masks in tickets.items()
        if not member.order
    }
    draws = {key: [key[0], number, task.languages.index(key[1])] for key in own}
    if not first:
        for (seed, language), masks in own.items():
            yield "full", Job(seed, language)
            kept = masks[number - 1].kept
            yield (
                "random",
                Job(seed, language, random(study.model, draws[seed, language], kept=kept)),
            )
        return
    tuned = weights(subjects, task, [Job(seed, language) for seed, language in own])
    for (seed, language), after in zip(own, tuned, strict=True):
        masks, draw = own[seed, language], draws[seed, language]
        ticket = masks[number - 1]
        density = ticket.density
        start = {name: value[0] for name, value in subjects.start([seed]).items()}
        controls: dict[str, Mask | None] = {
            "full": None,
            "random": random(study.model, draw, kept=ticket.kept),
            "random by matrix": random_like(ticket, draw),
            "magnitude of theta0": one_shot("magnitude", start, study.model, density),
            "one-shot magnitude": one_shot("magnitude", after, study.model, density),
            "movement": one_shot("movement", after, study.model, density, initial=start),
        }
        if task.name == "language-modelling":
            text = windows(subjects.tokens[language, "train"], study.windows, study.model.context)
            of_text: tuple[Criterion, ...] = ("fisher", "wanda")
            for criterion in of_text:
                controls[criterion] = one_shot(criterion, start, study.model, density, windows=text)
        if number > 1:  # of all that the denser tickets, 10 to 40 % pruned, keep
            denser = masks[min(number - 1, round(0.4 / FRACTION)) - 1]
            controls["random within tickets"] = random_within(denser, draw, kept=ticket.kept)
        for name, member in (
            ("shuffled", Member(seed, language, 0)),
            ("mixed", Member(seed, ",".join(task.languages), 0)),
        ):
            theirs = others.get(name, {}).get(member, ())
            if len(theirs) >= number:
                controls[name] = theirs[number - 1]
        for name, mask in controls.items():
            yield name, Job(seed, language, mask)
        theirs = others.get("rewound", {}).get(Member(seed, language, 0), ())
        if len(theirs) >= number:
            yield "rewound", Job(seed, language, theirs[number - 1], step=study.early)
            yield "full, rewound", Job(seed, language, step=study.early)


def ablations(subjects: Subjects, task: Task, density: float, tickets: Tickets) -> pd.DataFrame:
    """The pretrained models' loss on every language without the weights that only one language's ticket keeps.

    Beside it without as many weights of each matrix, drawn at random, and of the whole model.
    """
    study, number = subjects.study, task.round_of(density)
    rows: list[dict[str, Any]] = []
    variants: list[Parameters] = []
    for seed in study.seeds:
        masks = [tickets[Member(seed, language, 0)][number - 1] for language in task.languages]
        model = {name: value[0] for name, value in subjects.start([seed]).items()}
        variants.append(model)
        rows.append({"seed": seed, "removed": "", "how": "whole", "weights": 0})
        for i, language in enumerate(task.languages):
            own = only(masks, i)
            for how, removed in (
                ("only this ticket's", own),
                ("random", random_like(own, [seed, number, i])),
            ):
                variants.append(without(model, removed))
                about = {"seed": seed, "removed": language, "how": how, "weights": removed.kept}
                rows.append(about)
    stack = {name: np.stack([variant[name] for variant in variants]) for name in variants[0]}
    parts = []
    for language in task.languages:
        scores = score(stack, study.model, subjects.held_out[language], study.sliding)
        nats = scores.nats.sum(axis=-1) / scores.scored.sum()
        parts.append(pd.DataFrame(rows).assign(language=language, nats=nats))
    return pd.concat(parts, ignore_index=True).assign(task=task.name, density=density)


def retrievals(
    subjects: Subjects, step: int, tickets: Mapping[str, Mapping[int, Mask]]
) -> pd.DataFrame:
    """How many aligned sentences find each other, by layer and pair; under no mask, and under tickets (name, seed)."""
    study, rows = subjects.study, []
    models = subjects.pretrained(step)
    for place, seed in enumerate(models.seeds):
        for name in ("", *tickets):
            model = models.model(place)
            if name:
                model = tickets[name][seed].apply(model)
            states = {
                language: sentence_states(model, study.model, text.ids, text.lengths)
                for language, text in subjects.sentences.items()
            }
            for first, other in combinations(study.languages, 2):
                by_margin = retrieval(states[first], states[other]).mean
                by_cosine = retrieval(states[first], states[other], None).mean
                rows += [
                    {
                        "seed": seed,
                        "step": step,
                        "ticket": name,
                        "one": first,
                        "other": other,
                        "layer": layer,
                        "margin": float(margin),
                        "cosine": float(cosine),
                    }
                    for layer, (margin, cosine) in enumerate(zip(by_margin, by_cosine, strict=True))
                ]
    return pd.DataFrame(rows)


def costs(subjects: Subjects, tickets: Tickets) -> pd.DataFrame:
    """Bytes and multiply-adds a token of every ticket, dense and compressed, and the seconds that all its products take
    for a context of tokens on this machine's processor (NaN of what is not multiplied as it is stored).
    """
    pretrained, config = subjects.pretrained(), subjects.study.model
    rows = []
    for member, masks in tickets.items():
        model = pretrained.model(pretrained.seeds.index(member.seed))
        for number, mask in enumerate(masks, 1):
            taken = sparse.seconds(model, mask, config.context)
            about = {**_of(member), "round": number, "density": mask.density}
            rows += [
                about | cost._asdict() | {"seconds": taken.get(cost.form, np.nan)}
                for cost in sparse.cost(mask)
            ]
    return pd.DataFrame(rows)


def _of(member: Member) -> dict[str, Any]:
    return {"seed": member.seed, "language": member.language, "order": member.order}
