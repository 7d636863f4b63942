"""Labels of arcs: which pairs are held, logits by hand, roots told apart, and that relations are learnt."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from neural.gpt.model import DEFAULT
from neural.measures.words import NONE, word_states
from neural.text.tokenizer import ByteTokenizer
from neural.text.treebank import Sentence
from neural.tune.arcs import RELATIONS, logits, relations, without_root
from neural.tune.objective import Supervised, tune
from tests.neural.refusal import message
from tests.neural.tune.test_objective import CONFIG, SEEDS, TUNING, models, sentence


def tree(words: list[str], heads: list[int], names: list[str], name: str = "a") -> Sentence:
    made = sentence(words, ["X"] * len(words), name)
    return replace(made, heads=tuple(heads), relations=tuple(names))


def task(*sentences: Sentence) -> Supervised:
    return relations({("en", "test"): sentences}, ByteTokenizer(), CONFIG, ("en",))


def test_an_arc_needs_both_its_words_and_its_relation_s_main_part() -> None:
    """Of the second sentence the context holds two words; one of them has its head behind the context's end."""
    names = ["nsubj:pass", "root", "obl"]
    data = task(
        tree(["a", "b", "c"], [2, 0, 2], names),
        tree(["x" * 9] * 3, [2, 0, 1], names),
        tree(["x" * 9] * 3, [3, 1, 0], ["obj", "det", "root"]),
    ).parts["en", "test"]
    nsubj, root, obl, det = (RELATIONS.index(name) for name in ("nsubj", "root", "obl", "det"))
    assert data["labels"].tolist() == [[nsubj, root, obl], [nsubj, root, NONE], [NONE, det, NONE]]
    assert data["heads"][0].tolist() == [2, 0, 2]
    assert len(RELATIONS) == 37
    assert sorted(RELATIONS) == list(RELATIONS)


def test_a_pair_is_read_from_both_states_and_their_product() -> None:
    made = task(tree(["ab", "c", "def"], [3, 1, 0], ["obj", "det", "root"]))
    batch = made.parts["en", "test"]
    state = {name: value[0] for name, value in (models(0) | made.heads(CONFIG, (3,))).items()}
    where = batch["ids"], batch["first"], batch["end"]
    scores, h = jax.jit(
        lambda s: (logits(s, batch, CONFIG, DEFAULT), word_states(s, *where, CONFIG)[0])
    )(state)
    root = np.asarray(state["arc.root"])
    assert root.shape == (16,)
    assert np.abs(root).max() > 0
    for place, other in enumerate((h[2], h[0], root)):
        pair = np.concatenate([h[place], other, h[place] * other])
        expected = pair @ np.asarray(state["arc.weight"]) + np.asarray(state["arc.bias"])
        np.testing.assert_allclose(scores[0, place], expected, rtol=1e-4, atol=1e-6)  # float32


def test_roots_are_told_apart() -> None:
    data = task(tree(["a", "b", "c"], [2, 0, 2], ["obj", "root", "obl"])).parts["en", "test"]
    classes = data["labels"].copy()
    assert without_root(data, classes, RELATIONS) == {"accuracy_without_root": 1}
    classes[0, 0] = 0
    assert without_root(data, classes, RELATIONS) == {"accuracy_without_root": 0.5}
    classes[0, 1] = 0
    assert without_root(data, classes, RELATIONS) == {"accuracy_without_root": 0.5}


def test_unknown_relations_are_refused() -> None:
    refusal = message(task, tree(["a"], [0], ["ROOT"], "s3"))
    assert "sentence s3: unknown label 'ROOT'" in refusal


@pytest.mark.slow
def test_relations_that_only_the_head_tells_are_learnt() -> None:
    """A word's relation is its head's letter: neither the word nor the sentence's end say it."""
    rng = np.random.default_rng(0)

    def some(count: int) -> list[Sentence]:
        trees = []
        for _ in range(count):
            letters = rng.choice(list("abcd"), size=6)
            heads = [0, *(int(rng.integers(1, place + 1)) for place in range(1, 6))]
            names = ["root", *(RELATIONS["abcd".index(letters[h - 1])] for h in heads[1:])]
            trees.append(tree(letters.tolist(), heads, names))
        return trees

    sentences = {(name, part): some(60) for name in ("en", "el") for part in ("train", "test")}
    made = relations(sentences, ByteTokenizer(), CONFIG, ("en", "el"), size=16)
    state = tune(models(0, 1), CONFIG, made, replace(TUNING, steps=150), seeds=SEEDS)
    accuracies = made.evaluate(state, CONFIG, "test")
    assert np.all(accuracies["accuracy_without_root"] > 0.9)  # by chance 1/4
    assert np.all(accuracies["accuracy"] >= accuracies["accuracy_without_root"])
