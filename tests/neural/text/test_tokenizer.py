import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.text import tokenizer as tokenizers_
from neural.text.corpus import Corpus, load
from neural.text.documents import Document
from neural.text.tokenizer import END_OF_TEXT, ByteTokenizer, balanced_sample, save, train
from sim.runs.errors import UserError
from tests.strategies import seeded

SPEC = ["synthetic:sentences=6000,held_out=600"]


@pytest.fixture(scope="module")
def corpus():
    return load(SPEC)


@pytest.fixture(scope="module")
def pairs(corpus):
    return train(corpus, 600)


@pytest.fixture(scope="module", params=["bytes", "pairs"])
def tokenizer(request):
    return ByteTokenizer() if request.param == "bytes" else request.getfixturevalue("pairs")


def made(**languages):
    """A corpus of one training document a text."""
    return Corpus(
        {
            language: {
                "train": [Document(str(i), (text,)) for i, text in enumerate(texts)],
                "valid": [Document("v", ("held out" * 100,))],
                "test": [],
            }
            for language, texts in languages.items()
        }
    )


@seeded
@given(text=st.text() | st.text(alphabet=" \n\ta<|endoftext|>τλ中🙂"))
def test_text_comes_back_unchanged(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert tokenizer.decode(ids) == text
    assert not len(ids) or 0 <= ids.min() <= ids.max() < tokenizer.vocabulary
    assert tokenizer.end_of_text not in ids
    (again,) = tokenizer.encode_all([text])
    np.testing.assert_array_equal(ids, again)


def test_the_mark_between_documents_is_no_text(tokenizer):
    ids = tokenizer.encode(f"a{END_OF_TEXT}b")
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == f"a{END_OF_TEXT}b"
    marked = [*tokenizer.encode("a"), tokenizer.end_of_text, *tokenizer.encode("b")]
    assert tokenizer.decode(marked) == f"a{END_OF_TEXT}b"
    assert tokenizer.decode([tokenizer.end_of_text] * 2) == END_OF_TEXT * 2
    assert tokenizer.decode([]) == ""


def test_half_a_character_becomes_a_replacement(tokenizer):
    assert "\ufffd" in tokenizer.decode(tokenizer.encode("中🙂")[:-1])


def test_a_tokenizer_comes_back_from_its_file(tokenizer, tmp_path):
    save(tokenizer, tmp_path / "tokenizer.json")
    again = tokenizers_.load(tmp_path / "tokenizer.json")
    assert type(again) is type(tokenizer)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.vocabulary == tokenizer.vocabulary
    text = f"tivub λέξη {END_OF_TEXT}\n"
    np.testing.assert_array_equal(again.encode(text), tokenizer.encode(text))
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_byte_pairs_fill_the_vocabulary_and_shorten_text(corpus, pairs):
    assert pairs.vocabulary == 600
    text = corpus.documents("s2", "valid")[0].text
    assert len(pairs.encode(text)) < 0.5 * len(text.encode())


TRAIN = """
from neural.text.corpus import load
from neural.text.tokenizer import train
print(train(load({spec!r}), 600).fingerprint)
"""


def test_another_process_learns_the_same(pairs):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN.format(spec=SPEC)],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout.strip() == pairs.fingerprint


def test_the_order_of_languages_does_not_matter(corpus, pairs):
    turned = Corpus({name: corpus.texts[name] for name in reversed(corpus.languages)})
    assert train(turned, 600).fingerprint == pairs.fingerprint


def test_a_sample_has_as_much_of_every_language():
    """In characters: the Greek language is as long as the other, in twice the bytes; the short one is repeated."""
    corpus = made(
        en=[f"{i:04d}" + "abcdef" * 9 for i in range(50)],
        el=["αβγδεζ" * 10] * 49,
        sw=["xyz" * 17] * 3,
    )
    counts = dict.fromkeys(("a", "α", "x"), 0)
    for text in balanced_sample(corpus, 10**9, 0):
        for letter in counts:
            if letter in text:
                counts[letter] += len(text)
        assert "held" not in text
    assert counts == dict.fromkeys(counts, 60 * 49)
    few = ["".join(text) for text in balanced_sample(corpus, 100, 0)]
    assert sum(map(len, few)) == 300
    other = ["".join(text) for text in balanced_sample(corpus, 100, 1)]
    assert few != other


def test_a_language_without_much_text_is_not_starved():
    """Its words become tokens though it is a hundredth of the corpus."""
    english = made(en=[" ".join(f"word{i}{j}" for j in range(50)) for i in range(200)])
    bilingual = made(
        en=[" ".join(f"word{i}{j}" for j in range(50)) for i in range(200)],
        el=["λέξη φράση κείμενο"] * 20,
    )
    assert len(train(english, 400).encode("λέξη φράση")) == len("λέξη φράση".encode())
    assert len(train(bilingual, 400).encode("λέξη φράση")) == 2


def test_vocabularies_that_cannot_be_are_refused():
    corpus = made(en=["only these words"])
    with pytest.raises(UserError, match="vocabulary of 256: give at least 257"):
        train(corpus, 256)
    with pytest.raises(UserError, match=r"gives a vocabulary of \d+, not 5000"):
        train(corpus, 5000)
    with pytest.raises(UserError, match="el has no training text"):
        train(made(en=["a"], el=[]), 300)
    assert train(corpus, 257).vocabulary == 257


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{}", "not a tokenizer"),
        (b"\xff", "cannot read"),
        (b'{"type": "byte"}\n', "not a tokenizer"),
        (None, "cannot read"),
    ],
)
def test_files_that_are_no_tokenizer_are_refused(tmp_path, content, part):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=part) as caught:
        tokenizers_.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_an_end_of_text_is_refused(pairs, tmp_path):
    content = json.loads(pairs.serialised())
    content["added_tokens"] = []
    del content["model"]["vocab"][END_OF_TEXT]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"no <.endoftext.>"):
        tokenizers_.load(path)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        save(ByteTokenizer(), tmp_path / "none" / "tokenizer.json")
