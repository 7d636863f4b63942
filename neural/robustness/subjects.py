"""The text that models are judged on, and which of a run's models to compare."""

import pandas as pd

from neural.robustness.plan import Measures
from neural.text.corpus import Corpus
from neural.text.tokenizer import Tokenizer
from neural.text.tokens import Tokens, encoded, passages
from sim.runs.errors import UserError


def held_out(text: Corpus, measures: Measures, reader: Tokenizer) -> dict[str, Tokens]:
    """measures.text tokens of the test text of each language."""
    by_language = {}
    for name in text.languages:
        documents = [item.text for item in text.documents(name, "test")]
        if not documents:
            raise UserError(f"{name} has no held-out text to judge models on: give a longer one")
        whole = encoded(documents, reader)
        by_language[name] = passages(
            whole, measures.text, measures.sliding.window, reader.end_of_text
        )
    return by_language


def nearest_steps(clean: pd.DataFrame, model: str, other: str, text: str) -> dict[int, int]:
    """For each seed the step at which `model` comes nearest to the last loss of `other` on a text.

    clean is the table of losses without failure.
    """
    rows = clean[clean["text"] == text]
    last = rows[(rows["model"] == other) & (rows["step"] == rows["step"].max())]
    nearest = {}
    for seed, loss in zip(last["seed"], last["nats_per_token"], strict=True):
        own = rows[(rows["model"] == model) & (rows["seed"] == seed)]
        nearest[int(seed)] = int(own.loc[(own["nats_per_token"] - loss).abs().idxmin(), "step"])
    return nearest
