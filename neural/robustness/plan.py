"""What the study trains and measures, as one frozen value for each preset.

Texts have the names of neural.corpus ("en", "en@bible"); a model is named by the texts it is trained on, joined by "+".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from neural.gpt.config import ModelConfig, preset
from neural.measures.scoring import Sliding
from neural.study.forecast import Training
from neural.train.optim import OptimiserConfig
from neural.tune.classifier import FineTuning
from sim.runs.errors import UserError

Kind = Literal["language", "domain", "near-clone", "three languages"]
"""What a model learns beside its first text: another language, another kind of text in the same language, another
translation of the same text into the same language, or two other languages."""

Strengths = tuple[float, ...]

PARTS = ("attention", "mlp", "embeddings", "all")
"""Groups of parameters that every study looks at."""

NOISE: Strengths = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
RELATIVE: Strengths = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)
LOSS: Strengths = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
PRUNED: Strengths = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
LARGEST: Strengths = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
BITS: Strengths = (float("inf"), 8.0, 6.0, 5.0, 4.0, 3.0, 2.0)

SMALL: Strengths = (0.005, 0.02)
SMALL_RELATIVE: Strengths = (0.05, 0.2)

MAIN: Mapping[str, Strengths] = {
    "weight-deletion": LOSS,
    "additive-noise": NOISE,
    "additive-noise-relative": RELATIVE,
    "magnitude-pruning": PRUNED,
}
"""Daras et al. 2022's failures, and noise in units of each tensor's standard deviation."""
MORE: Mapping[str, Strengths] = {
    "multiplicative-noise": RELATIVE,
    "magnitude-pruning-global": PRUNED,
    "largest-deletion": LARGEST,
    "quantisation": BITS,
    "quantisation-per-channel": BITS,
}
HEADS: Mapping[str, Strengths] = {"head-deletion": LOSS}
UNITS: Mapping[str, Strengths] = {"unit-deletion": LOSS}
CHANNELS: Mapping[str, Strengths] = {"channel-deletion": (0.0, 0.02, 0.05, 0.1, 0.2)}
HALF: Mapping[str, Strengths] = {
    "weight-deletion": (0.0, 0.1, 0.3),
    "additive-noise-relative": (0.0, 0.2, 0.5),
    "magnitude-pruning": (0.0, 0.3, 0.6),
}
"""For groups and training steps that are looked at beside the main ones."""


@dataclass(frozen=True)
class Comparison:
    """A model of one text against a model of the same text and others, of equal tokens in all."""

    kind: Kind
    texts: tuple[str, ...]

    @property
    def first(self) -> str:
        """The text that both are judged on, and the model of it alone."""
        return self.texts[0]

    @property
    def several(self) -> str:
        """The model of all its texts."""
        return "+".join(self.texts)


@dataclass(frozen=True)
class Hit:
    """Failures, each with its strengths (the harmless one first), of one group of parameters."""

    group: str
    failures: tuple[tuple[str, Strengths], ...]


def hit(group: str, *failures: Mapping[str, Strengths]) -> Hit:
    return Hit(group, tuple(item for some in failures for item in some.items()))


@dataclass(frozen=True)
class Classification:
    """Sequence classification: tasks by name, and what a fine-tuned model is broken by."""

    tasks: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """Of the comparisons whose models are fine-tuned."""
    hit: Hit
    tuning: FineTuning
    most: tuple[int, int, int] = (1000, 200, 300)
    """Sentences of train, dev and test; of a part with more, so many with equally many of each class."""


@dataclass(frozen=True)
class Curvature:
    """How the slope under small noise is predicted and measured."""

    groups: tuple[str, ...]
    windows: int
    """Of a model's first text."""
    probes: int
    pairs: int
    sigmas: Strengths
    """Of absolute noise, in the units of the weights."""
    relative: Strengths
    """Of relative noise, in standard deviations of each tensor."""


@dataclass(frozen=True)
class Measures:
    """How models are broken and judged."""

    hits: tuple[Hit, ...]
    draws: int
    """Copies broken at each strength of a random failure."""
    sliding: Sliding
    text: int
    """Tokens of each held-out text."""
    curvature: Curvature
    seed: int = 0
    """Of all failures."""

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be measured."""
        if self.draws < 1:
            raise UserError(f"--draws {self.draws}: give a whole number >= 1")
        if self.text < 2:
            raise UserError(f"--text {self.text}: give a whole number >= 2")


@dataclass(frozen=True)
class Study:
    """One whole study."""

    corpus: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    alone: tuple[str, ...]
    """Texts that a model is trained on alone."""
    model: ModelConfig
    optimiser: OptimiserConfig
    batch: int
    seeds: tuple[int, ...]
    measures: Measures
    """Of the last models."""
    hits_matched: tuple[Hit, ...]
    """What is done to models of one text that were stopped at the loss of a model of several."""
    hits_in_training: tuple[Hit, ...]
    """What is done to the first comparison's models at an eighth, a quarter and a half of their training."""
    classification: Classification | None
    data_dir: Path | None = field(default=None, metadata={"identity": False})

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys([*self.alone, *(text for c in self.comparisons for text in c.texts)])
        )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of what is trained, a stack of all seeds each."""
        return tuple(dict.fromkeys([*self.alone, *(c.several for c in self.comparisons)]))

    @property
    def early(self) -> tuple[int, ...]:
        """An eighth, a quarter and a half of the steps of training."""
        return tuple(max(self.optimiser.steps // part, 1) for part in (8, 4, 2))

    @property
    def steps(self) -> tuple[int, ...]:
        """Whose models are kept: the early, and twentieths of training, to choose among them by their loss."""
        parts = (max(round(self.optimiser.steps * part / 20), 1) for part in range(2, 21))
        return tuple(sorted({*self.early, *parts}))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What a dry run tells of."""
        steps, seeds = self.optimiser.steps, len(self.seeds)
        return tuple(Training(name, self.model, self.batch, seeds, steps) for name in self.models)

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be studied."""
        if not self.comparisons:
            raise UserError("nothing to compare: give --pairs en,el")
        for comparison in self.comparisons:
            if len(set(comparison.texts)) < max(len(comparison.texts), 2):
                raise UserError(
                    f"pair {','.join(comparison.texts)}: give two different texts, as en,el"
                )
            if comparison.kind not in get_args(Kind):
                raise ValueError(f"unknown kind {comparison.kind!r}")
        self.measures.check()
        self.measures.sliding.check(self.model.context)
        self.model.check()
        self.optimiser.check()


TASKS = ("sib200:en", "tense:en")
KINDS: tuple[Kind, ...] = ("language", "domain")
BREAKS = hit(
    "attention",
    {"weight-deletion": (0.0, 0.1, 0.2, 0.4), "additive-noise-relative": (0.0, 0.2, 0.5)},
)


def _optimiser(steps: int, peak: float) -> OptimiserConfig:
    return OptimiserConfig(steps=steps, peak=peak, warmup=steps // 20, final=0.1, decay=0.1)


def presets() -> dict[str, Study]:
    """The studies by name."""
    bible = "en@bible"
    pairs = tuple(Comparison("language", (bible, f"{other}@bible")) for other in ("el", "de", "fi"))
    laptop = Study(
        corpus=("bible+gutenberg+msdocs",),
        comparisons=(
            *pairs,
            Comparison("three languages", (bible, "el@bible", "de@bible")),
            Comparison("domain", (bible, "en@gutenberg")),
            Comparison("domain", (bible, "en@msdocs")),
            Comparison("near-clone", (bible, "en_asv@bible")),
        ),
        alone=(bible, "el@bible", "de@bible", "fi@bible"),
        model=ModelConfig(layers=3, width=64, heads=4, context=64, vocabulary=2048),
        optimiser=_optimiser(steps=500, peak=3e-3),
        batch=32,
        seeds=(0, 1, 2, 3, 4),
        measures=Measures(
            hits=(
                hit("attention", MAIN, MORE, HEADS),
                hit("mlp", HALF, UNITS),
                hit("embeddings", HALF),
                hit("all", HALF, CHANNELS),
            ),
            draws=10,
            sliding=Sliding(64, 32),
            text=1536,
            curvature=Curvature(
                PARTS, 16, probes=16, pairs=8, sigmas=SMALL, relative=SMALL_RELATIVE
            ),
        ),
        hits_matched=(hit("attention", MAIN), hit("embeddings", HALF), hit("all", HALF)),
        hits_in_training=(hit("attention", HALF, {"additive-noise": (0.0, 0.05, 0.15)}),),
        classification=Classification(TASKS, KINDS, BREAKS, FineTuning(epochs=10, peak=1e-3)),
    )
    alone = ("en", "el", "de", "fi")
    gpu = Study(
        corpus=("bible+gutenberg+msdocs+gnomedocs+mozilla_www+commonvoice",),
        comparisons=(
            *(Comparison("language", ("en", other)) for other in ("el", "de", "fi")),
            Comparison("three languages", ("en", "el", "de")),
            Comparison("language", (bible, "el@bible")),
            Comparison("domain", (bible, "en@gutenberg")),
            Comparison("domain", (bible, "en@msdocs")),
            Comparison("near-clone", (bible, "en_asv@bible")),
        ),
        alone=(*alone, bible),
        model=preset("small"),
        optimiser=_optimiser(steps=3000, peak=6e-4),
        batch=64,
        seeds=laptop.seeds,
        measures=Measures(
            hits=(
                hit("attention", MAIN, MORE, HEADS),
                hit("mlp", MAIN, UNITS),
                hit("embeddings", MAIN),
                hit("all", MAIN, CHANNELS),
                *(hit(f"layer-{layer}", HALF) for layer in range(12)),
            ),
            draws=10,
            sliding=Sliding(512, 256),
            text=16_384,
            curvature=laptop.measures.curvature,
        ),
        hits_matched=laptop.hits_matched,
        hits_in_training=laptop.hits_in_training,
        classification=Classification(TASKS, KINDS, BREAKS, FineTuning(epochs=10, peak=5e-5)),
    )
    smoke = Study(
        corpus=("synthetic:sentences=6000",),
        comparisons=(
            Comparison("language", ("s1", "s2")),
            Comparison("three languages", ("s1", "s2", "s3")),
        ),
        alone=("s1", "s2"),
        model=ModelConfig(layers=2, width=16, heads=2, context=32, vocabulary=512),
        optimiser=_optimiser(steps=20, peak=1e-2),
        batch=16,
        seeds=(0, 1),
        measures=Measures(
            hits=(hit("attention", HALF, {"head-deletion": (0.0, 0.5)}),),
            draws=2,
            sliding=Sliding(32, 32),
            text=256,
            curvature=Curvature(
                PARTS[:1], 8, probes=2, pairs=2, sigmas=SMALL, relative=SMALL_RELATIVE
            ),
        ),
        hits_matched=(hit("attention", HALF),),
        hits_in_training=(hit("attention", {"magnitude-pruning": (0.0, 0.6)}),),
        classification=None,
    )
    packaged = replace(
        laptop,
        corpus=("bible+commonvoice",),
        comparisons=(
            *(c for c in laptop.comparisons if c.kind != "domain"),
            Comparison("domain", (bible, "en@commonvoice")),
        ),
        classification=None,
    )
    return {"smoke": smoke, "laptop": laptop, "gpu": gpu, "bible": packaged}
