"""Batches of several languages in exact shares: `batch(seed, step)` is a pure function, so a run resumes anywhere.

Sequences come in blocks of N. A block has of each language its share of N, rounded to whole sequences by largest
remainders with one at least, in a random order; where the shares are simple fractions N is their denominator, and they
are exact. Each sequence is a window of context + 1 ids, of one language.

A language's windows are taken without replacement. An epoch starts them at a random place of the ids, which are read
as a ring, and takes them in a random order; so every id is predicted once an epoch, up to a remainder shorter than one
window. What a language shows as its first n windows depends on the seed, its name and its text alone, not on the other
languages: a monolingual and a bilingual model read the same Greek.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.text.shuffle import key, mix, permute, shuffles
from sim.runs.errors import UserError

Ids = NDArray[np.unsignedinteger[Any]]
Shares = Mapping[str, Fraction]

BALANCED, IMBALANCED = 0.5, 0.1
"""Shares of the second of two languages that Schäfer et al. 2024 compare throughout."""

DIGITS = 30
"""Of a share, at most."""
LARGEST_BLOCK = 1000
"""Sequences a block, where shares are no simple fractions."""


@dataclass(frozen=True)
class Schedule:
    """Shares of the languages, by stages of equal length. Every stage has every language, possibly at 0."""

    stages: tuple[Shares, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.stages[0])


def parse_schedule(text: str) -> Schedule:
    """The schedule of "en:0.9,el:0.1 | en:0.1,el:0.9"; "en,el" is equal shares.

    Shares are relative: a stage's are divided by their sum. A language that a stage does not name has none of it.
    Raises UserError for a share that is no number >= 0, a stage without shares, and a language with none in any stage.
    """
    stages = [_stage(stage, text) for stage in text.split("|")]
    languages = dict.fromkeys(language for stage in stages for language in stage)
    for language in languages:
        if not any(stage.get(language) for stage in stages):
            raise UserError(
                f"--languages {text}: {language} has no share: give it a positive one, or leave it out"
            )
    return Schedule(
        tuple(
            {language: stage.get(language, Fraction(0)) for language in languages}
            for stage in stages
        )
    )


def _stage(stage: str, text: str) -> dict[str, Fraction]:
    shares: dict[str, Fraction] = {}
    for part in stage.split(","):
        language, colon, number = part.strip().partition(":")
        if not language:
            raise UserError(f"--languages {text}: a name is missing: write en:0.5,el:0.5")
        if language in shares:
            raise UserError(f"--languages {text}: {language} stands twice in a stage: name it once")
        try:
            shares[language] = _fraction(number) if colon else Fraction(1)
        except (ValueError, ZeroDivisionError):
            raise UserError(
                f"--languages {text}: share {number!r} of {language} is no number: write en:0.5,el:0.5"
            ) from None
        if shares[language] < 0:
            raise UserError(
                f"--languages {text}: share {number} of {language} is negative: give a number >= 0"
            )
    total = sum(shares.values())
    if not total:
        raise UserError(f"--languages {text}: all shares of a stage are 0: give one above 0")
    return {language: share / total for language, share in shares.items()}


def _fraction(number: str) -> Fraction:
    """Of "9/10" or "0.9"; ValueError for what would take more digits than any share has, as 1e999999999."""
    _, _, exponent = number.lower().partition("e")
    if len(number) > DIGITS or abs(int(exponent or 0)) > DIGITS:
        raise ValueError(number)
    return Fraction(number)


def counts(shares: Shares) -> dict[str, int]:
    """Sequences of each language in a block: exact if a block can be, else by largest remainders, one at least."""
    size = lcm(*(share.denominator for share in shares.values()))
    if size <= LARGEST_BLOCK:
        return {language: int(share * size) for language, share in shares.items()}
    size = max(LARGEST_BLOCK, len(shares))
    sequences = {name: max(int(share * size), 1 if share else 0) for name, share in shares.items()}

    def excess(language: str) -> Fraction:
        return sequences[language] - shares[language] * size

    while (missing := size - sum(sequences.values())) > 0:
        for language in sorted(sequences, key=excess)[:missing]:
            sequences[language] += 1
    while sum(sequences.values()) > size:
        sequences[max((name for name in sequences if sequences[name] > 1), key=excess)] -= 1
    return sequences


@dataclass(frozen=True, eq=False)
class _Pool:
    """Ids that one language draws from, or several that were given the same array."""

    name: str
    ids: Ids
    context: int

    @property
    def windows(self) -> int:
        """Windows an epoch."""
        return len(self.ids) // self.context

    def take(self, seed: int, rank: NDArray[np.int64]) -> Ids:
        """The windows of these ranks, (len(rank), context + 1)."""
        epoch, entry = np.divmod(rank, self.windows)
        keys = mix(key(seed, "windows", self.name), epoch)
        start = permute(entry, self.windows, keys) * self.context
        start += (mix(keys, 1) % np.uint64(len(self.ids))).astype(np.int64)
        return self.ids[(start[:, None] + np.arange(self.context + 1)) % len(self.ids)]


@dataclass(frozen=True, eq=False)
class _Stage:
    """Steps from `first` on. Rows are languages, those of one pool together; a block has slots[row] .. slots[row + 1]
    for the language of a row. Pool by pool: the first of its slots, how many it has, windows that earlier stages had.
    """

    first: int
    slots: NDArray[np.int64]
    pool_first: NDArray[np.int64]
    pool_count: NDArray[np.int64]
    earlier: NDArray[np.int64]

    @property
    def block(self) -> int:
        """Sequences a block."""
        return int(self.slots[-1])


class Mixture:
    """Sequences of languages in the shares of a schedule over so many steps of `batch_size` sequences.

    streams: the training ids of each language, (n,) with n > context. Languages that are given the very same array
    draw from it together, so that clones of a language never read the same window in one epoch.
    """

    def __init__(
        self,
        schedule: Schedule,
        streams: Mapping[str, Ids],
        *,
        batch_size: int,
        context: int,
        steps: int,
    ) -> None:
        _check(schedule, streams, batch_size, context, steps)
        self.languages = schedule.languages
        self.batch_size, self.context, self.steps = batch_size, context, steps
        arrays = {id(streams[name]): name for name in reversed(self.languages)}
        names = sorted(arrays.values(), key=self.languages.index)
        self._pools = [_Pool(name, streams[name], context) for name in names]
        pool_of = [names.index(arrays[id(streams[name])]) for name in self.languages]
        self._rows = np.argsort(pool_of, kind="stable")  # row -> language
        self._pool_of_row = np.array(pool_of)[self._rows]
        self._stages = self._plan(schedule)

    def _plan(self, schedule: Schedule) -> list[_Stage]:
        stages = []
        earlier = np.zeros(len(self._pools), dtype=np.int64)
        for number, shares in enumerate(schedule.stages):
            first, last = (self.steps * n // len(schedule.stages) for n in (number, number + 1))
            per_language = np.array(list(counts(shares).values()))[self._rows]
            slots = np.concatenate([[0], np.cumsum(per_language)])
            pool_count = np.bincount(self._pool_of_row, per_language, len(self._pools))
            pool_count = pool_count.astype(np.int64)
            stage = _Stage(first, slots, np.cumsum(pool_count) - pool_count, pool_count, earlier)
            stages.append(stage)
            blocks = -(-(last - first) * self.batch_size // stage.block)
            earlier = earlier + blocks * pool_count
        return stages

    def batch(self, seed: int, step: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Tokens (batch_size, context + 1), and of each sequence the index of its language, (batch_size,)."""
        if not 0 <= step < self.steps:
            raise ValueError(f"step {step} is not in 0 .. {self.steps - 1}")
        number = self._stage_of(step)
        stage = self._stages[number]
        sequence = (step - stage.first) * self.batch_size + np.arange(self.batch_size)
        block, place = np.divmod(sequence, stage.block)
        slot = self._slots(seed, number, block, place)
        row = np.searchsorted(stage.slots, slot, side="right") - 1
        pool = self._pool_of_row[row]
        rank = stage.earlier[pool] + block * stage.pool_count[pool] + slot - stage.pool_first[pool]
        tokens = np.empty((self.batch_size, self.context + 1), dtype=np.int32)
        for index in np.unique(pool):
            tokens[pool == index] = self._pools[index].take(seed, rank[pool == index])
        return tokens, self._rows[row].astype(np.int32)

    def tokens_seen(self, seed: int, step: int) -> dict[str, int]:
        """Tokens of each language that the batches before this step predict."""
        seen = np.zeros(len(self.languages), dtype=np.int64)
        ends = [*(stage.first for stage in self._stages[1:]), self.steps]
        for number, (stage, end) in enumerate(zip(self._stages, ends, strict=True)):
            sequences = max(0, min(step, end) - stage.first) * self.batch_size
            block, rest = divmod(sequences, stage.block)
            slot = self._slots(seed, number, np.full(rest, block), np.arange(rest))
            seen[self._rows] += block * np.diff(stage.slots) + np.histogram(slot, stage.slots)[0]
        return dict(zip(self.languages, (seen * self.context).tolist(), strict=True))

    def _stage_of(self, step: int) -> int:
        firsts = [stage.first for stage in self._stages]
        return int(np.searchsorted(firsts, step, side="right")) - 1

    def _slots(
        self, seed: int, stage: int, block: NDArray[np.int64], place: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Which slot of its block a sequence at this place takes."""
        first, last = block.min(initial=0), block.max(initial=0)
        keys = mix(key(seed, "block", stage), np.arange(first, last + 1))
        return shuffles(self._stages[stage].block, keys)[block - first, place]


def _check(
    schedule: Schedule, streams: Mapping[str, Ids], batch_size: int, context: int, steps: int
) -> None:
    if batch_size < 1 or context < 1:
        raise ValueError(f"batch of {batch_size} x {context} tokens: both must be >= 1")
    if steps < len(schedule.stages):
        raise UserError(
            f"{steps} steps for {len(schedule.stages)} stages of --languages: give a step a stage at least"
        )
    for language in schedule.languages:
        if language not in streams:
            raise UserError(f"unknown language {language!r}: this corpus has {', '.join(streams)}")
        tokens = len(streams[language])
        if not tokens:
            raise UserError(
                f"{language} has no training text: give --corpus a source that has some"
            )
        if tokens <= context:
            raise UserError(
                f"{language} has {tokens} training tokens, less than one context of {context} and the next token: "
                "lower the context, or give more text"
            )
