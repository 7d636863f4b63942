"""What the study across the four trains and measures, as one frozen value for each preset; its runs are a list.

A pair are two clones of one text, c0 and c1, or two real languages of one tokenizer. The share is that of the second
language; at share 0 a model learns the first alone, of the same vocabulary and equal tokens in all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from neural.gpt.config import ModelConfig
from neural.masks.prune import each_round
from neural.measures.scoring import Sliding
from neural.study.forecast import Training
from neural.study.training import trained_as
from neural.text.mixture import BALANCED, IMBALANCED
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig
from sim.runs.errors import UserError

Pair = tuple[str, str]

CLONES: Pair = ("c0", "c1")
ALONE = 0.0
"""The share that is compared with BALANCED and IMBALANCED: that of a model of the first language."""
GROUPS = ("attention", "all")
"""Of parameters, that fail."""


@dataclass(frozen=True)
class Recipe:
    """One run: a stack of models, one for each seed."""

    languages: Pair
    share: float
    """Of the second language; 1 where it is alone."""
    budget: float = 1.0
    """Parts of the tokens of the models that are studied; the others are for the monolingual curves."""

    @property
    def pair(self) -> str:
        return "-".join(self.languages)

    @property
    def studied(self) -> bool:
        """Whether more is measured than the loss."""
        return self.budget == 1 and self.share < 1

    @property
    def trained(self) -> tuple[str, ...]:
        """The languages that it learns."""
        return tuple(
            name
            for name, share in zip(self.languages, (1 - self.share, self.share), strict=True)
            if share
        )

    @property
    def mixture(self) -> str:
        """As neural.text.mixture reads it."""
        second = Fraction(self.share).limit_denominator(1000)
        shares = dict(zip(self.languages, (1 - second, second), strict=True))
        return ",".join(f"{name}:{share}" for name, share in shares.items() if share)

    @property
    def name(self) -> str:
        """Of its folder, one for each run of a study."""
        budget = "" if self.budget == 1 else f"-{self.budget:g}x"
        return f"{self.pair}-{self.share:g}{budget}"


@dataclass(frozen=True)
class Tickets:
    """How sub-networks are sought: iterative magnitude pruning on the text of one language."""

    tuning: OptimiserConfig
    """Of each round."""
    batch: int
    rounds: int
    steps: tuple[int, ...]
    """Of the models whose tickets are sought, beside the last."""
    orders: int = 2
    """Tunings in each language, which differ in the order of the text: two of one language are the ceiling."""


@dataclass(frozen=True)
class Broken:
    """Failures of each of GROUPS, with their strengths, the harmless one first; copies broken of a random one."""

    failures: tuple[tuple[str, tuple[float, ...]], ...]
    draws: int


@dataclass(frozen=True)
class Noise:
    """Small noise, sigma standard deviations of each tensor: pairs +-N of it, on windows of held-out text."""

    sigma: float
    windows: int
    pairs: int


@dataclass(frozen=True)
class Study:
    """One whole study."""

    corpus: tuple[str, ...]
    text: str
    """The language that is cloned, and the first of each real pair."""
    others: tuple[str, ...]
    """Real languages beside it."""
    ids: int
    """Of the tokenizer of one language; that of two has twice as many, as two clones have."""
    model: ModelConfig
    optimiser: OptimiserConfig
    batch: int
    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    first: int
    """The first step after 0 whose models are kept; from there on one an octave."""
    reference: tuple[float, ...]
    """Budgets of the runs of one language, between which TEff is interpolated."""
    tickets: Tickets
    broken: Broken
    noise: Noise
    sliding: Sliding
    tokens_held_out: int
    """Of each language, that models are judged on."""
    windows: int
    """Of held-out text a language, that gradients are compared on."""
    sentences: int
    """With their translations, that states are compared on."""
    tagged: tuple[int, ...]
    """Sentences of treebanks with parts of speech: of train, dev and test; none where empty."""
    data_dir: Path | None = field(default=None, metadata={"identity": False})

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (CLONES, *((self.text, other) for other in self.others))

    @property
    def runs(self) -> tuple[Recipe, ...]:
        """All that is trained: first what is studied."""
        return (*self.studied, *self._references())

    @property
    def studied(self) -> tuple[Recipe, ...]:
        return tuple(Recipe(pair, share) for pair in self.pairs for share in self.shares)

    def _references(self) -> Iterator[Recipe]:
        """Clones share the curve of the first."""
        for pair in self.pairs:
            for share in (0.0,) if pair == CLONES else (0.0, 1.0):
                for budget in self.reference:
                    if not Recipe(pair, share, budget).studied:
                        yield Recipe(pair, share, budget)

    @property
    def steps(self) -> tuple[int, ...]:
        """Whose models are kept and measured."""
        last = self.optimiser.steps
        octaves = (self.first * 2**power for power in range(last.bit_length()))
        return tuple(sorted({0, *(step for step in octaves if step < last), last}))

    @property
    def ticket_steps(self) -> tuple[int, ...]:
        return tuple(sorted({*self.tickets.steps, self.optimiser.steps}))

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
            self.model,
            optimiser,
            recipe.mixture,
            checkpoints=self.steps if recipe.studied else (optimiser.steps,),
            save_every=-(-self.optimiser.steps // 4),
        )

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What a dry run tells of: the models, and every round of pruning."""
        tickets, seeds = self.tickets, len(self.seeds)
        models = [
            Training(recipe.name, self.model, self.batch, seeds, self.optimisation(recipe).steps)
            for recipe in self.runs
        ]
        rounds = [
            Training(
                f"pruning, {recipe.name}, step {step}",
                self.model,
                tickets.batch,
                seeds * len(recipe.languages) * tickets.orders,
                tickets.rounds * tickets.tuning.steps,
            )
            for recipe in self.studied
            for step in self.ticket_steps
        ]
        return (*models, *rounds)

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be studied."""
        self.model.check()
        self.optimiser.check()
        self.sliding.check(self.model.context)
        if self.broken.draws < 1:
            raise UserError(f"--draws {self.broken.draws}: give a whole number >= 1")
        self.tickets.tuning.check()
        each_round(self.model, self.tickets.rounds)
        for share in (BALANCED, IMBALANCED, ALONE):
            if share not in self.shares:
                raise UserError(f"no share of {share:g}, which others are compared with: add it")
        if outside := [share for share in self.shares if not 0 <= share <= 0.5]:
            raise UserError(f"share {outside[0]:g} of the second language: give 0 to 0.5")
        if twice := [name for name in self.others if name == self.text]:
            raise UserError(f"{twice[0]} beside itself is no pair: give another language")
        if len(set(self.others)) < len(self.others):
            raise UserError(f"others {', '.join(self.others)}: name each language once")
        if unkept := sorted(set(self.tickets.steps) - set(self.steps)):
            kept = ", ".join(map(str, self.steps))
            raise UserError(f"tickets of step {unkept[0]}: the models kept are of {kept}")
        if self.tickets.orders < 2:
            raise UserError("one tuning in a language has no ceiling: give two orders or more")
        if len(set(self.reference)) < 4 or min(self.reference) * self.optimiser.steps < 1:
            raise UserError(
                f"monolingual budgets {self.reference} of {self.optimiser.steps} updates: "
                "give four or more, of one update at least"
            )
        if self.first < 1 or self.sentences < 8:
            raise UserError(
                f"first = {self.first}, sentences = {self.sentences}: give 1 and 8 or more"
            )
        if self.tagged and (len(self.tagged) != 3 or min(self.tagged) < 2):
            raise UserError(f"tagged = {self.tagged}: give sentences of train, dev and test")


def _optimiser(steps: int, peak: float) -> OptimiserConfig:
    """As study S24: Adam, cosine to a hundredth, no decay."""
    return OptimiserConfig(
        steps=steps, peak=peak, warmup=steps // 20, final=0.01, beta2=0.95, decay=0.0
    )


def _tuning(steps: int, peak: float) -> OptimiserConfig:
    """As study F22."""
    return OptimiserConfig(
        steps=steps, peak=peak, warmup=steps // 10, final=0.0, beta2=0.999, decay=0.01
    )


def presets() -> dict[str, Study]:
    """The studies by name. smoke has the models of study S24's.

    laptop: 9 kinds of model that are studied and 20 of less than a quarter of their tokens on average, 5 seeds: some 54
    million tokens of training, and as many for tickets.
    """
    laptop = Study(
        corpus=("bible+gutenberg+msdocs",),
        text="en",
        others=("fr", "el"),
        ids=512,
        model=ModelConfig(layers=2, width=64, heads=4, context=64, vocabulary=1024, tied=False),
        optimiser=_optimiser(steps=768, peak=3e-3),
        batch=16,
        seeds=(0, 1, 2, 3, 4),
        shares=(BALANCED, IMBALANCED, ALONE),
        first=32,
        reference=(1 / 16, 1 / 8, 1 / 4, 1 / 2),
        tickets=Tickets(_tuning(40, 1e-3), batch=8, rounds=5, steps=(64, 256)),
        broken=Broken(
            (
                ("weight-deletion", (0.0, 0.1, 0.2, 0.4)),
                ("additive-noise-relative", (0.0, 0.2, 0.4, 0.7)),
                ("magnitude-pruning", (0.0, 0.2, 0.4, 0.6)),
            ),
            draws=5,
        ),
        noise=Noise(0.05, windows=16, pairs=4),
        sliding=Sliding(64, 32),
        tokens_held_out=2048,
        windows=32,
        sentences=128,
        tagged=(256, 64, 192),
    )
    gpu = replace(
        laptop,
        corpus=("bible+gutenberg+msdocs+gnomedocs+mozilla_www+commonvoice",),
        others=("fr", "de", "el"),
        ids=4096,
        model=ModelConfig(layers=4, width=512, heads=8, context=256, vocabulary=8192, tied=False),
        optimiser=_optimiser(steps=4096, peak=6e-4),
        batch=32,
        tickets=Tickets(_tuning(200, 2e-4), batch=32, rounds=5, steps=(64, 256, 1024)),
        broken=replace(laptop.broken, draws=10),
        sliding=Sliding(256, 128),
        tokens_held_out=16_384,
        sentences=256,
        tagged=(2000, 400, 1000),
    )
    smoke = replace(
        laptop,
        corpus=("synthetic:sentences=6000",),
        text="s1",
        others=("s2",),
        ids=300,
        model=ModelConfig(layers=1, width=32, heads=2, context=16, vocabulary=600, tied=False),
        optimiser=_optimiser(steps=16, peak=1e-2),
        seeds=(0, 1),
        first=8,
        reference=(0.5, 1.0, 2.0, 4.0),
        tickets=Tickets(_tuning(3, 3e-3), batch=4, rounds=2, steps=(8,)),
        broken=Broken(
            (("weight-deletion", (0.0, 0.3)), ("magnitude-pruning", (0.0, 0.5))), draws=1
        ),
        noise=Noise(0.05, windows=8, pairs=2),
        sliding=Sliding(16, 16, (12, 16)),
        tokens_held_out=1024,
        windows=16,
        sentences=24,
        tagged=(24, 12, 12),
    )
    bible = replace(laptop, corpus=("bible+commonvoice",), tagged=())
    return {"smoke": smoke, "laptop": laptop, "gpu": gpu, "bible": bible}
