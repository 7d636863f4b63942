"""What a study would train, and how long that takes on this machine: its --dry-run."""

from collections.abc import Sequence
from dataclasses import dataclass

from neural.gpt.config import ModelConfig

STEPS = 5
"""Updates of each shape that are timed."""


@dataclass(frozen=True)
class Training:
    """Models of one shape that are trained side by side."""

    name: str
    shape: ModelConfig
    batch: int
    """Sequences an update, of each."""
    models: int
    steps: int
    """Updates, of each."""

    @property
    def tokens(self) -> int:
        """Of all models."""
        return self.models * self.steps * self.batch * self.shape.context


def forecast(trainings: Sequence[Training]) -> str:
    """A table of what is trained, those of a name and width in a row, with seconds at the speed of a few updates here.

    Fine-tuning and measuring what is trained are not in it.
    """
    import pandas as pd

    seconds = {how: _seconds_a_token(*how) for how in {_how(training) for training in trainings}}
    rows = [
        {
            "training": training.name,
            "width": training.shape.width,
            "vocabulary": training.shape.vocabulary,
            "runs": 1,
            "models": training.models,
            "tokens": training.tokens,
            "seconds": training.tokens * seconds[_how(training)],
        }
        for training in trainings
    ]
    keys = ["training", "width", "vocabulary"]
    table = pd.DataFrame(rows).groupby(keys, sort=False, as_index=False).sum()
    text = table.to_string(
        index=False, formatters={"tokens": "{:,}".format, "seconds": "{:.0f}".format}
    )
    total = table[["runs", "models", "tokens", "seconds"]].sum()
    return (
        f"{text}\n{total.runs:.0f} runs, {total.models:.0f} models, {int(total.tokens):,} tokens; some "
        f"{total.seconds / 60:.0f} minutes of training here, beside compiling, fine-tuning and measuring"
    )


How = tuple[ModelConfig, int, int]


def _how(training: Training) -> How:
    return training.shape, training.batch, training.models


def _seconds_a_token(shape: ModelConfig, batch: int, models: int) -> float:
    import jax

    from neural.gpt.config import compute_on
    from neural.train.bench import measure

    compute = compute_on(jax.default_backend())
    speed = measure(shape, compute, batch, seeds=models, steps=STEPS)
    return speed.seconds / speed.tokens
