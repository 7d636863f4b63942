"""What study B22 trains, at which steps it looks, and what it probes there, as one frozen value for each preset."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from neural.gpt.config import ModelConfig, preset
from neural.measures.scoring import Sliding
from neural.study.forecast import Training
from neural.train.optim import OptimiserConfig
from sim.runs.errors import UserError

Name = Literal["parts-of-speech", "arcs", "relations", "topics", "pairing", "xnli"]
"""What linear probes are fitted to: a word's part of speech; whether of two words one is the other's head; the relation
of a word to its head; the topic of a sentence; whether of two sentences one translates the other, in place of XNLI;
and XNLI itself, which is fetched."""

OF_WORDS = ("parts-of-speech", "arcs", "relations")
"""Those that need treebanks."""

REDRAWN = ("arcs", "pairing")
"""Those whose wrong examples are drawn at random, again for each draw."""

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Sizes:
    """Examples of each part."""

    train: int
    dev: int
    test: int

    def size(self, part: Part) -> int:
        return int(getattr(self, part))


@dataclass(frozen=True)
class Study:
    """One whole study."""

    corpus: tuple[str, ...]
    languages: tuple[str, ...]
    """Of the models; of the first every other one's sentences are the translations, in pairing."""
    aligned: tuple[str, ...]
    """Sources of text that is the same in every language, for pairing, retrieval and language identity; without any
    these are left out."""
    model: ModelConfig
    optimiser: OptimiserConfig
    batch: int
    seeds: tuple[int, ...]
    first: int
    """The first step after 0 whose models are kept; from there on one an octave."""
    finer: int
    """From this step on two an octave, so that where the best lies is known better."""
    tasks: tuple[Name, ...]
    controls: tuple[Name, ...]
    """Those of words that are held against labels drawn for each word, or pair of words."""
    words: Sizes
    """Of each language: words with their parts of speech, which language identity is read from too."""
    arcs: Sizes
    """Of each language: pairs of words, half of them arcs; and as many arcs with their relations."""
    sentences: Sizes
    """Aligned sentences; a pair of each is right and one wrong."""
    answers: int
    """Sentences with an answer that word alignments are tried on, at most; with 0 there are none."""
    draws: int
    """Runs again of what is random: wrong examples, control labels, orders of online coding."""
    coarse: int
    """Control tasks and codelengths are taken at every so many of the steps, and at step 0."""
    together: int
    """Steps whose models are read and probed together: more need more memory, fewer lose less when stopped."""
    sliding: Sliding
    text: int
    """Tokens of held-out text a language."""
    xnli: tuple[str, ...] = ()
    """Languages of XNLI, where that is probed."""
    inferences: Sizes = Sizes(2000, 500, 1000)
    """Examples of XNLI a language."""
    data_dir: Path | None = field(default=None, metadata={"identity": False})

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Whose models are kept and probed."""
        last = self.optimiser.steps
        octaves = range(2 * last.bit_length())
        halves = [(half, round(2 ** (half / 2))) for half in octaves]
        candidates = {step for half, step in halves if half % 2 == 0 or step >= self.finer}
        return tuple(sorted({0, *(step for step in candidates if self.first <= step < last), last}))

    @property
    def coarse_steps(self) -> tuple[int, ...]:
        """Those at which what costs most is measured: with 0 and the last."""
        later = self.steps[1:]
        return (0, *later[:: -self.coarse][::-1])

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The steps, those together that are read together."""
        steps = self.steps
        return tuple(steps[i : i + self.together] for i in range(0, len(steps), self.together))

    def sources(self, task: Name) -> tuple[str, ...]:
        """The languages that probes of a task are fitted in, and tried in."""
        if task == "pairing":
            return self.languages[1:]
        return self.xnli if task == "xnli" else self.languages

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What a dry run tells of."""
        steps, seeds = self.optimiser.steps, len(self.seeds)
        return (Training("models", self.model, self.batch, seeds, steps),)

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be studied."""
        self.model.check()
        self.optimiser.check()
        self.sliding.check(self.model.context)
        if len(set(self.languages)) < max(2, len(self.languages)):
            raise UserError(
                f"languages {', '.join(self.languages)}: give two or more, and each once"
            )
        for task in self.controls:
            if task not in ("parts-of-speech", "relations"):
                raise UserError(f"no control task of {task!r}: choose parts-of-speech or relations")
        for task in self.tasks:
            if task not in get_args(Name):
                raise UserError(f"unknown task {task!r}: choose from {', '.join(get_args(Name))}")
        if "xnli" in self.tasks and not self.xnli:
            raise UserError("xnli without languages: give --xnli en de")
        if unknown := [name for name in self.xnli if name not in self.languages]:
            raise UserError(f"xnli in {unknown[0]}: the models learn {', '.join(self.languages)}")
        if self.answers < 0:
            raise UserError(f"answers = {self.answers}: give a whole number >= 0")
        for name in ("first", "draws", "coarse", "together", "text"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: give a whole number >= 1")
        for name in ("words", "arcs", "sentences", "inferences"):
            sizes = getattr(self, name)
            if min(sizes.train, sizes.dev, sizes.test) < 8:
                raise UserError(f"{name} = {sizes}: give eight or more in each part")


def presets() -> dict[str, Study]:
    """The studies by name.

    laptop: what costs are probes of pairs of words or sentences, three times as wide as a state, some 0.2 s of one core
    each with 1500 examples: with 12 steps, 3 seeds, 4 layers, 6 languages and 5 draws two thirds of the time that it
    takes on two cores. Those of words take a tenth of that, and codelengths and random labels, at fewer steps, as much
    as all of words together. Checkpoints are two an octave where training ends, since there the best ones lie, and none
    before step 8, while the rate is still near 0.
    """
    laptop = Study(
        corpus=("msdocs+commonvoice+mozilla_www",),
        languages=("en", "de", "el", "fi", "tr", "zh"),
        aligned=("ntrex",),
        model=ModelConfig(layers=3, width=64, heads=4, context=128, vocabulary=2048),
        optimiser=OptimiserConfig(steps=1000, peak=3e-3, warmup=50, final=0.1, decay=0.1),
        batch=16,
        seeds=(0, 1, 2),
        first=8,
        finer=128,
        tasks=("parts-of-speech", "arcs", "relations", "topics", "pairing"),
        controls=("parts-of-speech", "relations"),
        words=Sizes(2000, 1000, 2000),
        arcs=Sizes(1500, 600, 1500),
        sentences=Sizes(800, 200, 600),
        answers=150,
        draws=5,
        coarse=3,
        together=4,
        sliding=Sliding(128, 64),
        text=8192,
    )
    gpu = replace(
        laptop,
        corpus=("bible+gutenberg+msdocs+gnomedocs+mozilla_www+commonvoice",),
        languages=("en", "de", "el", "es", "fi", "fr", "tr", "zh"),
        model=preset("small"),
        optimiser=OptimiserConfig(steps=10_000, peak=6e-4, warmup=500, final=0.1, decay=0.1),
        batch=64,
        seeds=(0, 1, 2),
        first=16,
        finer=1024,
        words=Sizes(8000, 2000, 4000),
        arcs=Sizes(6000, 1500, 3000),
        sentences=Sizes(1000, 250, 700),
        answers=300,
        coarse=2,
        together=1,
        sliding=Sliding(512, 256),
        text=32_768,
    )
    smoke = Study(
        corpus=("synthetic:sentences=1200",),
        languages=("s1", "s2", "s3"),
        aligned=("synthetic:sentences=1200",),
        model=ModelConfig(layers=1, width=16, heads=2, context=32, vocabulary=512),
        optimiser=OptimiserConfig(steps=16, peak=1e-2, warmup=1, final=0.1, decay=0.1),
        batch=16,
        seeds=(0, 1),
        first=4,
        finer=16,
        tasks=("parts-of-speech", "arcs", "pairing"),
        controls=("parts-of-speech",),
        words=Sizes(252, 126, 126),  # with 256 or fewer examples one program serves several tasks
        arcs=Sizes(252, 126, 126),
        sentences=Sizes(80, 32, 64),
        answers=24,
        draws=2,
        coarse=2,
        together=2,
        sliding=Sliding(32, 32),
        text=512,
    )
    bible = replace(
        laptop,
        corpus=("bible+commonvoice",),
        languages=("en", "de", "el", "fi", "fr", "zh"),
        aligned=("bible",),
        tasks=("pairing",),
        controls=(),
        sentences=Sizes(600, 150, 350),
        answers=0,
    )
    return {"smoke": smoke, "laptop": laptop, "gpu": gpu, "bible": bible}
