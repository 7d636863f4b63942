"""What study S24 trains and measures, as one frozen value for each preset; its runs are a list.

Languages are clones c0, c1, … of one text, or real ones by their names. A budget is a multiple of 1x, the study's unit
of tokens, of all languages together; shares are those of the second language.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from neural.gpt.config import ModelConfig
from neural.measures.scoring import Sliding
from neural.study.forecast import Training
from neural.study.training import trained_as
from neural.text.clone import Clones
from neural.text.mixture import BALANCED, IMBALANCED
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig
from neural.tune.classifier import FineTuning
from sim.runs.errors import UserError
from sim.runs.options import MOST_STEPS

Experiment = Literal["grid", "reference", "anchors", "languages", "schedules", "real"]
"""What a run belongs to: shares by budgets by widths; the monolingual curve; ids that both languages share; more
languages than two; shares that change; two real languages."""

Vocabulary = Literal["cloned", "disjoint", "shared"]
"""Clones of one language; two real languages without a common id; two of one tokenizer."""

SHARES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.0)
SCHEDULES = ((0.1, 0.9), (0.1, 0.9, 0.5, 0.5), (0.05, 0.65, 0.65, 0.65), (0.0, 1.0))


@dataclass(frozen=True)
class Recipe:
    """One run: a stack of models, one for each seed."""

    experiment: Experiment
    languages: tuple[str, ...]
    stages: tuple[tuple[float, ...], ...]
    """The languages' shares, stage by stage of equal length."""
    budget: float
    width: int
    vocabulary: Vocabulary = "cloned"
    anchors: float = 0.0
    """Of the ids that could be cloned, the part that is not."""
    looks: bool = False
    """Whether models are kept at steps 0, 1, 2, 4, 8, …, not the last alone."""

    @property
    def pair(self) -> str:
        return "-".join(self.languages)

    @property
    def share(self) -> float:
        """Of the second language over the whole run."""
        return sum(stage[1] for stage in self.stages) / len(self.stages)

    @property
    def schedule(self) -> str:
        """The shares of the second language by stages, if they change."""
        if len(self.stages) == 1:
            return ""
        return " > ".join(f"{stage[1]:g}" for stage in self.stages)

    @property
    def mixture(self) -> str:
        """As neural.text.mixture reads it."""
        stages = [
            [
                f"{name}:{_exact(share)}"
                for name, share in zip(self.languages, stage, strict=True)
                if share
            ]
            for stage in self.stages
        ]
        return " | ".join(map(",".join, stages))

    @property
    def name(self) -> str:
        """Of its folder, one for each run of a study."""
        shares = "_".join(
            "-".join(f"{share:.4g}" for share in stage[1:]) or "0" for stage in self.stages
        )
        if len(self.languages) > 2:
            shares = f"{len(self.languages)}x{self.stages[0][0]:.4g}"
        parts = [self.experiment, f"w{self.width}", f"{self.budget:g}x", shares]
        if self.anchors:
            parts.append(f"anchors{self.anchors:g}")
        if self.vocabulary != "cloned":
            parts += [self.vocabulary, self.pair]
        return "-".join(parts)


def _exact(share: float) -> Fraction:
    """The simple fraction that was meant: 0.1 is 1/10."""
    return Fraction(share).limit_denominator(1000)


@dataclass(frozen=True)
class Measures:
    """How models are judged."""

    sliding: Sliding
    """The last quarter of every window."""
    text: int
    """Tokens of held-out text a language."""
    windows: int
    """Of held-out text, that states, gradients and patching are compared on."""
    sentences: int
    """Aligned sentences that real languages are compared on."""
    bins: int
    """Of token frequency."""
    tasks: tuple[str, ...]
    """Classifications, learnt in one clone and tested in the other."""
    tuning: FineTuning

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be measured."""
        for name in ("text", "windows", "sentences", "bins"):
            if getattr(self, name) < 2:
                raise UserError(f"{name} = {getattr(self, name)}: give a whole number >= 2")


@dataclass(frozen=True)
class Study:
    """One whole study."""

    corpus: tuple[str, ...]
    text: str
    """The language that is cloned."""
    others: tuple[str, ...]
    """Real languages beside it."""
    ids: int
    """Of the tokenizer of one language."""
    model: ModelConfig
    """Its vocabulary is that of two languages; other widths have as many heads as keep their width."""
    optimiser: OptimiserConfig
    """Its steps and warm-up are those of 1x."""
    batch: int
    seeds: tuple[int, ...]
    widths: tuple[int, ...]
    budgets: tuple[float, ...]
    shares: tuple[float, ...]
    reference: tuple[float, ...]
    """Budgets of the monolingual runs beside those of the grid."""
    further: float
    """Budget of the runs with anchors, schedules and many languages."""
    anchors: tuple[float, ...]
    many: int
    """Languages of the runs of many."""
    schedules: tuple[tuple[float, ...], ...]
    real: tuple[float, ...]
    """Budgets of the two real languages."""
    real_reference: tuple[float, ...]
    """Budgets of their monolingual runs."""
    measures: Measures
    data_dir: Path | None = field(default=None, metadata={"identity": False})

    @property
    def unit(self) -> int:
        """Tokens of 1x."""
        return self.optimiser.steps * self.batch * self.model.context

    @property
    def runs(self) -> tuple[Recipe, ...]:
        """All that is trained: first what the most depends on."""
        return tuple(
            dict.fromkeys(
                [
                    *self._grid(),
                    *self._references(),
                    *self._anchors(),
                    *self._schedules(),
                    *self._many(),
                    *self._real(),
                ]
            )
        )

    def _grid(self) -> Iterator[Recipe]:
        most = max(self.budgets)
        for width in self.widths:
            for budget in self.budgets:
                for share in self.shares:
                    chosen = share in (BALANCED, IMBALANCED) and width == self.model.width
                    yield self._two(
                        "grid", (share,), budget, width, log_checkpoints=chosen and budget == most
                    )

    def _references(self) -> Iterator[Recipe]:
        for width in self.widths:
            for budget in self.reference:
                if budget not in self.budgets or 0.0 not in self.shares:
                    yield self._two("reference", (0.0,), budget, width)

    def _anchors(self) -> Iterator[Recipe]:
        for anchors in self.anchors:
            yield replace(self._two("anchors", (BALANCED,), self.further), anchors=anchors)

    def _schedules(self) -> Iterator[Recipe]:
        for shares in self.schedules:
            yield self._two("schedules", shares, self.further)

    def _many(self) -> Iterator[Recipe]:
        """Equal shares, and the first language at a half."""
        n = self.many
        if n > 2:
            languages = tuple(f"c{number}" for number in range(n))
            for first in (1 / n, 0.5):
                shares = (first, *[(1 - first) / (n - 1)] * (n - 1))
                yield Recipe("languages", languages, (shares,), self.further, self.model.width)

    def _real(self) -> Iterator[Recipe]:
        width = self.model.width
        vocabularies: tuple[Vocabulary, ...] = ("disjoint", "shared")
        for other in self.others:
            for vocabulary in vocabularies:
                languages = (self.text, other)
                for budget in self.real:
                    for share in (BALANCED, IMBALANCED):
                        stages = ((1 - share, share),)
                        yield Recipe("real", languages, stages, budget, width, vocabulary)
                for language in languages[
                    vocabulary == "disjoint" :
                ]:  # the first has the clones' curve
                    for budget in self.real_reference:
                        shares = tuple(float(name == language) for name in languages)
                        yield Recipe("real", languages, (shares,), budget, width, vocabulary)

    def _two(
        self,
        experiment: Experiment,
        shares: Sequence[float],
        budget: float,
        width: int | None = None,
        *,
        log_checkpoints: bool = False,
    ) -> Recipe:
        stages = tuple((1 - share, share) for share in shares)
        return Recipe(
            experiment,
            ("c0", "c1"),
            stages,
            budget,
            width or self.model.width,
            looks=log_checkpoints,
        )

    def clones(self, recipe: Recipe, special: tuple[int, ...]) -> Clones:
        """The cloned languages of a run."""
        return Clones(self.ids, len(recipe.languages), special=special, fraction=1 - recipe.anchors)

    def shape(self, recipe: Recipe) -> ModelConfig:
        """Of a run's models."""
        width, languages = recipe.width, len(recipe.languages)
        heads = self.model.heads * width // self.model.width
        return replace(self.model, width=width, heads=heads, vocabulary=self.ids * languages)

    def optimisation(self, recipe: Recipe) -> OptimiserConfig:
        """Of a run: the whole schedule is as long as its budget."""
        return self.optimiser.lasting(recipe.budget)

    def tokens(self, recipe: Recipe) -> int:
        """That each model of a run is trained on."""
        return self.optimisation(recipe).steps * self.batch * self.model.context

    def training(self, recipe: Recipe) -> TrainConfig:
        """How a run is trained; its data are the study's own."""
        optimiser = self.optimisation(recipe)
        return trained_as(
            self,
            self.shape(recipe),
            optimiser,
            recipe.mixture,
            checkpoints="log" if recipe.looks else (optimiser.steps,),
            save_every=max(self.optimiser.steps, 1),
        )

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What a dry run tells of, by experiment."""
        return tuple(
            Training(
                recipe.experiment,
                self.shape(recipe),
                self.batch,
                len(self.seeds),
                self.optimisation(recipe).steps,
            )
            for recipe in self.runs
        )

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be studied."""
        self.model.check()
        self.optimiser.check()
        self.measures.check()
        self.measures.sliding.check(self.model.context)
        for width in self.widths:
            if width < 1 or self.model.heads * width % self.model.width:
                unit = self.model.width // self.model.heads
                raise UserError(f"width {width}: give a multiple of {unit}, the width of a head")
        for share in self.shares:
            if not 0 <= share <= 0.5:
                raise UserError(
                    f"share {share:g} of the second language: give numbers from 0 to 0.5"
                )
        for budget in (*self.budgets, *self.reference, *self.real, *self.real_reference):
            if not 1 <= budget * self.optimiser.steps <= MOST_STEPS:
                raise UserError(
                    f"budget {budget:g} of {self.optimiser.steps} updates: give one of 1 to {MOST_STEPS} updates"
                )
        if self.further not in self.budgets:
            raise UserError(
                f"anchors, schedules and many languages have {self.further:g}x: add it to --budgets"
            )
        if len({*self.reference, *self.budgets}) < 4:
            raise UserError("fewer than four monolingual budgets give no curve: give more")


REFERENCE = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 1.0, 2.0, 4.0)
REAL_REFERENCE = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0, 3 / 2, 2.0)


def _optimiser(steps: int, peak: float) -> OptimiserConfig:
    """As S24: Adam, cosine to a hundredth, no decay; its warm-up of 200 updates in proportion."""
    return OptimiserConfig(
        steps=steps, peak=peak, warmup=steps // 20, final=0.01, beta2=0.95, decay=0.0
    )


def presets() -> dict[str, Study]:
    """The studies by name."""
    laptop = Study(
        corpus=("bible+gutenberg+msdocs",),
        text="en",
        others=("fr",),
        ids=512,
        model=ModelConfig(layers=2, width=64, heads=4, context=64, vocabulary=1024, tied=False),
        optimiser=_optimiser(steps=384, peak=3e-3),
        batch=16,
        seeds=(0, 1, 2),
        widths=(32, 64),
        budgets=(0.25, 0.5, 1.0, 2.0, 4.0),
        shares=SHARES,
        reference=REFERENCE,
        further=2.0,
        anchors=(0.05, 0.25, 0.5, 0.75, 1.0),
        many=10,
        schedules=SCHEDULES,
        real=(2.0,),
        real_reference=REAL_REFERENCE,
        measures=Measures(
            sliding=Sliding(64, 64, (48, 64)),
            text=16_384,
            windows=64,
            sentences=256,
            bins=8,
            tasks=("sib200:en", "tense:en"),
            tuning=FineTuning(epochs=10, peak=1e-3),
        ),
    )
    gpu = replace(
        laptop,
        corpus=("bible+gutenberg+msdocs+gnomedocs+mozilla_www+commonvoice",),
        others=("fr", "de", "el"),
        ids=4096,
        model=ModelConfig(layers=4, width=512, heads=8, context=256, vocabulary=8192, tied=False),
        optimiser=_optimiser(steps=1200, peak=6e-4),
        batch=32,
        seeds=(0, 1, 2, 3, 4),
        widths=(128, 256, 512),
        measures=replace(
            laptop.measures,
            sliding=Sliding(256, 256, (192, 256)),
            text=65_536,
            tuning=FineTuning(epochs=10, peak=1e-4),
        ),
    )
    smoke = replace(
        laptop,
        corpus=("synthetic:sentences=6000",),
        text="s1",
        others=("s2",),
        ids=300,
        model=ModelConfig(layers=1, width=32, heads=2, context=16, vocabulary=600, tied=False),
        optimiser=_optimiser(steps=8, peak=1e-2),
        batch=16,
        seeds=(0, 1),
        widths=(32,),
        budgets=(1.0, 2.0),
        shares=(0.5, 0.1, 0.0),
        reference=(0.5, 1.0, 2.0, 4.0),
        further=1.0,
        anchors=(0.5,),
        many=3,
        schedules=SCHEDULES[:1],
        real=(1.0,),
        real_reference=(0.5, 1.0, 2.0, 4.0),
        measures=replace(
            laptop.measures,
            sliding=Sliding(16, 16, (12, 16)),
            text=1024,
            windows=16,
            sentences=16,
            bins=3,
            tasks=(),
        ),
    )
    bible = replace(
        laptop,
        corpus=("bible+commonvoice",),
        measures=replace(laptop.measures, tasks=()),
    )
    return {"smoke": smoke, "laptop": laptop, "gpu": gpu, "bible": bible}
