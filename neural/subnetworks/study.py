"""The study in a folder: neural.study.results, and beside its tables the models and the masks.

OUT/tokenizer.json                        of all languages
OUT/models/                               a run of neural.train.loop: the pretrained models
OUT/masks/TASK-VARIANT/round-….*          every round of every hunt, as neural.masks.prune says
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from neural.masks.prune import save_round, saved_rounds, tickets
from neural.measures.scoring import score
from neural.study.results import Work, fill
from neural.subnetworks import measure
from neural.subnetworks.measure import Tickets
from neural.subnetworks.plan import Hunt, Study, Task
from neural.subnetworks.subjects import Subjects
from neural.subnetworks.tuning import trainer
from sim.runs.identity import identity
from sim.runs.store import Run

MASKS = "masks"
Stop = Callable[[], bool]


def do(study: Study, out: Path, *, resume: bool = False, stop: Stop = lambda: False) -> Run:
    """Do what is missing of a study in its folder. Raises UserError for a study that cannot be done."""
    subjects = Subjects.opened(study, out)
    before: list[tuple[str, Callable[[], None]]] = [
        ("reading", subjects.require_trainable),
        ("pretraining", partial(subjects.train, stop)),
    ]
    before += [(hunt.name, partial(_hunt, subjects, hunt, stop)) for hunt in study.hunts]
    return fill(out, study, dict(_parts(subjects)), resume=resume, stop=stop, before=before)


def _folder(subjects: Subjects, hunt: Hunt) -> Path:
    return subjects.out / MASKS / hunt.name


def _hunt(subjects: Subjects, hunt: Hunt, stop: Stop) -> None:
    """The rounds of a hunt that are missing."""
    study, task = subjects.study, hunt.task
    members = study.members(hunt)
    seeds = [member.seed for member in members]
    of_study = identity(study)
    done = saved_rounds(_folder(subjects, hunt), study.model, len(members), identity=of_study)
    if len(done) >= hunt.rounds:
        return
    rounds = tickets(
        subjects.start(seeds, study.early if hunt.variant == "early" else None),
        study.model,
        trainer(
            subjects,
            task,
            [member.tuning_seed for member in members],
            [member.language for member in members],
            shuffled=hunt.variant == "shuffled",
        ),
        hunt.rounds,
        rewind=subjects.start(seeds, study.early) if hunt.variant == "rewound" else None,
        done=done,
    )
    for pruned in rounds:
        save_round(_folder(subjects, hunt), pruned.number, pruned.masks, {"identity": of_study})
        if stop():
            raise KeyboardInterrupt


def hunted(subjects: Subjects, hunt: Hunt) -> Tickets:
    """The masks of a hunt that was finished."""
    members = subjects.study.members(hunt)
    rounds = saved_rounds(_folder(subjects, hunt), subjects.study.model, len(members))
    return {member: [masks[i] for masks in rounds] for i, member in enumerate(members)}


def _others(subjects: Subjects, task: Task) -> dict[str, Tickets]:
    """Of the variants beside the tickets."""
    return {
        variant: hunted(subjects, Hunt(task, variant))
        for variant in task.variants
        if variant != "tickets"
    }


def _parts(subjects: Subjects) -> Iterator[tuple[str, Work]]:
    """Names of parts and how to make them."""
    study = subjects.study
    yield "pretrained-all", partial(_pretrained, subjects)
    for hunt in study.hunts:
        yield f"counts-{hunt.name}", partial(_counts, subjects, hunt)
    for task in study.tasks:
        yield f"overlap-{task.name}", partial(_overlap, subjects, task)
        for density in task.densities:
            yield f"transfer-{task.name}-{density:g}", partial(_transfer, subjects, task, density)
            if task.name == "language-modelling":
                work = partial(_ablation, subjects, task, density)
                yield f"ablation-{task.name}-{density:g}", work
    for step in study.steps if study.aligned else ():
        yield f"retrieval-step-{step}", partial(_retrieval, subjects, step)
    yield "costs-tickets", partial(_costs, subjects)


def _pretrained(subjects: Subjects) -> pd.DataFrame:
    """The loss of the pretrained models on every language in the course of their training."""
    study, parts = subjects.study, []
    for step in study.steps:
        models = subjects.pretrained(step)
        for language, text in subjects.held_out.items():
            measures = score(models.parameters, study.model, text, study.sliding)
            estimates = measures.estimates(resamples=1)
            parts.append(
                pd.DataFrame({"seed": models.seeds, "step": step, "language": language}).assign(
                    nats_per_token=estimates["nats_per_token"].value,
                    bits_per_byte=estimates["bits_per_byte"].value,
                )
            )
    return pd.concat(parts, ignore_index=True)


def _counts(subjects: Subjects, hunt: Hunt) -> pd.DataFrame:
    return measure.counts(hunted(subjects, hunt)).assign(task=hunt.task.name, variant=hunt.variant)


def _overlap(subjects: Subjects, task: Task) -> pd.DataFrame:
    own = hunted(subjects, Hunt(task, "tickets"))
    table = measure.overlaps(own, _others(subjects, task), subjects)
    return table.assign(task=task.name)


def _transfer(subjects: Subjects, task: Task, density: float) -> pd.DataFrame:
    own = hunted(subjects, Hunt(task, "tickets"))
    return measure.transfers(subjects, task, density, own, _others(subjects, task))


def _ablation(subjects: Subjects, task: Task, density: float) -> pd.DataFrame:
    return measure.ablations(subjects, task, density, hunted(subjects, Hunt(task, "tickets")))


def _retrieval(subjects: Subjects, step: int) -> pd.DataFrame:
    """Of the last models also under the tickets of language modelling, at their first density."""
    study = subjects.study
    masks: dict[str, dict[int, measure.Mask]] = {}
    first = study.tasks[0]
    if step == study.optimiser.steps and first.name == "language-modelling":
        number = first.round_of(first.densities[0])
        for member, rounds in hunted(subjects, Hunt(first, "tickets")).items():
            if not member.order:
                masks.setdefault(member.language, {})[member.seed] = rounds[number - 1]
    return measure.retrievals(subjects, step, masks)


def _costs(subjects: Subjects) -> pd.DataFrame:
    first = subjects.study.tasks[0]
    tickets_of = hunted(subjects, Hunt(first, "tickets"))
    return measure.costs(subjects, tickets_of).assign(task=first.name)
