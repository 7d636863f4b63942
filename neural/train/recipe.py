"""What a run trains and on what, as one frozen value whose identity names the run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from neural.gpt.config import Compute, ModelConfig
from neural.text.mixture import parse_schedule
from neural.train.optim import OptimiserConfig
from neural.train.parallel import Shard
from sim.runs.errors import UserError

SEEDS = 2**32
"""Seeds are below this."""

_NO_IDENTITY = {"identity": False}
"""Of fields that change no number. Text and tokenizer are in a run's identity as what they came to."""


@dataclass(frozen=True)
class Member:
    """One of the models that a run trains together."""

    name: str
    """Of its folder."""
    mixture: int
    """Index into TrainConfig.languages."""
    seed: int


@dataclass(frozen=True)
class TrainConfig:
    """A GPT for each seed and each mixture of languages, all of one shape, trained side by side."""

    model: ModelConfig
    optimiser: OptimiserConfig
    compute: Compute = field(default_factory=Compute)
    batch: int = 16
    """Sequences an update."""
    accumulation: int = 1
    """Parts that a batch is computed in, one after another: less memory for more time."""
    languages: tuple[str, ...] = ("s1,s2",)
    """Mixtures, each a schedule of shares: "en:0.9,el:0.1 | en:0.1,el:0.9"."""
    seeds: tuple[int, ...] = (0,)
    """Of initial weights and of the order of the text."""
    checkpoints: str = "log"
    """Steps whose models are kept: log (0, 1, 2, 4, 8, ...) or a list "0,10,100"; and always the last."""
    evaluate_every: int = 0
    """Updates between two looks at the validation text; 0 is never."""
    evaluation: int = 32
    """Sequences of validation text a language, rounded up to whole parts of a batch."""
    save_every: int = field(default=0, metadata=_NO_IDENTITY)
    """Updates between two states for --resume; 0 is never."""
    shard: Shard = field(default="data", metadata=_NO_IDENTITY)
    corpus: tuple[str, ...] = field(default=("synthetic",), metadata=_NO_IDENTITY)
    """Sources of text, as neural.corpus takes them."""
    tokenizer: str = field(default="bpe", metadata=_NO_IDENTITY)
    """bytes; bpe, learnt from the corpus to fill the model's vocabulary; or the path of a tokenizer.json."""
    data_dir: Path | None = field(default=None, metadata=_NO_IDENTITY)
    cache: Path | None = field(default=None, metadata=_NO_IDENTITY)
    """Folder of encoded text (default: the user's cache)."""

    @property
    def steps(self) -> int:
        return self.optimiser.steps

    @property
    def part(self) -> int:
        """Sequences that are computed at once."""
        return self.batch // self.accumulation

    @property
    def tokens(self) -> int:
        """That an update of one model learns from."""
        return self.batch * self.model.context

    @property
    def members(self) -> tuple[Member, ...]:
        """The models, in the order of the stack: mixture by mixture, all seeds of each."""
        several = len(self.languages) > 1
        return tuple(
            Member(f"mixture-{number}-seed-{seed}" if several else f"seed-{seed}", number, seed)
            for number in range(len(self.languages))
            for seed in self.seeds
        )

    @property
    def kept(self) -> frozenset[int]:
        """Steps whose models are kept. Raises UserError for a rule that is none."""
        if self.checkpoints == "log":
            chosen = {0, *(2**power for power in range(self.steps.bit_length()))}
        else:
            chosen = set(numbers("checkpoints", self.checkpoints, self.steps))
        return frozenset({step for step in chosen if step <= self.steps} | {self.steps})

    def evaluated(self, step: int) -> bool:
        """Whether the models of a step are tried on validation text."""
        return bool(self.evaluate_every) and (step % self.evaluate_every == 0 or step == self.steps)

    def check(self) -> None:
        """Raise UserError, in one line, for the first thing that cannot be trained."""
        for part in (self.model, self.optimiser, self.compute):
            part.check()
        for name, least in {
            "batch": 1,
            "accumulation": 1,
            "evaluation": 1,
            "evaluate_every": 0,
            "save_every": 0,
        }.items():
            if getattr(self, name) < least:
                raise UserError(f"{name} = {getattr(self, name)}: give a whole number >= {least}")
        if self.batch % self.accumulation:
            raise UserError(
                f"{self.accumulation} parts do not divide a batch of {self.batch}: "
                f"make it a multiple of {self.accumulation}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds {list(self.seeds)}: give one at least, and each once")
        for seed in self.seeds:
            if not 0 <= seed < SEEDS:
                raise UserError(f"seed {seed}: give a whole number >= 0 and below 2^32")
        if self.shard not in get_args(Shard):
            raise UserError(
                f"unknown shard {self.shard!r}: choose from {', '.join(get_args(Shard))}"
            )
        if not self.languages:
            raise UserError("no languages: give --languages en:0.5,el:0.5")
        for mixture in self.languages:
            parse_schedule(mixture)
        _ = self.kept


def numbers(option: str, text: str, most: int) -> tuple[int, ...]:
    """The numbers of "0,10,100". Raises UserError for anything else, and for one beyond the most."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UserError(f"--{option} {text}: give whole numbers with commas between them: 0,10,100")
    if (largest := max(map(int, parts))) > most:
        raise UserError(f"--{option} {text}: {largest} is too large: give numbers up to {most}")
    return tuple(map(int, parts))
