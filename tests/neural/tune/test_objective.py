"""Training of stacks under masks: what is outside stays 0 and unseen, one program for all masks, models as if alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np
import pytest

from neural.gpt.config import ModelConfig
from neural.gpt.model import DEFAULT, shapes
from neural.masks.mask import prunable
from neural.measures.scoring import Sliding, score
from neural.measures.words import NONE
from neural.text.labelled import Labelled, Task
from neural.text.mixture import Mixture, parse_schedule
from neural.text.shuffle import key
from neural.text.tokenizer import ByteTokenizer
from neural.text.tokens import Tokens
from neural.text.treebank import Sentence
from neural.train.optim import OptimiserConfig
from neural.tune import objective as module
from neural.tune.language_model import LanguageModel
from neural.tune.objective import Supervised, trainer, tune
from neural.tune.tagging import UPOS, parts_of_speech
from neural.tune.topic import topics
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message

CONFIG = ModelConfig(layers=1, width=16, heads=2, context=24, vocabulary=257)
TUNING = OptimiserConfig(steps=60, peak=1e-2, warmup=5, final=0.0, decay=0.1)
SEEDS = (5, 9)
PARTS = ("train", "test")


def sentence(words: Sequence[str], upos: Sequence[str], name: str = "a") -> Sentence:
    """Words divided by spaces, all of them dependents of the first."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans = tuple((int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True))
    heads = (0, *[1] * (len(words) - 1))
    relations = ("root", *["obj"] * (len(words) - 1))
    nothing = tuple({} for _ in words)
    return Sentence(
        name, " ".join(words), tuple(words), spans, tuple(upos), heads, relations, nothing
    )


@lru_cache
def tagged(letters: str, count: int, seed: int) -> list[Sentence]:
    """Sentences of 2 to 6 words of a letter twice, which says what the word is."""
    rng = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        words = [2 * letter for letter in rng.choice(list(letters), rng.integers(2, 7))]
        sentences.append(sentence(words, [UPOS[letters.index(word[1])] for word in words]))
    return sentences


def tagging(*languages: str, **options: Any) -> Supervised:
    """Of two languages in other letters, of 40 and 30 sentences; each has a fifth as many to test."""
    sentences = {
        (name, part): tagged(letters, count // (1 + 4 * place), seed + place)
        for name, letters, count, seed in (("en", "abcdef", 40, 0), ("el", "uvwxyz", 30, 2))
        for place, part in enumerate(PARTS)
    }
    return parts_of_speech(sentences, ByteTokenizer(), CONFIG, languages, size=8, **options)


def models(*seeds: int) -> dict[str, np.ndarray]:
    made = [random_parameters(CONFIG, seed, scale=0.1) for seed in seeds]
    return {name: np.stack([model[name] for model in made]) for name in made[0]}


def half(seed: int, S: int = 2) -> dict[str, np.ndarray]:
    """A mask of about half of the weights, for each model."""
    rng = np.random.default_rng(seed)
    return {name: rng.random((S, *shapes(CONFIG)[name])) < 0.5 for name in prunable(CONFIG)}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_weights_outside_a_mask_are_never_seen_and_end_as_zeros() -> None:
    """Were one of them read in any step, the model would end as NaN; decay and moments move none of them."""
    task, kept, theta = tagging("en", "el"), half(0), models(0, 1)
    theta["ln_f.bias"] += 1  # a bias that is not 0 shows that what is not prunable is whole
    broken = theta | {name: np.where(mask, theta[name], np.nan) for name, mask in kept.items()}
    state = tune(broken, CONFIG, task, TUNING, kept, seeds=SEEDS)
    for name, mask in kept.items():
        value = np.asarray(state[name])
        assert np.all(value[~mask] == 0)
        assert np.all(value[mask] != theta[name][mask])
    assert all(np.isfinite(np.asarray(value)).all() for value in state.values())
    whole = trainer(CONFIG, task, TUNING, seeds=SEEDS)(theta, kept)
    assert list(whole) == list(shapes(CONFIG))
    assert same(whole, {name: state[name] for name in whole})
    assert np.all(theta["h.0.mlp.c_fc.weight"] != 0)  # what was given is as it was


def test_a_full_mask_is_no_mask_and_one_program_serves_all() -> None:
    task, theta = tagging("en", "el"), models(0, 1)
    full = {name: np.full_like(mask, True) for name, mask in half(0).items()}
    without = tune(theta, CONFIG, task, TUNING, seeds=SEEDS)
    assert same(tune(theta, CONFIG, task, TUNING, full, seeds=SEEDS), without)
    others = [tune(theta, CONFIG, task, TUNING, half(seed), seeds=SEEDS) for seed in (1, 2)]
    assert not same(*others)
    other = tune(theta, CONFIG, tagging("en", "el", seed=1), TUNING, seeds=SEEDS)
    assert not same(other, without)
    *_, step = module._program(CONFIG, DEFAULT, TUNING, task.loss)
    assert step._cache_size() == 1


def test_a_model_is_the_same_whatever_stands_beside_it() -> None:
    """The second, with its language, its seed and its mask, as the first of another stack: to the bit."""
    kept = half(3)
    first = tune(models(0, 1), CONFIG, tagging("en", "el"), TUNING, kept, seeds=SEEDS)
    turned = {name: mask[::-1] for name, mask in kept.items()}
    other = tune(models(1, 2), CONFIG, tagging("el", "el"), TUNING, turned, seeds=(9, 3))
    assert same(
        {name: np.asarray(value)[1] for name, value in first.items()},
        {name: np.asarray(value)[0] for name, value in other.items()},
    )


@pytest.mark.slow
def test_a_stack_is_what_its_models_are_alone() -> None:
    kept = half(3)
    together = tune(models(0, 1), CONFIG, tagging("en", "el"), TUNING, kept, seeds=SEEDS)
    ours = {name: mask[1:] for name, mask in kept.items()}
    alone = tune(models(1), CONFIG, tagging("el"), TUNING, ours, seeds=SEEDS[1:])
    for name, value in alone.items():
        # AdamW divides by the gradient's size, so sums in another order (1e-7) move weights that have next to no
        # gradient by up to a part of the rate, 1e-2; models apart differ by some 1e-1.
        np.testing.assert_allclose(value[0], together[name][1], atol=1e-3, err_msg=name)


def test_tags_are_learnt_each_model_its_own_language() -> None:
    task = tagging("en", "el")
    state = tune(models(0, 1), CONFIG, task, TUNING, seeds=SEEDS)
    own = task.evaluate(state, CONFIG, "test")
    swapped = task.evaluate(state, CONFIG, "test", ("el", "en"))
    # Of six letters, one of which decides: chance is 1/6, and the other language's letters say nothing.
    assert np.all(own["accuracy"] > 0.8)
    assert np.all(swapped["accuracy"] < 0.5)
    assert np.all(swapped["nats"] > own["nats"])
    dealt = tune(models(0, 1), CONFIG, tagging("en", "el", shuffled=True), TUNING, seeds=SEEDS)
    assert np.all(task.evaluate(dealt, CONFIG, "test")["accuracy"] < 0.5)


def test_measures_are_those_of_every_word_of_a_part() -> None:
    """Parts of 8 and 6 sentences, whatever the batch; against one model and one sentence at a time."""
    task = tagging("en", "el")
    state = models(0, 1) | {
        name: np.asarray(value) for name, value in task.heads(CONFIG, SEEDS).items()
    }
    measures = task.evaluate(state, CONFIG, "test", ("el", "en"))
    program = jax.jit(lambda parameters, batch: task.logits(parameters, batch, CONFIG, DEFAULT))
    for place, language in enumerate(("el", "en")):
        data = task.parts[language, "test"]
        model = {name: value[place] for name, value in state.items()}
        scores = np.asarray(program(model, data), np.float64)
        there = data["labels"] != NONE
        assert there.sum() == sum(
            map(len, tagged(*{"el": ("uvwxyz", 6, 3), "en": ("abcdef", 8, 1)}[language]))
        )
        labels = data["labels"][there]
        right = scores[there].argmax(axis=-1) == labels
        logp = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        assert measures["accuracy"][place] == right.mean()
        nats = -logp[there][np.arange(len(labels)), labels].mean()
        assert measures["nats"][place] == pytest.approx(nats, rel=1e-5)  # float32


def test_batches_take_every_sentence_once_before_any_again() -> None:
    task = tagging("en", "en,el")

    def rows(model: int, language: str, steps: range) -> Counter[bytes]:
        letters = b"abcdef" if language == "en" else b"uvwxyz"
        return Counter(
            ids.tobytes()
            for step in steps
            for ids in task.batch(step, SEEDS)["ids"][model]
            if ids[1] in letters
        )

    en = Counter(ids.tobytes() for ids in task.parts["en", "train"]["ids"])
    el = Counter(ids.tobytes() for ids in task.parts["el", "train"]["ids"])
    assert rows(0, "en", range(5)) == rows(0, "en", range(5, 10)) == en
    assert rows(1, "en", range(10)) == en
    assert sum(rows(1, "el", range(10)).values()) == 40  # as many as of the other language
    assert set(rows(1, "el", range(8))) == set(el)
    first, again = task.batch(0, SEEDS), task.batch(0, SEEDS)
    assert same(first, again)
    later, other = task.batch(5, SEEDS), task.batch(0, (6, 9))
    assert not np.array_equal(first["ids"][0], later["ids"][0])
    assert not np.array_equal(first["ids"][0], other["ids"][0])
    assert np.array_equal(first["ids"][1], other["ids"][1])


def test_shuffled_labels_are_as_frequent_and_belong_to_no_word() -> None:
    plain, dealt = tagging("en"), tagging("en", shuffled=True)
    ours, theirs = plain.parts["en", "train"]["labels"], dealt._training["en"]["labels"]
    assert np.array_equal(ours == NONE, theirs == NONE)
    assert Counter(ours.reshape(-1).tolist()) == Counter(theirs.reshape(-1).tolist())
    there = ours != NONE
    assert (ours == theirs)[there].mean() < 0.35  # 1/6 of some 160 words by chance
    assert np.array_equal(dealt.parts["en", "test"]["labels"], plain.parts["en", "test"]["labels"])
    assert np.array_equal(tagging("en", shuffled=True)._training["en"]["labels"], theirs)


def text(letters: bytes, n: int, seed: int) -> Tokens:
    """Documents of 30 tokens in which letters follow one another in order."""
    start = np.random.default_rng(seed).integers(len(letters), size=(n // 30, 1))
    rows = np.frombuffer(letters, np.uint8)[(start + np.arange(30)) % len(letters)].astype(
        np.uint16
    )
    rows[:, -1] = ByteTokenizer.end_of_text
    return Tokens(rows.reshape(-1), 30 * np.arange(1, n // 30 + 1), np.full(n // 30, 29))


def language_model(*languages: str, **options: Any) -> LanguageModel:
    train = {"en": text(b"abcdef", 3000, 0).ids, "el": text(b"uvwxyz", 3000, 1).ids}
    held_out = {("en", "valid"): text(b"abcdef", 300, 2), ("el", "valid"): text(b"uvwxyz", 300, 3)}
    return LanguageModel(languages, train, held_out, context=24, size=4, **options)


def test_language_models_read_the_windows_of_a_mixture() -> None:
    task = language_model("el", "en:3,el")
    tokens = task.batch(7, SEEDS)["tokens"]
    assert tokens.shape == (2, 4, 25)
    assert set(tokens[0].reshape(-1).tolist()) <= set(b"uvwxyz") | {256}
    alone = Mixture(parse_schedule("el"), task.train, batch_size=4, context=24, steps=10)
    assert np.array_equal(tokens[0], alone.batch(key(0, 5), 7)[0])
    assert sum(int(row[0]) in b"uvwxyz" for row in tokens[1] if row[0] < 256) <= 1
    shuffled = language_model("el", shuffled=True)
    assert Counter(shuffled._text("el").tolist()) == Counter(task.train["el"].tolist())
    windows = shuffled.batch(7, SEEDS[:1])["tokens"]
    assert np.mean(np.diff(windows[0]) == 1) < 0.5 < np.mean(np.diff(tokens[0]) == 1)


def test_language_models_are_measured_by_sliding_windows() -> None:
    task, theta = language_model("en", "el"), models(0, 1)
    measures = task.evaluate(theta, CONFIG, "valid", ("el", "el"))
    expected = score(theta, CONFIG, task.held_out["el", "valid"], Sliding(24, 12), batch=4)
    nats = expected.nats.sum(axis=-1) / expected.scored.sum()
    np.testing.assert_allclose(measures["nats"], nats, rtol=1e-6)  # the same float32 losses
    np.testing.assert_allclose(measures["perplexity"], np.exp(nats), rtol=1e-6)
    bits = expected.nats.sum(axis=-1) / expected.bytes.sum() / np.log(2)
    np.testing.assert_allclose(measures["bits_per_byte"], bits, rtol=1e-6)
    own = task.evaluate(
        theta, CONFIG, "valid"
    )  # one model at a time, of which XLA may round sums otherwise
    np.testing.assert_allclose(own["nats"][1], nats[1], rtol=1e-6)
    assert abs(own["nats"][0] - nats[0]) > 1e-3
    assert "no test of 'el' in this text: choose from en valid" in message(
        task.evaluate, theta, CONFIG, "test", ("el", "el")
    )


@pytest.mark.slow
def test_a_language_is_learnt_and_another_is_not() -> None:
    task = language_model("en", "el")
    tuning = replace(TUNING, steps=300)
    state = tune(models(0, 1), CONFIG, task, tuning, half(0), seeds=SEEDS)
    own = task.evaluate(state, CONFIG, "valid")
    swapped = task.evaluate(state, CONFIG, "valid", ("el", "en"))
    assert np.all(own["perplexity"] < 3)  # of six letters
    assert np.all(swapped["perplexity"] > 20)


@pytest.mark.slow
def test_topics_are_learnt() -> None:
    """The topic is a letter somewhere in the sentence."""
    rng = np.random.default_rng(0)

    def labelled(count: int) -> Labelled:
        labels = rng.integers(2, size=count)
        words = rng.choice(list("abcd"), size=(count, 8))
        words[np.arange(count), rng.integers(8, size=count)] = np.array(list("xy"))[labels]
        return Labelled(tuple(map("".join, words)), tuple(labels.tolist()), ("x", "y"))

    data = {name: Task(name, labelled(80), labelled(16), labelled(100)) for name in ("en", "el")}
    task = topics(data, ByteTokenizer(), CONFIG, ("en", "el"), size=16)
    state = tune(models(0, 1), CONFIG, task, replace(TUNING, steps=200), seeds=SEEDS)
    assert np.all(task.evaluate(state, CONFIG, "test")["accuracy"] > 0.9)
    other = data | {"el": replace(data["el"], train=replace(data["el"].train, names=("y", "x")))}
    assert "classes x, y and of y, x" in message(topics, other, ByteTokenizer(), CONFIG, ("en",))


def test_what_cannot_be_tuned_is_refused() -> None:
    task, theta = tagging("en", "el"), models(0, 1)
    with pytest.raises(ValueError, match="1 seeds"):
        tune(theta, CONFIG, task, TUNING, seeds=(1,))
    with pytest.raises(ValueError, match=r"mask of wte\.weight"):
        tune(theta, CONFIG, task, TUNING, {"wte.weight": np.ones((2, 257, 16))}, seeds=SEEDS)
    with pytest.raises(ValueError, match="give \\(2, 16, 64\\)"):
        tune(theta, CONFIG, task, TUNING, {"h.0.mlp.c_fc.weight": np.ones((16, 64))}, seeds=SEEDS)
    broken = theta | {"ln_f.bias": np.full((2, 16), np.nan)}
    assert "the loss is not finite after 60 updates" in message(
        lambda: tune(broken, CONFIG, task, TUNING, seeds=SEEDS)
    )
    assert "no dev of 'en' in this task: choose from en train, en test" in message(
        task.evaluate, theta, CONFIG, "dev"
    )
    assert "no train of 'fr'" in message(tagging("fr").batch, 0, (0,))
