import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from neural.text import tokens as tokens_
from neural.text.corpus import Corpus, load
from neural.text.documents import SPLITS
from neural.text.tokenizer import ByteTokenizer, train
from neural.text.tokens import INDEX, STALE, store
from sim.runs.errors import UserError


@pytest.fixture(scope="module")
def corpus():
    return load(["synthetic:sentences=600,held_out=60"])


class Counting(ByteTokenizer):
    """Bytes, counting the texts it was given."""

    def __init__(self):
        self.texts = 0

    def encode_all(self, texts):
        self.texts += len(texts)
        return super().encode_all(texts)


class Failing(ByteTokenizer):
    """Bytes that run out of disk in the middle."""

    def encode_all(self, texts):
        raise OSError(28, "No space left on device")


def only(folder):
    (path,) = folder.iterdir()
    return path


def test_ids_are_the_documents_each_with_its_end(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens_, "AT_ONCE", 1000)  # many batches
    tokenizer = train(corpus, 400)
    made = store(corpus, tokenizer, tmp_path)
    for language in corpus.languages:
        for split in SPLITS:
            tokens, documents = made[language, split], corpus.documents(language, split)
            assert len(tokens.ends) == len(tokens.sizes) == len(documents) > 1
            for index, item in enumerate(documents):
                ids = tokens.document(index)
                assert ids[-1] == tokenizer.end_of_text
                np.testing.assert_array_equal(ids[:-1], tokenizer.encode(item.text))
                assert tokens.sizes[index] == len(item.text.encode())
            assert tokens.ends[-1] == len(tokens.ids)
            assert tokens.bytes == sum(len(item.text.encode()) for item in documents)
    assert made.streams().keys() == set(corpus.languages)
    assert made.streams("valid")["s2"] is made["s2", "valid"].ids


def test_ids_are_mapped_and_cannot_be_changed(corpus, tmp_path):
    ids = store(corpus, ByteTokenizer(), tmp_path)["s1", "train"].ids
    assert isinstance(ids, np.memmap)
    assert ids.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1


def test_large_vocabularies_take_32_bits(corpus, tmp_path):
    class Large(ByteTokenizer):
        vocabulary = 2**16 + 1
        end_of_text = 2**16

    tokens = store(corpus, Large(), tmp_path)["s1", "valid"]
    assert tokens.ids.dtype == np.uint32
    assert tokens.ids[tokens.ends[0] - 1] == 2**16


def test_a_language_is_encoded_once(corpus, tmp_path):
    tokenizer = Counting()
    store(Corpus({"s1": corpus.texts["s1"]}), tokenizer, tmp_path)
    alone = tokenizer.texts
    bilingual = store(corpus, tokenizer, tmp_path)
    assert tokenizer.texts == alone + sum(len(corpus.documents("s2", split)) for split in SPLITS)
    again = store(corpus, tokenizer, tmp_path)
    assert tokenizer.texts == 2 * alone
    assert again.fingerprint == bilingual.fingerprint
    other = train(corpus, 300)
    assert store(corpus, other, tmp_path).fingerprint != bilingual.fingerprint
    assert len(list(tmp_path.iterdir())) == 4


def test_a_language_without_text_in_a_split_has_no_ids(tmp_path, corpus):
    splits = {**corpus.texts["s1"], "train": []}
    tokens = store(Corpus({"s1": splits}), ByteTokenizer(), tmp_path)["s1", "train"]
    assert len(tokens.ids) == len(tokens.ends) == tokens.bytes == 0


def build(folder, barrier, queue):
    corpus = load(["synthetic:sentences=6000,held_out=60"])
    barrier.wait()
    made = store(corpus, ByteTokenizer(), folder)
    queue.put([int(made[language, "train"].ids.sum()) for language in corpus.languages])


def test_two_processes_at_once_get_the_same(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    workers = [context.Process(target=build, args=(tmp_path, barrier, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    sums = [queue.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    assert sums[0] == sums[1]
    assert len(list(tmp_path.iterdir())) == 2


def test_who_comes_second_takes_the_other_s_result(corpus, tmp_path):
    """The other process finishes between the look for its folder and the renaming of ours."""

    class Overtaken(ByteTokenizer):
        def encode_all(self, texts):
            if not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]:
                store(monolingual, ByteTokenizer(), tmp_path)
            return super().encode_all(texts)

    monolingual = Corpus({"s1": corpus.texts["s1"]})
    made = store(monolingual, Overtaken(), tmp_path)
    assert made["s1", "train"].ids[0] == ord(corpus.documents("s1", "train")[0].text[0])
    assert not only(tmp_path).name.startswith(".")


def test_a_full_disk_leaves_nothing(corpus, tmp_path):
    with pytest.raises(UserError, match="No space left on device") as caught:
        store(corpus, Failing(), tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())
    store(corpus, ByteTokenizer(), tmp_path / "cache")


def test_a_folder_that_cannot_be_made_is_refused(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write tokens"):
        store(corpus, ByteTokenizer(), tmp_path / "file")


def test_what_a_killed_process_left_goes_after_a_day(corpus, tmp_path):
    for name, age in ((".old.tmp", STALE + 60), (".new.tmp", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    store(Corpus({"s1": corpus.texts["s1"]}), ByteTokenizer(), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert ".new.tmp" in names
    assert ".old.tmp" not in names


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("train.ids", lambda content: content[:-2]),
        ("train.ids", lambda content: content + b"\0\0"),
        ("train.ends.npy", lambda content: content[:40]),
        ("train.ends.npy", lambda _: b""),
        ("train.sizes.npy", lambda _: None),
        (INDEX, lambda _: b"{"),
        (INDEX, lambda _: json.dumps({"dtype": "nonsense"}).encode()),
        (INDEX, lambda _: b"{}"),
    ],
)
def test_damaged_tokens_are_refused(corpus, tmp_path, name, change):
    monolingual = Corpus({"s1": corpus.texts["s1"]})
    store(monolingual, ByteTokenizer(), tmp_path)
    path = only(tmp_path) / name
    content = change(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="delete that folder") as caught:
        store(monolingual, ByteTokenizer(), tmp_path)
    assert str(only(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_parts_are_refused(corpus, tmp_path):
    made = store(corpus, ByteTokenizer(), tmp_path)
    with pytest.raises(UserError, match="unknown language 'en': these tokens are of s1, s2"):
        made["en", "train"]
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        made["s1", "dev"]
