from dataclasses import replace

import numpy as np
import pytest

from neural.gpt.config import ModelConfig
from neural.imbalance.transfer import cloned, transferred, transferred_real
from neural.study.real import Bilingual, Pair
from neural.study.stack import Stack
from neural.text.clone import Clones
from neural.text.labelled import Labelled, Task
from neural.text.tokenizer import ByteTokenizer
from neural.tune.classifier import FineTuning, fine_tune
from neural.tune.examples import examples
from neural.tune.head import correct
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message

BYTES = ByteTokenizer()
CLONES = Clones(257, 2, (256,))
MODEL = ModelConfig(layers=1, width=32, heads=2, context=32, vocabulary=CLONES.total)
NORMS = ("ln_1.weight", "ln_2.weight", "ln_f.weight")
TUNING = FineTuning(epochs=8, batch=16, peak=3e-3)


def marked(count, seed, names=("x", "y")):
    """Sentences of letters one of which, anywhere, is x or y, and is the label; three quarters are x."""
    rng = np.random.default_rng(seed)
    sentences, labels = [], []
    for number in range(count):
        letters = rng.choice(list("abcdefgh"), size=rng.integers(4, 16))
        label = int(number % 4 == 0)
        letters[rng.integers(len(letters))] = names[label]
        sentences.append("".join(letters))
        labels.append(label)
    return Labelled(tuple(sentences), tuple(labels), ("x", "y"))


TASK = Task("marked", marked(240, 0), marked(40, 1), marked(100, 2))


def models():
    """To the first every clone is what it is cloned from, to the second another letter."""
    pair = [random_parameters(MODEL, seed, scale=0.1) for seed in (0, 1)]
    for model in pair:
        model |= {name: 1 + value for name, value in model.items() if name.endswith(NORMS)}
    pair[0]["wte.weight"][257:] = pair[0]["wte.weight"][:257]
    parameters = {name: np.stack([model[name] for model in pair]) for name in pair[0]}
    return Stack("models", parameters, MODEL, (4, 7), (10, 20), ({}, {}))


@pytest.fixture(scope="module")
def table():
    return transferred(models(), TASK, BYTES, CLONES, TUNING, sources=("c0", "c1"))


def test_what_is_learnt_in_one_clone_is_known_in_another_that_the_model_holds_for_the_same(table):
    accuracy = table.set_index(["seed", "source", "target"])["accuracy"]
    for source, target in (("c0", "c1"), ("c1", "c0")):
        for seed in (4, 7):
            assert accuracy[seed, source, source] > 0.95
        assert accuracy[4, source, target] > 0.95
        # 100 answers of a model that never saw these letters: at best those of always giving x, some more by chance.
        assert accuracy[7, source, target] < 0.85


def test_a_row_is_a_model_a_source_and_a_target(table):
    assert list(table) == ["seed", "step", "source", "target", "accuracy", "majority", "n"]
    assert table[["seed", "step"]].drop_duplicates().to_numpy().tolist() == [[4, 10], [7, 20]]
    assert len(table.drop_duplicates(["seed", "source", "target"])) == len(table) == 8
    assert (table["majority"] == 0.75).all()
    assert (table["n"] == 100).all()


def test_a_row_is_what_tuning_and_testing_by_hand_gives(table):
    stack = models()
    train, dev = (examples(part, BYTES, MODEL) for part in (TASK.train, TASK.dev))
    tuned = fine_tune(stack.parameters, MODEL, train, dev, TUNING, seeds=stack.seeds).best
    test = examples(TASK.test, BYTES, MODEL)
    other = replace(test, ids=np.where(test.ids == 256, 256, test.ids + 257))
    rows = table[(table["source"] == "c0") & (table["target"] == "c1")]
    assert rows["accuracy"].tolist() == correct(tuned, other).mean(axis=1).tolist()


def test_real_languages_are_read_by_their_own_tokenizers(table):
    """Bytes twice: as clones are."""
    tables = {name: CLONES.table(number).astype(np.uint32) for number, name in enumerate("ab")}
    pair = Pair(("a", "b"), "disjoint", 514)
    text = Bilingual(pair, {"a": BYTES, "b": BYTES}, tables, {}, "text")
    rows = transferred_real(models(), {"a": TASK, "b": TASK}, text, TUNING, sources=("a",))
    assert rows["accuracy"].tolist() == table["accuracy"].tolist()[:4]
    assert rows["target"].tolist() == ["a", "a", "b", "b"]


def test_what_ends_and_pads_a_sentence_is_cloned_never():
    family = Clones(257, 3, (256,), shuffled=3)
    data = Labelled(("abcd", "efghij"), (0, 1), ("x", "y"))
    plain = examples(data, BYTES, MODEL)
    clone = cloned(plain, family, 2)
    assert (clone.ids[0, 4:] == 256).all()
    assert (clone.ids[1, 6:] == 256).all()
    assert clone.ids[0, :4].tolist() == family.encode(np.arange(97, 101), 2).tolist()
    assert clone.ids[1, :6].tolist() == family.encode(np.arange(101, 107), 2).tolist()
    assert clone.ids[0, 0] != plain.ids[0, 0] + 2 * 257  # in another order
    assert plain.ids[0, 0] == 97
    np.testing.assert_array_equal(cloned(plain, family, 0).ids, plain.ids)


def test_what_does_not_belong_together_is_refused():
    def call(clones=CLONES, **options):
        return transferred(models(), TASK, BYTES, clones, TUNING, **options)

    with pytest.raises(ValueError, match="the end of text is cloned"):
        call(replace(CLONES, special=()))
    with pytest.raises(ValueError, match="3 clones of 257, a model of 514"):
        call(replace(CLONES, languages=3))
    assert "unknown language 'en': choose from c0, c1" in message(lambda: call(sources=("en",)))
