"""Labels of dependency arcs: the relation of a word to its head, given both, read from [h1; h2; h1∘h2].

h1 is the word's state and h2 its head's, the mean of their subwords (as the probes of Blevins et al. 2022, after Liu et
al. 2019). The head of a root is a learnt vector, so that it is known to be one: accuracy is told without roots too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import Parameters
from neural.measures.words import NONE, WordExamples, word_states
from neural.text.tokenizer import Tokenizer
from neural.text.treebank import Sentence
from neural.tune.objective import Batch, Supervised
from neural.tune.tagging import Part, arrays, places, word_parts

RELATIONS = tuple(
    "acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse dislocated expl "
    "fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis punct reparandum root vocative "
    "xcomp".split()
)
"""Universal relations without their subtypes (de Marneffe et al. 2021)."""

WEIGHT, BIAS, ROOT = "arc.weight", "arc.bias", "arc.root"
"""The head (3 d, C), its bias (C,), and what stands for the head of a root, (d,)."""


def relations(
    sentences: Mapping[Part, Sequence[Sentence]],
    tokenizer: Tokenizer,
    config: ModelConfig,
    languages: tuple[str, ...],
    **options: Any,
) -> Supervised:
    """The relations of treebanks; options are fields of `Supervised`.

    Measures: accuracy, nats, and accuracy_without_root. An arc counts where the context holds both its words. Raises
    UserError for a relation that is none of UD, and for a tokenizer with more ids than the model.
    """
    parts = {
        part: _arcs(examples, sentences[part])
        for part, examples in word_parts(sentences, tokenizer, config).items()
    }
    return Supervised(languages, parts, RELATIONS, logits, head, further=without_root, **options)


def logits(state: Parameters, batch: Any, config: ModelConfig, compute: Compute) -> jax.Array:
    """Of the relations of words to their heads, (B, W, C) float32."""
    words = word_states(state, batch["ids"], batch["first"], batch["end"], config, compute)
    root = jnp.broadcast_to(state[ROOT], (len(words), 1, words.shape[-1]))
    heads = jnp.concatenate([root, words], axis=1)
    heads = jnp.take_along_axis(heads, batch["heads"][..., None], axis=1)
    pairs = jnp.concatenate([words, heads, words * heads], axis=-1)
    return pairs @ state[WEIGHT] + state[BIAS]


def head(config: ModelConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a linear head on pairs, and of the root."""
    d = config.width
    return {WEIGHT: (3 * d, classes), BIAS: (classes,), ROOT: (d,)}


def without_root(
    data: Batch, classes: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, float]:
    """accuracy_without_root: over the arcs between two words."""
    arcs = (data["labels"] != NONE) & (data["heads"] > 0)
    return {"accuracy_without_root": float((classes[arcs] == data["labels"][arcs]).mean())}


def _arcs(examples: WordExamples, sentences: Sequence[Sentence]) -> Batch:
    """What the head reads: of each word also the number of its head, (N, W), 0 for the root's."""
    labels = [
        places(item, [relation.split(":")[0] for relation in item.relations], RELATIONS)
        for item in sentences
    ]
    batch = arrays(examples, labels)
    heads = np.maximum(examples.labels([item.heads for item in sentences]), 0)
    reachable = np.concatenate([np.full((len(examples), 1), True), examples.there], axis=1)
    held = np.take_along_axis(reachable, heads, axis=1)
    return batch | {
        "heads": heads.astype(np.int32),
        "labels": np.where(held, batch["labels"], NONE).astype(np.int32),
    }
