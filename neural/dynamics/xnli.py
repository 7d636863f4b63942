"""XNLI (Conneau et al. 2018): pairs of sentences of which the second follows, contradicts the first, or neither.

Read by Hugging Face's datasets, which fetches it.
"""

from dataclasses import dataclass

from neural.dynamics.plan import Part
from sim.runs.errors import UserError

LABELS = ("entailment", "neutral", "contradiction")
SPLITS: dict[Part, str] = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Inferences:
    """N premises, their hypotheses, and of each pair the place of its label among LABELS."""

    premises: tuple[str, ...]
    hypotheses: tuple[str, ...]
    labels: tuple[int, ...]


def inferences(language: str, part: Part, most: int) -> Inferences:
    """The first of a part. Raises UserError where the package or the data are not there."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(
            "xnli needs the datasets package: pip install 'cognitive-reserve[text]'"
        ) from None
    try:
        rows = list(load_dataset("facebook/xnli", language, split=f"{SPLITS[part]}[:{most}]"))
        texts = [(str(row["premise"]), str(row["hypothesis"]), int(row["label"])) for row in rows]
    except Exception as error:  # the package has many, of its own and of its transports
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot read xnli in {language} ({reason}): check the connection"
        ) from None
    if not texts or not all(0 <= label < len(LABELS) for _, _, label in texts):
        raise UserError(f"xnli in {language}: no pairs, or some without a label: update datasets")
    premises, hypotheses, labels = zip(*texts, strict=True)
    return Inferences(premises, hypotheses, labels)
