"""What study B22 probes: invented sentences parsed, words and their heads, wrong arcs and wrong translations."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neural.dynamics import examples
from neural.dynamics.examples import NOWHERE, Examples, Words
from neural.dynamics.xnli import inferences
from neural.measures.words import encoded_words
from neural.text.invented import answers, parsed
from neural.text.synthetic import Grammar, language, meanings
from neural.text.tokenizer import ByteTokenizer
from neural.text.treebank import Sentence
from neural.tune.arcs import RELATIONS
from neural.tune.tagging import UPOS
from tests.neural.refusal import message

LANGUAGES = ("s1", "s2", "s3", "s4")
"""One of each order of words."""


@pytest.fixture(scope="module")
def invented() -> tuple[Any, dict[str, list[str]]]:
    said = meanings(Grammar(), 200, [7])
    return said, {name: language(Grammar(), name).sentences(said) for name in LANGUAGES}


def test_invented_sentences_are_parsed_as_they_were_meant(invented: Any) -> None:
    said, texts = invented
    for name, rows in texts.items():
        spoken = language(Grammar(), name)
        for i, item in enumerate(parsed(rows, name)):
            assert [item.text[a:b] for a, b in item.spans] == list(item.words)
            words = dict(zip(item.relations, item.words, strict=True))
            assert (
                words["root"]
                == spoken.forms[
                    spoken.verbs.reshape(-1, 2, 2)[
                        said.verb[i], said.tense[i], said.subject_number[i]
                    ]
                ]
            )
            assert (
                words["nsubj"]
                == spoken.forms[spoken.nouns[said.subject[i], said.subject_number[i]]]
            )
            assert ("obj" in words) == (said.object[i] >= 0)
            assert ("obl" in words) == ("case" in words) == (said.place[i] >= 0)
            described = {
                item.relations[item.heads[place] - 1]
                for place, relation in enumerate(item.relations)
                if relation == "amod"
            }
            has_object = said.object[i] >= 0 and said.object_adjective[i] >= 0
            assert ("obj" in described) == has_object
            assert ("nsubj" in described) == (said.subject_adjective[i] >= 0)
            assert item.upos[item.root] == "VERB"


def test_answers_stand_for_each_other(invented: Any) -> None:
    _, texts = invented
    forms: dict[tuple[str, str], set[str]] = {}
    for side in answers(texts):
        for name in LANGUAGES[1:]:
            forms.setdefault((name, side["s1"].form), set()).add(side[name].form)
    assert len(forms) > 100
    assert {len(translations) for translations in forms.values()} == {
        1
    }  # the same word for the same


def test_words_of_another_grammar_are_refused() -> None:
    assert "'hello' is no word of s1" in message(parsed, ["hello."], "s1")


SENTENCE = Sentence(
    "one",
    "im Haus ist es schön",
    ("in", "dem", "Haus", "ist", "es", "schön"),
    ((0, 2), (0, 2), (3, 7), (8, 11), (12, 14), (15, 20)),
    ("ADP", "DET", "NOUN", "AUX", "PRON", "ADJ"),
    (3, 3, 6, 6, 6, 0),
    ("case", "det", "obl", "cop", "nsubj:x", "root"),
    ({},) * 6,
)
SHORT = Sentence("two", "ja", ("ja",), ((0, 2),), ("INTJ",), (0,), ("root",), ({},))


def words(context: int) -> Words:
    rows = [SHORT, SENTENCE, SENTENCE]
    return examples.words(encoded_words(rows, ByteTokenizer(), context), rows)


def test_words_know_their_heads_among_those_that_fit() -> None:
    text_words = words(context=32)
    assert text_words.sentence.tolist() == [0] + [1] * 6 + [2] * 6
    assert text_words.head.tolist() == [NOWHERE, 3, 3, 6, 6, 6, NOWHERE, 9, 9, 12, 12, 12, NOWHERE]
    assert text_words.forms[1:7] == SENTENCE.words
    assert [UPOS[i] for i in text_words.upos[1:7]] == list(SENTENCE.upos)
    assert RELATIONS[text_words.relation[5]] == "nsubj"  # without its subtype
    cut = words(context=16)  # without schön
    assert cut.head.tolist() == [NOWHERE, 3, 3, *[NOWHERE] * 3, 8, 8, *[NOWHERE] * 3]
    assert "no word fits" in message(lambda: words(context=2))


def test_arcs_are_half_right_and_half_of_the_same_words_with_others() -> None:
    text_words = words(context=32)
    drawn = [examples.arcs(text_words, 12, [draw]) for draw in range(40)]
    for arcs in drawn:
        n = len(arcs) // 2
        assert arcs.labels.tolist() == [1] * n + [0] * n
        assert arcs.other is not None
        np.testing.assert_array_equal(arcs.one[:n], arcs.one[n:])
        np.testing.assert_array_equal(arcs.other[:n], text_words.head[arcs.one[:n]])
        wrong, dependents = arcs.other[n:], arcs.one[n:]
        assert (wrong != dependents).all()
        assert (wrong != text_words.head[dependents]).all()
        np.testing.assert_array_equal(text_words.sentence[wrong], text_words.sentence[dependents])
    assert np.array_equal(drawn[0].other, examples.arcs(text_words, 12, [0]).other)
    first = {int(arcs.other[6]) for arcs in drawn if arcs.other is not None}
    assert first == {2, 4, 5, 6}  # of word 1, whose head is 3: all else


def test_relations_are_those_of_arcs() -> None:
    relations = examples.related(words(context=32), 5)
    assert [RELATIONS[i] for i in relations.labels] == ["case", "obl", "nsubj", "det", "nsubj"]
    assert relations.types[0] == ("in", "Haus")
    assert relations.majority == 0.4


def test_one_side_of_a_pair_tells_nothing() -> None:
    rows = np.arange(10, 30)
    pairs = examples.paired(rows, [0])
    assert pairs.other is not None
    right = pairs.labels == 1
    np.testing.assert_array_equal(pairs.one[right], pairs.other[right])
    assert (pairs.one[~right] != pairs.other[~right]).all()
    for side in (pairs.one, pairs.other):
        for kept in (right, ~right):
            np.testing.assert_array_equal(np.sort(side[kept]), rows)
    assert not np.array_equal(examples.paired(rows, [1]).other, pairs.other)


def test_features_of_a_pair() -> None:
    states = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    pair = Examples(np.array([0, 2]), np.array([1, 1]), np.array([1, 0]), 2)
    X = np.asarray(pair.part(states, states + 1).features)
    assert X.shape == (2, 2, 12)
    h1, h2 = states[1, 2], states[1, 1] + 1
    np.testing.assert_array_equal(X[1, 1], np.concatenate([h1, h2, h1 * h2]))
    alone = Examples(np.array([2]), None, np.array([0]), 2)
    np.testing.assert_array_equal(np.asarray(alone.part(states).features), states[:, 2:])


def test_xnli_is_read_by_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, language: str, split: str) -> list[dict[str, Any]]:
        asked.append((name, language, split))
        if language == "xx":
            raise ValueError("no\nsuch configuration")
        return [{"premise": "a", "hypothesis": "b", "label": 2}] * 3

    fake = ModuleType("datasets")
    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    loaded = inferences("de", "dev", 3)
    assert asked == [("facebook/xnli", "de", "validation[:3]")]
    assert (loaded.premises, loaded.labels) == (("a",) * 3, (2,) * 3)
    assert "cannot read xnli in xx (no such configuration)" in message(inferences, "xx", "dev", 3)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "xnli needs the datasets package" in message(inferences, "de", "dev", 3)
