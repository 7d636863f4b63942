"""What study F22 trains, prunes and measures, as one frozen value for each preset."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from neural.gpt.config import ModelConfig, preset
from neural.masks.prune import FRACTION
from neural.measures.scoring import Sliding
from neural.study.forecast import Training
from neural.train.optim import OptimiserConfig
from sim.runs.errors import UserError

Name = Literal["language-modelling", "parts-of-speech", "relations", "entities", "topics"]
"""What models are tuned for; topics stand in place of XNLI."""

Variant = Literal["tickets", "early", "rewound", "shuffled", "mixed"]
"""Tickets of the last models; of an earlier checkpoint; of the last models rewound to that; of the last models on
shuffled labels (or tokens); of all languages together."""


@dataclass(frozen=True)
class Task:
    """One kind of tuning, of every round of pruning and every transfer."""

    name: Name
    languages: tuple[str, ...]
    tuning: OptimiserConfig
    rounds: int
    densities: tuple[float, ...] = (0.5,)
    """At which tickets of one language are trained on another."""
    variants: tuple[Variant, ...] = ("tickets",)
    batch: int = 16
    train: int = 2000
    """Sentences of a language that are tuned on, at most; of language modelling all its text."""
    test: int = 400

    @property
    def measure(self) -> str:
        """What the study compares: nats a token, or what is right of all."""
        measures = {
            "language-modelling": "nats",
            "relations": "accuracy_without_root",
            "entities": "f1",
        }
        return measures.get(self.name, "accuracy")

    def round_of(self, density: float) -> int:
        """After which so much is left."""
        return round((1 - density) / FRACTION)


@dataclass(frozen=True)
class Hunt:
    """One stack of models that is pruned round by round."""

    task: Task
    variant: Variant

    @property
    def name(self) -> str:
        return f"{self.task.name}-{self.variant}"

    @property
    def rounds(self) -> int:
        """Of what stands beside the tickets, as many as reach the task's first density."""
        task = self.task
        return task.rounds if self.variant == "tickets" else task.round_of(task.densities[0])


@dataclass(frozen=True)
class Member:
    """A model of a hunt: of a pretrained model, tuned on a language in an order of its own."""

    seed: int
    language: str
    """Or several, joined by commas."""
    order: int

    @property
    def tuning_seed(self) -> int:
        return 1000 * self.seed + self.order


@dataclass(frozen=True)
class Study:
    """One whole study."""

    corpus: tuple[str, ...]
    languages: tuple[str, ...]
    """Of the pretrained models."""
    aligned: tuple[str, ...]
    """Sources of aligned text for retrieval; without any, that is left out."""
    model: ModelConfig
    optimiser: OptimiserConfig
    """Of pretraining."""
    batch: int
    seeds: tuple[int, ...]
    early: int
    """The step whose checkpoint is rewound to, and whose own tickets are sought too."""
    orders: int
    """Tunings of each pretrained model and language, which differ in their order of text and in their heads."""
    tasks: tuple[Task, ...]
    sliding: Sliding
    text: int
    """Tokens of held-out text a language."""
    windows: int
    """Of training text that one-shot criteria look at."""
    sentences: int
    """Aligned sentences."""
    data_dir: Path | None = field(default=None, metadata={"identity": False})

    @property
    def hunts(self) -> tuple[Hunt, ...]:
        return tuple(Hunt(task, variant) for task in self.tasks for variant in task.variants)

    def members(self, hunt: Hunt) -> tuple[Member, ...]:
        """The models of a hunt, in the order of its stack."""
        return tuple(self._members(hunt))

    def _members(self, hunt: Hunt) -> Iterator[Member]:
        languages = hunt.task.languages
        orders = self.orders if hunt.variant == "tickets" else 1
        for seed in self.seeds:
            for language in (",".join(languages),) if hunt.variant == "mixed" else languages:
                for order in range(orders):
                    yield Member(seed, language, order)

    @property
    def steps(self) -> tuple[int, ...]:
        """Whose models are kept."""
        powers = {0, *(2**power for power in range(self.optimiser.steps.bit_length()))}
        return tuple(sorted({*powers, self.early, self.optimiser.steps}))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What a dry run tells of: the models, and every round of pruning."""
        models = Training("models", self.model, self.batch, len(self.seeds), self.optimiser.steps)
        rounds = [
            Training(
                f"pruning, {hunt.name}",
                self.model,
                hunt.task.batch,
                len(self.members(hunt)),
                hunt.rounds * hunt.task.tuning.steps,
            )
            for hunt in self.hunts
        ]
        return (models, *rounds)

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be studied."""
        self.model.check()
        self.optimiser.check()
        self.sliding.check(self.model.context)
        if not 0 <= self.early < self.optimiser.steps:
            raise UserError(
                f"early = {self.early}: give a step before the last, {self.optimiser.steps}"
            )
        if self.orders < 2:
            raise UserError(
                "one tuning of each model has no ceiling to compare with: give two or more"
            )
        if not self.tasks:
            raise UserError(f"no tasks: choose from {', '.join(get_args(Name))}")
        for task in self.tasks:
            task.tuning.check()
            if len(task.languages) < 2:
                raise UserError(f"{task.name} in one language: give two or more")
            if unknown := [name for name in task.languages if name not in self.languages]:
                raise UserError(
                    f"{task.name} in {unknown[0]}: the models learn {', '.join(self.languages)}"
                )
            for density in task.densities:
                done = task.round_of(density)
                if not 1 <= done <= task.rounds or abs(1 - FRACTION * done - density) > 1e-9:
                    raise UserError(
                        f"density {density:g} is reached by none of {task.rounds} rounds of {FRACTION:g}"
                    )


def _tuning(steps: int, peak: float) -> OptimiserConfig:
    return OptimiserConfig(
        steps=steps, peak=peak, warmup=steps // 10, final=0.0, beta2=0.999, decay=0.01
    )


def presets() -> dict[str, Study]:
    """The studies by name."""
    tested = ("en", "de", "fi", "zh")
    variants: tuple[Variant, ...] = ("tickets", "shuffled", "mixed")
    tuning = _tuning(128, 2e-3)
    laptop = Study(
        corpus=("msdocs+commonvoice+mozilla_www",),
        languages=("en", "de", "el", "fi", "tr", "zh"),
        aligned=("ntrex",),
        model=ModelConfig(layers=3, width=64, heads=4, context=96, vocabulary=2048),
        optimiser=OptimiserConfig(steps=1000, peak=3e-3, warmup=50, final=0.1, decay=0.1),
        batch=16,
        seeds=(0, 1, 2),
        early=256,
        orders=2,
        tasks=(
            Task(
                "language-modelling",
                tested,
                _tuning(48, 1e-3),
                rounds=8,
                densities=(0.5, 0.2),
                variants=("tickets", "early", "rewound", "shuffled", "mixed"),
                batch=8,
            ),
            Task("parts-of-speech", tested, tuning, 5, variants=variants, batch=8),
            Task("relations", tested, tuning, 5, batch=8),
            Task("entities", ("en", "de", "zh"), _tuning(192, 2e-3), 5, batch=8),
            Task("topics", tested, tuning, 5, variants=variants, batch=8),
        ),
        sliding=Sliding(96, 48),
        text=4096,
        windows=128,
        sentences=256,
    )
    languages = ("en", "de", "el", "fi", "tr", "zh", "ar", "hi")
    slow = _tuning(500, 2e-4)
    gpu = Study(
        corpus=("bible+gutenberg+msdocs+gnomedocs+mozilla_www+commonvoice",),
        languages=languages,
        aligned=("ntrex",),
        model=preset("small"),
        optimiser=OptimiserConfig(steps=10_000, peak=6e-4, warmup=500, final=0.1, decay=0.1),
        batch=64,
        seeds=(0, 1, 2),
        early=1024,
        orders=2,
        tasks=(
            Task(
                "language-modelling",
                languages,
                slow,
                rounds=8,
                densities=(0.5, 0.2),
                variants=("tickets", "early", "rewound", "shuffled", "mixed"),
                batch=32,
            ),
            Task("parts-of-speech", languages, slow, 8, (0.5, 0.2), variants, 32),
            Task("relations", languages, slow, 8, (0.5, 0.2), batch=32),
            Task("entities", ("en", "de", "zh"), slow, 8, (0.5, 0.2), batch=32),
            Task("topics", languages, slow, 8, (0.5, 0.2), variants, 32),
        ),
        sliding=Sliding(512, 256),
        text=32_768,
        windows=512,
        sentences=1000,
    )
    smoke = Study(
        corpus=("synthetic:sentences=6000",),
        languages=("s1", "s2", "s3"),
        aligned=("synthetic:sentences=6000",),
        model=ModelConfig(layers=2, width=16, heads=2, context=32, vocabulary=512),
        optimiser=OptimiserConfig(steps=16, peak=1e-2, warmup=1, final=0.1, decay=0.1),
        batch=16,
        seeds=(0, 1),
        early=4,
        orders=2,
        tasks=(
            Task(
                "language-modelling",
                ("s1", "s2"),
                _tuning(4, 3e-3),
                rounds=2,
                densities=(0.8,),
                variants=("tickets", "shuffled", "mixed"),
            ),
        ),
        sliding=Sliding(32, 32),
        text=512,
        windows=8,
        sentences=32,
    )
    bible = replace(
        laptop,
        corpus=("bible+commonvoice",),
        languages=("en", "de", "el", "fi", "fr", "zh"),
        aligned=("bible",),
        tasks=laptop.tasks[:1],
    )
    return {"smoke": smoke, "laptop": laptop, "gpu": gpu, "bible": bible}
