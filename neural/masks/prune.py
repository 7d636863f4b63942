"""Iterative magnitude pruning, as Foroutan et al. 2022: train, remove the smallest weights, rewind, and train again.

Each round removes 10 % of the original weights, those of globally smallest magnitude among the survivors, and sets the
survivors back to what they were before training. So the masks of the rounds so far are all that a run needs to go on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural.gpt.config import ModelConfig
from neural.masks.mask import Mask, Masks, applied, flat, full, load, prunable, save, size, stacked
from sim.runs.errors import UserError

Parameters = dict[str, Any]
FRACTION = 0.1
"""Of the original weights that a round removes."""
Train = Callable[[Parameters, Masks | None], Parameters]
"""Of S models (every parameter (S, ...)) and their masks: the trained models, with 0 outside the masks."""


class Round(NamedTuple):
    """A round of S models: they were trained under the masks of the round before, and lost their smallest weights."""

    number: int
    """1, 2, ..."""
    trained: Parameters
    """So of round r + 1, the tickets of round r, trained; of round 1, the full models."""
    masks: tuple[Mask, ...]


def pruned(weights: Mapping[str, Any], mask: Mask, count: int) -> Mask:
    """A mask less the `count` of its weights that are smallest in magnitude, over all tensors of one model.

    Of equal magnitudes the first by index goes first, so the count is exact. Raises UserError for weights that are not
    finite, ValueError where fewer than `count` are left.
    """
    if not 0 <= count <= mask.kept:
        raise ValueError(f"cannot remove {count} of {mask.kept} weights")
    survivors = np.flatnonzero(mask.bits)
    magnitudes = np.abs(flat(weights, mask.config)[survivors])
    if not np.isfinite(magnitudes).all():
        raise UserError("a weight to be pruned is not finite: train with a lower learning rate")
    bits = mask.bits.copy()
    if count:
        last = np.partition(magnitudes, count - 1)[count - 1]
        smaller, ties = magnitudes < last, np.flatnonzero(magnitudes == last)
        bits[survivors[smaller]] = False
        bits[survivors[ties[: count - np.count_nonzero(smaller)]]] = False
    return Mask(mask.config, bits)


def each_round(config: ModelConfig, rounds: int, fraction: float = 0.1) -> int:
    """The weights that a round removes, a fraction of the original number.

    Raises UserError where none are removed, or more than there are.
    """
    count = round(fraction * size(config))
    if rounds < 1 or count < 1 or rounds * count > size(config):
        raise UserError(
            f"{rounds} rounds that each remove {fraction:g} of {size(config)} weights: give 1 round or more, "
            "and remove at least one weight and at most all of them"
        )
    return count


def tickets(
    theta0: Mapping[str, Any],
    config: ModelConfig,
    train: Train,
    rounds: int,
    *,
    fraction: float = 0.1,
    rewind: Mapping[str, Any] | None = None,
    done: Sequence[tuple[Mask, ...]] = (),
) -> Iterator[Round]:
    """The rounds of a stack of S models, each after its training; every model is pruned by itself.

    The first round trains theta0 whole; the later ones the survivors, rewound to theta0 or to what `rewind` has, such
    as an earlier checkpoint. `train` begins each with a fresh optimiser and schedule. After round r exactly
    n - r round(fraction n) weights are kept. With the masks of the rounds `done` so far, goes on after them.

    Raises UserError for rounds that remove too much and for masks done that are of other rounds, ValueError where
    train returns weights outside their mask.
    """
    count = each_round(config, rounds, fraction)
    S = len(theta0[prunable(config)[0]])
    masks = (full(config),) * S
    for number, after in enumerate(done, 1):
        masks = _checked(number, masks, after, count)
    return _rounds(
        theta0, theta0 if rewind is None else rewind, train, masks, count, len(done), rounds
    )


def _rounds(
    theta0: Mapping[str, Any],
    rewind: Mapping[str, Any],
    train: Train,
    masks: tuple[Mask, ...],
    count: int,
    done: int,
    rounds: int,
) -> Iterator[Round]:
    for number in range(done + 1, rounds + 1):
        stack = stacked(masks)
        trained = train(applied(stack, rewind if number > 1 else theta0), stack)
        weights = {name: np.asarray(trained[name]) for name in stack}
        if any(weights[name][~stack[name]].any() for name in stack):
            raise ValueError("training gave weights outside their mask: keep them 0")
        masks = tuple(
            pruned({name: array[s] for name, array in weights.items()}, mask, count)
            for s, mask in enumerate(masks)
        )
        yield Round(number, trained, masks)


def _checked(
    number: int, before: tuple[Mask, ...], after: tuple[Mask, ...], count: int
) -> tuple[Mask, ...]:
    """The masks after a round. Raises UserError if they do not follow from those before."""
    follows = len(after) == len(before) and all(
        new.config == old.config and new <= old and old.kept - new.kept == count
        for old, new in zip(before, after, strict=True)
    )
    if not follows:
        raise UserError(
            f"the masks of round {number} are not those of the round before less {count} weights: "
            "give those of one run, or start anew"
        )
    return after


def file_of(folder: Path, number: int, model: int) -> Path:
    """The file of a model's mask after a round."""
    return folder / f"round-{number:02d}-model-{model:02d}.safetensors"


def save_round(
    folder: Path, number: int, masks: Sequence[Mask], provenance: Mapping[str, Any]
) -> None:
    """Write the masks of a round, which `saved_rounds` reads."""
    for model, mask in enumerate(masks):
        about = {**provenance, "round": number, "model": model}
        save(file_of(folder, number, model), mask, about)


def saved_rounds(
    folder: Path, config: ModelConfig, models: int, *, identity: str | None = None
) -> list[tuple[Mask, ...]]:
    """The masks after rounds 1, 2, ... of so many models, as far as they are whole.

    Raises UserError for damaged files, and for those of a provenance of another identity.
    """
    rounds: list[tuple[Mask, ...]] = []
    while True:
        files = [file_of(folder, len(rounds) + 1, model) for model in range(models)]
        if not all(file.with_suffix(".json").is_file() for file in files):
            return rounds
        loaded = [load(file, config) for file in files]
        if identity is not None and any(about.get("identity") != identity for _, about in loaded):
            raise UserError(f"{folder} holds the masks of other work: give another folder")
        rounds.append(tuple(mask for mask, _ in loaded))
