from dataclasses import replace

import jax
import numpy as np
import pytest

from neural.gpt import checkpoint
from neural.gpt.config import ModelConfig
from neural.gpt.model import states
from neural.study import real
from neural.study.real import Bilingual, Pair, Sentences, aligned, load, pooled_cosines
from neural.text import tokenizer
from neural.text.corpus import Corpus
from neural.text.corpus import load as load_corpus
from neural.text.documents import SPLITS, Document
from neural.text.tokenizer import ByteTokenizer
from neural.train.data import batch, mixtures, windows
from neural.train.loop import train
from tests.neural import small_run
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message

V = 264
LANGUAGES = ("s1", "s2")
DISJOINT = Pair(LANGUAGES, "disjoint", 2 * V)
SHARED = Pair(LANGUAGES, "shared", 2 * V)


@pytest.fixture(scope="module")
def corpus():
    return load_corpus(["synthetic:sentences=600,held_out=60,shared=0.5"], ("s1", "s2", "s3"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def disjoint(corpus, place):
    return load(DISJOINT, corpus, place / "made", place / "cache")


@pytest.fixture(scope="module")
def shared(corpus, place):
    return load(SHARED, corpus, place / "made", place / "cache")


def test_disjoint_languages_share_the_end_of_text_alone(disjoint, corpus):
    first, second = (disjoint.tokenizers[name] for name in LANGUAGES)
    assert disjoint.end_of_text == first.end_of_text
    for split, stored in ((split, disjoint.tokens["s2", split].ids) for split in SPLITS):
        ids = disjoint.encode(stored, "s2")
        end = stored == second.end_of_text
        assert (ids[end] == first.end_of_text).all(), split
        assert (ids[~end] == stored[~end] + V).all()
    np.testing.assert_array_equal(disjoint.test("s1").ids, disjoint.tokens["s1", "test"].ids)
    ids = disjoint.test("s2").document(3)
    assert ids[-1] == first.end_of_text
    assert second.decode(ids[:-1] - V) == corpus.documents("s2", "test")[3].text


def test_shared_pieces_are_one_id(shared, corpus):
    joint = shared.tokenizers["s1"]
    assert joint.vocabulary == 2 * V
    assert shared.data().encode == {}
    for name in LANGUAGES:
        ids = shared.test(name).document(3)
        assert joint.decode(ids[:-1]) == corpus.documents(name, "test")[3].text
    assert set(shared.ids("s1")) & set(shared.ids("s2"))


def test_a_language_s_tokenizer_is_that_of_its_text_alone(disjoint, shared, corpus):
    for name in LANGUAGES:
        alone = tokenizer.train(Corpus({name: corpus.texts[name]}), V)
        assert disjoint.tokenizers[name].fingerprint == alone.fingerprint
    joint = tokenizer.train(Corpus({name: corpus.texts[name] for name in LANGUAGES}), 2 * V)
    assert shared.tokenizers["s2"].fingerprint == joint.fingerprint


def test_tokenizers_are_learnt_once(disjoint, corpus, place, monkeypatch):
    monkeypatch.setattr(tokenizer, "train", None)
    again = load(DISJOINT, corpus, place / "made", place / "cache")
    assert again.fingerprint == disjoint.fingerprint
    for key, text in disjoint.tokens.items():
        np.testing.assert_array_equal(again.tokens[key].ids, text.ids)
    turned = load(
        replace(DISJOINT, languages=LANGUAGES[::-1]), corpus, place / "made", place / "cache"
    )
    assert turned.fingerprint != disjoint.fingerprint


def test_kinds_and_texts_have_fingerprints_of_their_own(disjoint, shared, corpus, tmp_path):
    other = load(replace(DISJOINT, languages=("s1", "s3")), corpus, tmp_path, tmp_path / "cache")
    assert len({disjoint.fingerprint, shared.fingerprint, other.fingerprint}) == 3


@pytest.mark.parametrize("kind", ["disjoint", "shared"])
def test_counts_are_of_the_training_text(kind, request):
    text = request.getfixturevalue(kind)
    for name in LANGUAGES:
        ids = text.encode(text.tokens[name, "train"].ids, name)
        counts = text.counts(name)
        assert counts.sum() == len(ids)
        assert counts.shape == (2 * V,)
        for token in (text.end_of_text, *ids[:20]):
            assert counts[token] == (ids == token).sum()
        assert set(text.ids(name)) == set(ids) - {text.end_of_text}
        assert text.ids(name, 50).tolist() == sorted(set(np.flatnonzero(counts >= 50)) - {0})


def test_ids_of_a_language(disjoint, shared):
    assert disjoint.end_of_text == 0
    assert disjoint.ids("s1", 0).tolist() == list(range(1, V))
    assert disjoint.ids("s2", 0).tolist() == list(range(V + 1, 2 * V))
    assert disjoint.ids("s1", alone=True).tolist() == disjoint.ids("s1").tolist()
    first, other = (set(shared.ids(name, 5)) for name in LANGUAGES)
    assert set(shared.ids("s1", 5, alone=True)) == first - other != first
    assert set(shared.ids("s2", 5, alone=True)) == other - first


def test_a_model_reads_each_sequence_in_one_language(disjoint, tmp_path):
    data = disjoint.data()
    config = small_run.config(
        model=replace(small_run.MODEL, vocabulary=2 * V),
        languages=("s1:0.75,s2:0.25",),
        batch=8,
    )
    assert isinstance(data.train["s1"], np.memmap)
    assert data.train["s1"] is not data.train["s2"]
    (mixture,) = mixtures(config, data)
    for step in range(3):
        tokens, plain = batch(config, (mixture,), step, data.encode)[0, 0], mixture.batch(0, step)
        second = plain[1] == 1
        assert second.sum() == 2
        np.testing.assert_array_equal(tokens[~second], plain[0][~second])
        np.testing.assert_array_equal(tokens[second], disjoint.encode(plain[0][second], "s2"))
        assert (tokens[second].max(axis=1) >= V).all()
    first, other = windows(config, data)
    assert first.max() < V < other.max()
    assert ((other > V) | (other == 0)).all()
    for name in LANGUAGES:
        text = disjoint.tokens[name, "valid"]
        assert data.tokens_per_byte[name] == len(text.ids) / text.bytes
    run = train(config, tmp_path / "run", data=data)
    assert checkpoint.load(run.folder).tokens == {"s1": 1152, "s2": 384}
    losses = [line["loss"] for line in small_run.lines(run.folder) if line["kind"] == "valid"]
    assert max(losses[-2:]) < min(losses[:2]) - 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocabulary": "joint"}, "unknown vocabulary 'joint': choose from shared, disjoint"),
        ({"languages": ("s1", "s1")}, "s1 twice"),
        ({"size": 529}, "529 ids for s1 and s2: give an even number"),
        ({"languages": ("s1", "en")}, "unknown language 'en': this corpus has s1, s2, s3"),
        ({"size": 200}, "give at least 257"),
    ],
)
def test_impossible_pairs_are_refused(options, words, corpus, tmp_path):
    assert words in message(load, replace(DISJOINT, **options), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_tokenizer_in_the_folder_is_refused(corpus, tmp_path):
    tokenizer.save(ByteTokenizer(), tmp_path / f"tokenizer-s1-{V}.json")
    assert f"has 257 ids, not {V}: delete it" in message(load, DISJOINT, corpus, tmp_path)
    (tmp_path / "file").write_text("")
    assert "cannot write to" in message(load, DISJOINT, corpus, tmp_path / "file" / "out")


# The same sentences in both languages.


def bytes_of(*languages):
    """Bytes twice, with no text of their own."""
    tables = {name: np.arange(257, dtype=np.uint32) for name in languages}
    tables[languages[1]] = np.append(np.arange(256) + 257, 256).astype(np.uint32)
    pair = Pair(languages, "disjoint", 514)
    return Bilingual(pair, dict.fromkeys(languages, ByteTokenizer()), tables, {}, "bytes")


def passages(**test):
    """A corpus whose languages have these passages, by id, in their test text."""
    return Corpus(
        {
            name: {
                "train": [Document("train", ("t",), ("9",))],
                "valid": [],
                "test": [Document("test", tuple(by_id.values()), tuple(by_id))],
            }
            for name, by_id in test.items()
        }
    )


def test_aligned_sentences_are_padded_row_by_row():
    corpus = passages(
        en={"1": "ab", "2": "left out", "3": "c", "4": "c", "8": "too long", "9": "t"},
        el={"4": "xyz", "3": "xyz", "1": "u", "8": "v", "7": "w"},
    )
    (first, other), reason = aligned(bytes_of("en", "el"), corpus, context=8)
    assert reason == ""
    e = 256
    assert first.ids.tolist() == [[e, 97, 98, e], [e, 99, e, e]]
    assert other.ids.tolist() == [[e, 117 + 257, e, e], [e, 120 + 257, 121 + 257, 122 + 257]]
    assert first.lengths.tolist() == [2, 1]
    assert other.lengths.tolist() == [1, 3]


def test_without_aligned_sentences_there_is_a_reason():
    text = bytes_of("en", "el")
    corpus = passages(en={"1": "ab", "2": "cd"}, el={"1": "xyz", "2": "uv"})
    assert aligned(text, corpus, context=3) == (
        None,
        "1 of 2 aligned sentences of en and el fit into 3 ids",
    )
    apart = passages(en={"1": "ab"}, el={"2": "x"})
    pairs, reason = aligned(text, apart, context=3)
    assert pairs is None
    assert reason == "no sentence of the test text of en and el is aligned"


def test_translations_of_the_held_out_text_are_spread_over_it(disjoint, corpus):
    (first, other), _ = aligned(disjoint, corpus, context=64, most=5)
    pairs = list(dict.fromkeys(corpus.aligned("test", *LANGUAGES).values()))
    decoded = [
        (
            disjoint.tokenizers["s1"].decode(a[1 : m + 1]),
            disjoint.tokenizers["s2"].decode(b[1 : n + 1] - V),
        )
        for a, m, b, n in zip(first.ids, first.lengths, other.ids, other.lengths, strict=True)
    ]
    assert len(decoded) == 5
    assert decoded[0] == pairs[0]
    assert decoded[-1] == pairs[-1]
    assert set(decoded) <= set(pairs)


MODEL = ModelConfig(layers=1, width=16, heads=2, context=12, vocabulary=514)


def sentences():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 6, 1, 5])
    place = np.arange(7)
    ids = np.where((place > 0) & (place <= lengths[:, None]), rng.integers(256, size=(4, 7)), 256)
    first = Sentences(ids.astype(np.int32), lengths)
    other = Sentences(np.where(ids == 256, 256, ids + 257).astype(np.int32), lengths)
    return first, other


def test_pooled_states_by_their_definition():
    first, other = sentences()
    other = replace(other, lengths=np.array([2, 6, 1, 4]))
    parameters = random_parameters(MODEL)
    cosines = pooled_cosines(parameters, MODEL, first, other)
    pooled = []
    for side in (first, other):
        x = np.asarray(jax.jit(states, static_argnums=2)(parameters, side.ids, MODEL), np.float64)
        means = [x[:, n, 1 : 1 + m].mean(axis=1) for n, m in enumerate(side.lengths)]
        pooled.append(
            np.stack([mean / np.linalg.norm(mean, axis=1, keepdims=True) for mean in means])
        )
    every = np.einsum("nld,mld->lnm", *pooled)
    same = np.eye(4, dtype=bool)
    # float32 means of some tens of numbers of the size of 1
    np.testing.assert_allclose(cosines.paired, every[:, same].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(cosines.unpaired, every[:, ~same].mean(axis=1), atol=1e-5)
    assert cosines.paired.shape == (2,)


def test_sentences_of_languages_that_are_one_to_the_model_have_cosine_1():
    first, other = sentences()
    parameters = random_parameters(MODEL)
    parameters["wte.weight"][257:] = parameters["wte.weight"][:257]
    cosines = pooled_cosines(parameters, MODEL, first, other)
    np.testing.assert_allclose(cosines.paired, 1, atol=1e-5)
    assert (cosines.unpaired < 0.99).all()


def test_padding_is_not_pooled():
    first, other = sentences()
    parameters = random_parameters(MODEL)
    padding = np.arange(7) > first.lengths[:, None]
    changed = replace(first, ids=np.where(padding, 7, first.ids).astype(np.int32))
    expected, cosines = (pooled_cosines(parameters, MODEL, x, other) for x in (first, changed))
    np.testing.assert_array_equal(cosines.paired, expected.paired)
    assert real._pooled_program(MODEL, real.DEFAULT)._cache_size() == 1


def test_sentences_have_to_be_pairs():
    first, other = sentences()
    with pytest.raises(ValueError, match="row by row"):
        pooled_cosines({}, MODEL, first, replace(other, ids=other.ids[:3]))
