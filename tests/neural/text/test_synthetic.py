from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from neural.text.corpus import load
from neural.text.synthetic import ALPHABETS, SENTENCES, Grammar, language, meanings, read
from sim.runs.errors import UserError

SMALL = Grammar(sentences=6000, held_out=600)


def words(splits, part="train"):
    return " ".join(item.text for item in splits[part]).replace(".", " .").split()


def entropy(counts):
    """Bits, of the empirical distribution."""
    p = np.array(list(counts.values())) / sum(counts.values())
    return float(-(p * np.log2(p)).sum())


def test_the_same_seed_says_the_same():
    assert read(SMALL, "s2") == read(SMALL, "s2")
    first, second = (meanings(replace(SMALL, seed=seed), 100, (3,)) for seed in (0, 1))
    assert (first.verb != second.verb).any()
    other = read(replace(SMALL, seed=1), "s2")
    for part in ("train", "valid", "test"):
        assert read(SMALL, "s2")[part] != other[part]


def test_parts_are_as_long_as_asked():
    grammar = replace(SMALL, sentences=50, held_out=26)
    splits = read(grammar, "s1")
    assert [len(item.passages) for item in splits["train"]] == [SENTENCES] * 4 + [2]
    assert [len(splits[part]) for part in ("valid", "test")] == [3, 3]
    assert [len(item.ids) for item in splits["test"]] == [SENTENCES, SENTENCES, 2]


def said(splits, name):
    """What each sentence says, read back into concepts by the language's own forms."""
    spoken = language(SMALL, name)
    concept = {spoken.forms[spoken.at]: ("at", 0, 0)}
    for kind in ("nouns", "verbs", "adjectives"):
        table = getattr(spoken, kind)
        for index, forms in enumerate(table.reshape(len(table), -1)):
            for number, form in enumerate(forms):
                concept[spoken.forms[form]] = (kind, index, number)
    assert len(concept) == len(spoken.forms)  # no two things are spelt alike
    return [
        Counter(concept[word] for word in text.removesuffix(".").split())
        for item in splits
        for text in item.passages
    ]


def test_held_out_sentences_are_translations():
    for part in ("valid", "test"):
        first, two, four = (read(SMALL, name)[part] for name in ("s1", "s2", "s4"))
        assert (
            [item.ids for item in first]
            == [item.ids for item in two]
            == [item.ids for item in four]
        )
        assert len(said(first, "s1")) == 600
        assert said(first, "s1") == said(two, "s2") == said(four, "s4")
    assert said(first, "s1") != said(read(SMALL, "s1")["valid"], "s1")


def test_training_text_is_no_translation():
    """The n-th sentences of two languages hardly ever say the same, as chance has it."""
    first, two = (read(SMALL, name)["train"] for name in ("s1", "s2"))
    same = [a == b for a, b in zip(said(first, "s1"), said(two, "s2"), strict=True)]
    assert np.mean(same) < 0.01
    assert not any(item.ids for item in first)


def test_verbs_agree_with_their_subjects_and_choose_their_objects():
    spoken = language(SMALL, "s1")  # subject, verb, object
    said = meanings(SMALL, 2000, (9,))
    number_of = {
        spoken.forms[form]: number for row in spoken.nouns for number, form in enumerate(row)
    }
    verbs = {
        spoken.forms[form]: (verb, number)
        for verb, table in enumerate(spoken.verbs)
        for tense in table
        for number, form in enumerate(tense)
    }
    noun_of = {spoken.forms[form]: noun for noun, row in enumerate(spoken.nouns) for form in row}
    for text in spoken.sentences(said):
        sentence = text.removesuffix(".").split(f" {spoken.forms[spoken.at]} ")[0].split()
        place = next(index for index, word in enumerate(sentence) if word in verbs)
        verb, number = verbs[sentence[place]]
        (subject,) = [word for word in sentence[:place] if word in noun_of]
        assert number_of[subject] == number
        for word in sentence[place + 1 :]:
            if word in noun_of:
                assert noun_of[word] % SMALL.classes == verb % SMALL.classes


@pytest.mark.parametrize(("name", "order"), [("s1", "SVO"), ("s2", "SOV"), ("s3", "VSO")])
def test_orders_and_alphabets_differ(name, order):
    spoken = language(SMALL, name)
    said = meanings(replace(SMALL), 300, (9,))
    nouns, verbs = ({spoken.forms[f] for f in t.ravel()} for t in (spoken.nouns, spoken.verbs))
    seen = Counter()
    for text in spoken.sentences(said):
        sentence = text.removesuffix(".").split(f" {spoken.forms[spoken.at]} ")[0].split()
        seen["".join("N" if w in nouns else "V" for w in sentence if w in nouns | verbs)] += 1
    bare = order.replace("S", "N").replace("O", "N")
    assert set(seen) == {bare, order.replace("O", "").replace("S", "N")}
    letters = set("".join(ALPHABETS[int(name[1]) - 1]))
    assert set("".join(spoken.forms)) <= letters


@pytest.mark.parametrize("shared", [0.0, 0.4, 1.0])
def test_a_share_of_the_stems_is_common(shared):
    grammar = replace(SMALL, shared=shared)
    first, second = (language(grammar, name) for name in ("s1", "s2"))
    singular = [[spoken.forms[form] for form in spoken.nouns[:, 0]] for spoken in (first, second)]
    same = np.mean([a == b for a, b in zip(*singular, strict=True)])
    # 240 nouns: a standard deviation of at most 0.032
    assert abs(same - shared) < 0.13
    assert (same == shared) or 0 < shared < 1


def test_there_is_something_to_learn_near_and_far():
    """A word is hard to guess alone, easier after the one before it, and easier still in its document."""
    splits = read(Grammar(sentences=60_000, held_out=600), "s1")
    text = words(splits)
    alone = entropy(Counter(text))
    pair = entropy(Counter(pairwise(text))) - alone
    assert 6.5 < alone < 8.5
    assert pair < 0.8 * alone
    subjects = meanings(Grammar(), 60_000, (9,)).subject
    elsewhere = np.random.default_rng(0).permutation(subjects)
    near, far = (
        np.mean([len(set(document)) for document in drawn.reshape(-1, SENTENCES).tolist()])
        for drawn in (subjects, elsewhere)
    )
    assert near < 0.85 * far


def test_frequencies_follow_zipf():
    """The r-th most frequent verb of n sentences comes n / (r + 1) / H times, within 5 standard deviations."""
    said = meanings(SMALL, 60_000, (9,))
    counts = np.bincount(said.verb, minlength=SMALL.verbs)
    expected = 1 / np.arange(2, SMALL.verbs + 2)
    expected *= 60_000 / expected.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("name", ["en", "s", "s0", "s-1", "s01", "s١", "S1", "s1.5"])
def test_unknown_languages_are_refused(name):
    with pytest.raises(UserError, match="s1, s2, s3"):
        read(SMALL, name)
    with pytest.raises(UserError, match="unknown language"):
        load(["synthetic"], [name])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"nouns": 3}, "3 nouns for 8 classes"),
        ({"classes": 0}, "classes is 0"),
        ({"held_out": 3}, "held_out is 3"),
        ({"shared": -0.1}, "shared is -0.1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_families_that_cannot_be_are_refused(change, part):
    with pytest.raises(UserError, match=part):
        read(replace(SMALL, **change), "s1")
