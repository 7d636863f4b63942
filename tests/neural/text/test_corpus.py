import gzip
import lzma
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neural.text import corpus as command
from neural.text.corpora import CORPORA
from neural.text.corpus import load
from neural.text.documents import BLOCK_BYTES, SPLITS, Document, blocks, split, without_repeats
from neural.text.files import normalise
from sim.runs.errors import UserError
from tests.places import SHARED
from tests.strategies import seeded

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no text in {DATA}")


def prose(paragraphs=400, seed=0, word="word"):
    """Lines of some hundred bytes, all different."""
    rng = np.random.default_rng(seed)
    return "\n".join(
        " ".join(f"{word}{number}" for number in rng.integers(1000, size=12)) + f" {line}."
        for line in range(paragraphs)
    )


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    pack = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(content))
    return path


def texts(corpus, language, name):
    return [item.text for item in corpus.documents(language, name)]


def refused(*specs, languages=None, parts=(), **options):
    with pytest.raises(UserError) as caught:
        load([str(spec) for spec in specs], languages, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


# What a document is, and how documents are divided.


@seeded
@given(st.text(alphabet="aλ \n", max_size=50_000 // 8).map(lambda text: text * 8))
def test_blocks_are_the_text(text):
    pieces = list(blocks(text))
    assert {item.separator for item in pieces} == {"\n\n" if "\n\n" in text else "\n"}
    assert pieces[0].separator.join(item.text for item in pieces) == text
    longest = max(len(passage) for item in pieces for passage in item.passages)
    for item in pieces[:-1]:
        assert BLOCK_BYTES <= len(item.text.encode()) + 2 < BLOCK_BYTES + longest + 4


def test_blocks_are_measured_in_bytes():
    """A Greek letter and its line end are three."""
    pieces = list(blocks("λ\n" * 5000))
    assert len(pieces[0].passages) == -(-BLOCK_BYTES // 3)


documents = st.lists(
    st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=4), min_size=3, max_size=40
).map(
    lambda drawn: [
        Document(
            f"d{number}", tuple(passages), tuple(f"{number}:{i}" for i in range(len(passages)))
        )
        for number, passages in enumerate(drawn)
    ]
)


@seeded
@given(documents, st.floats(0.01, 0.25))
def test_a_split_divides_and_starves_none(items, held_out):
    splits = split(items, held_out, "here")
    assert sorted(item.name for name in SPLITS for item in splits[name]) == sorted(
        item.name for item in items
    )
    assert all(splits[name] for name in SPLITS)
    for name in SPLITS:  # in their order
        numbers = [int(item.name[1:]) for item in splits[name]]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("part", SPLITS)
def test_three_documents_of_one_mind_are_still_divided(part):
    """Documents that all hash into the same split."""
    items = [Document(f"d{number}", (str(number),)) for number in range(200)]
    splits = split(split(items, 0.1, "here")[part][:3], 0.1, "here")
    assert [len(splits[name]) for name in SPLITS] == [1, 1, 1]


def test_documents_added_later_move_no_other():
    items = [Document(f"d{number}", (str(number),)) for number in range(4000)]
    before = split(items[:2000], 0.05, "here")
    after = split(items[::-1], 0.05, "here")
    for name in SPLITS:
        assert {item.name for item in before[name]} <= {item.name for item in after[name]}
        if name != "train":  # 200 of 4000 expected, standard deviation 14
            assert 140 < len(after[name]) < 260


@seeded
@given(documents)
def test_no_passage_is_in_two_splits(items):
    try:
        splits = without_repeats(split(items, 0.2, "here"), "here")
    except UserError as error:
        assume("repeats itself" not in str(error))
        raise
    passages = [{text for item in splits[name] for text in item.passages} for name in SPLITS]
    assert not passages[0] & passages[1]
    assert not (passages[0] | passages[1]) & passages[2]
    for name in SPLITS:
        for item in splits[name]:
            number = int(item.name[1:])
            assert [items[number].passages[int(key.split(":")[1])] for key in item.ids] == list(
                item.passages
            )


@pytest.mark.parametrize("held_out", [0.0, -1.0, 0.3, float("nan")])
def test_a_fraction_that_leaves_nothing_is_refused(tmp_path, held_out):
    path = write(tmp_path / "en.txt", prose())
    refused(path, held_out=held_out, parts=("held-out fraction", str(held_out)))


# Own files.


@pytest.mark.parametrize("suffix", ["txt", "txt.gz", "txt.xz", "gz", "xz", "md"])
def test_a_file_is_a_language(tmp_path, suffix):
    path = write(tmp_path / f"en.{suffix}", prose())
    corpus = load([str(path)])
    assert corpus.languages == ("en",)
    lines = [
        line for name in SPLITS for text in texts(corpus, "en", name) for line in text.split("\n")
    ]
    assert sorted(lines) == sorted(prose().split("\n"))


def test_the_split_is_the_text_s_own_whatever_it_is_called(tmp_path):
    original = load([str(write(tmp_path / "en.txt", prose()))])
    two = load(
        [str(write(tmp_path / "other" / "x.txt.gz", prose().replace("\n", "\r\n") + "\r\n"))]
    )
    for name in SPLITS:
        assert texts(original, "en", name) == texts(two, "x", name)


@pytest.mark.parametrize("before", [False, True])
def test_added_text_moves_no_other(tmp_path, before):
    """Before the text, a line that is a block by itself, so that the others are cut as they were."""
    text, added = prose(1000), "x" * BLOCK_BYTES if before else prose(300, seed=1)
    original = load([str(write(tmp_path / "en.txt", text))])
    combined = f"{added}\n{text}" if before else f"{text}\n{added}"
    two = load([str(write(tmp_path / "en.txt", combined))])
    for name in SPLITS:
        last = slice(None) if before else slice(-1)
        assert set(texts(original, "en", name)[last]) <= set(texts(two, "en", name))


def test_the_text_of_a_file_is_kept_as_it_is(tmp_path):
    """Indentation, trailing blanks and runs of empty lines; not the byte order mark."""
    text = "\n\n".join(f"  verse {i}  \n\tindented {i}\n" for i in range(2000))
    path = write(tmp_path / "en.txt", b"\xef\xbb\xbf" + text.encode())
    corpus = load([str(path)])
    for name in SPLITS:
        for item in corpus.documents("en", name):
            assert item.text in text


def test_a_folder_holds_a_file_or_folder_a_language(tmp_path):
    write(tmp_path / "en.txt", prose())
    for number in range(30):
        write(tmp_path / "el" / f"part{number % 3}" / f"{number}.txt", prose(3, number, "λέξη"))
    for name in ("LICENSE", ".hidden.txt"):
        write(tmp_path / "el" / name, "not text by its name")
    write(tmp_path / ".hidden.txt", "x")
    corpus = load([str(tmp_path)])
    assert corpus.languages == ("el", "en")
    names = [item.name for name in SPLITS for item in corpus.documents("el", name)]
    assert len(names) == 30
    assert f"{tmp_path.name}:part1/1.txt" in names
    labelled = load([f"greek={tmp_path / 'el'}"])
    assert sorted(t for name in SPLITS for t in texts(labelled, "greek", name)) == sorted(
        t for name in SPLITS for t in texts(corpus, "el", name)
    )


def test_files_named_by_split_are_taken_as_they_are(tmp_path):
    for name in SPLITS:
        write(tmp_path / f"en.{name}.txt.xz", prose(60, SPLITS.index(name)))
    corpus = load([str(tmp_path)])
    for name in SPLITS:
        assert "\n".join(texts(corpus, "en", name)) == prose(60, SPLITS.index(name))


def bible(folder, languages=("en", "el"), chapters=60):
    """Verses whose text in every language says which they are; one repeats a verse of another chapter in English."""
    ids = [f"Gen {chapter}:{verse}" for chapter in range(chapters) for verse in range(1, 11)]
    write(folder / "verses.txt.xz", "\n".join(ids) + "\n")
    for language in languages:
        write(folder / f"{language}.txt.xz", "\n".join(f"{language} {key}" for key in ids) + "\n")
    return ids


def test_verses_are_in_the_same_split_in_every_language(tmp_path):
    ids = bible(tmp_path / "b")
    corpus = load([str(tmp_path / "b")])
    keys = []
    for name in SPLITS:
        pairs = corpus.aligned(name, "en", "el")
        assert all(pair == (f"en {key[2:]}", f"el {key[2:]}") for key, pair in pairs.items())
        assert list(pairs) == [key for item in corpus.documents("en", name) for key in item.ids]
        keys += pairs
        chapters = [item.name for item in corpus.documents("en", name)]
        assert chapters == [item.name for item in corpus.documents("el", name)]
        assert all(len(item.passages) == 10 for item in corpus.documents("en", name))
    assert sorted(keys) == sorted(f"b:{key}" for key in ids)


def test_a_verse_repeated_in_training_is_left_out_of_what_is_held_out(tmp_path):
    ids = bible(tmp_path / "b")
    corpus = load([str(tmp_path / "b")])
    held = corpus.documents("en", "test")[0].ids[3].removeprefix("b:")
    trained = corpus.documents("en", "train")[0].passages[0]
    lines = [trained if key == held else f"en {key}" for key in ids]
    write(tmp_path / "b" / "en.txt.xz", "\n".join(lines))
    again = load([str(tmp_path / "b")])
    assert f"b:{held}" in corpus.aligned("test", "en", "el")
    assert f"b:{held}" not in again.aligned("test", "en", "el")
    assert f"b:{held}" in again.aligned("test", "el")
    assert texts(again, "el", "test") == texts(corpus, "el", "test")


def test_untranslated_lines_are_left_out_and_the_others_stay_aligned(tmp_path):
    folder = tmp_path / "text" / "gnomedocs"
    for name in SPLITS:
        english = [f"{name} {line}" for line in range(100)]
        greek = ["" if line % 3 == 0 else f"el {text}" for line, text in enumerate(english)]
        write(folder / f"en.{name}.txt.xz", "\n".join(english) + "\n")
        write(folder / f"el.{name}.txt.xz", "\n".join(greek) + "\n")
    corpus = load(["gnomedocs"], data_dir=tmp_path)
    pairs = corpus.aligned("valid", "el", "en")
    assert len(pairs) == 66
    assert pairs["gnomedocs:valid:98"] == ("el valid 98", "valid 98")
    assert len(corpus.documents("en", "valid")) == 4  # of 32 lines


def test_lines_of_a_test_are_grouped_by_their_documents(tmp_path):
    folder = tmp_path / "ntrex"
    write(folder / "documents.txt.xz", "bbc.1\nbbc.1\ncnn.7\n")
    write(folder / "en.test.txt.xz", "a\nb\nc\n")
    corpus = load(["ntrex"], data_dir=tmp_path)
    assert [(item.name, item.text) for item in corpus.documents("en", "test")] == [
        ("ntrex:bbc.1", "a\nb"),
        ("ntrex:cnn.7", "c"),
    ]
    assert not corpus.documents("en", "train")


def test_pairs_are_aligned_both_ways(tmp_path):
    write(tmp_path / "tatoeba" / "el-en.tsv.xz", "α\ta\nβ\tb\n")
    write(tmp_path / "tatoeba" / "de-en.tsv.xz", "x\ta\n")
    corpus = load(["tatoeba"], ["el", "en"], data_dir=tmp_path)
    assert corpus.aligned("test", "el", "en") == {
        "tatoeba:el-en:0": ("α", "a"),
        "tatoeba:el-en:1": ("β", "b"),
    }
    assert sorted(texts(corpus, "en", "test")) == ["a", "a", "b"]


# Several sources, and languages that are domains.


@pytest.mark.parametrize("read", [load, lambda specs: command.spoken(specs, ("en",))])
def test_a_corpus_of_no_source_is_refused(read):
    with pytest.raises(UserError, match="no source of text is named"):
        read(())


def test_a_language_is_all_its_text_or_that_of_one_source(tmp_path):
    write(tmp_path / "a" / "en.txt", prose(seed=1))
    write(tmp_path / "b" / "en.txt", prose(seed=2))
    write(tmp_path / "b" / "el.txt", prose(seed=3))
    specs = [str(tmp_path / "a"), str(tmp_path / "b")]
    corpus = load(specs, ["en", "en@a", "en@b", "el"])
    assert corpus.languages == ("en", "en@a", "en@b", "el")
    for name in SPLITS:
        assert texts(corpus, "en", name) == texts(corpus, "en@a", name) + texts(
            corpus, "en@b", name
        )
    assert load(specs).languages == ("en", "el")


def test_fingerprints_are_of_the_text(tmp_path):
    original = load([str(write(tmp_path / "en.txt", prose()))])
    same = load([str(write(tmp_path / "x" / "en.txt.xz", prose()))])
    other = load([str(write(tmp_path / "y" / "en.txt", prose().replace("word7 ", "word8 ", 1)))])
    assert original.fingerprints == same.fingerprints
    assert original.fingerprint == same.fingerprint
    assert original.fingerprints["en"] != other.fingerprints["en"]
    renamed = load([f"el={tmp_path / 'en.txt'}"])
    assert renamed.fingerprints["el"] == original.fingerprints["en"]
    assert renamed.fingerprint != original.fingerprint
    two = load(["synthetic:sentences=60,held_out=12"])
    assert two.fingerprint == load(["synthetic:sentences=60,held_out=12"], ["s2", "s1"]).fingerprint


# Hugging Face datasets.


@pytest.fixture
def hub(monkeypatch):
    """A `datasets` package that knows one dataset, and counts the rows it gave."""
    given = SimpleNamespace(rows=0, asked=None)

    def load_dataset(name, config, *, split, streaming):
        given.asked = (name, config, split, streaming)
        if name != "some/news":
            raise FileNotFoundError(f"no dataset {name}\nat all")
        for number in range(10_000):
            given.rows += 1
            yield {"text" if config != "odd" else "body": f"row {number}\n{'x' * 90}", "id": number}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return given


def test_a_dataset_is_streamed_up_to_a_limit(hub):
    corpus = load(["hf:some/news:el"], hub_bytes=20_000)
    assert hub.asked == ("some/news", "el", "train", True)
    assert corpus.languages == ("el",)
    assert 200 <= hub.rows < 210
    assert load(["hf:some/news"], hub_bytes=20_000).languages == ("news",)
    assert load(["en=hf:some/news:el"], hub_bytes=20_000).languages == ("en",)


def test_a_dataset_that_cannot_be_read_is_refused(hub, monkeypatch):
    refused("hf:other", parts=("hf:other", "no dataset other at all"))
    refused("hf:some/news:odd", parts=("hf:some/news:odd", "column", "body"))
    refused("hf:", parts=("hf:NAME",))
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("hf:some/news", parts=("pip install 'cognitive-reserve[text]'",))


# Bad input.


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("en.txt", b"", ("en.txt is empty",)),
        ("en.txt", b" \n\n ", ("en.txt is empty",)),
        ("en.txt", b"\xef\xbb\xbfgood\ncaf\xe9\n", ("en.txt", "byte 0xe9 at offset 11", "iconv")),
        ("en.txt.gz", b"a\x80", ("byte 0x80 at offset 1",)),
        ("en.txt", b"too short", ("en.txt", "1 documents", "give more text")),
        ("one/en/a.txt", b"too few", ("one", "1 documents", "LANGUAGE.train.txt")),
        ("one/b.jpg", b"x", ("holds no text",)),
    ],
)
def test_unusable_files_are_refused(tmp_path, name, content, parts):
    path = write(tmp_path / name, content)
    refused(tmp_path / "one" if name.startswith("one") else path, parts=parts)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("en.txt.gz", gzip.compress(prose().encode())[:-20]),
        ("en.txt.gz", b"plain text"),
        ("en.txt.xz", lzma.compress(prose().encode())[:-20]),
        ("en.txt.xz", b"plain text"),
    ],
)
def test_damaged_archives_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, parts=(name, "truncated or damaged"))


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    bible(tmp_path / "b")
    write(tmp_path / "b" / "el.txt.xz", "one verse\n")
    refused(tmp_path / "b", parts=("el.txt.xz has 1 lines and verses.txt.xz 600",))
    write(tmp_path / "p" / "el-en.tsv", "α\ta\nβ\n")
    refused(tmp_path / "p", parts=("el-en.tsv, line 2", "1 columns"))
    write(tmp_path / "m" / "en.txt", prose())
    write(tmp_path / "m" / "en.test.txt", prose(seed=1))
    refused(tmp_path / "m", parts=("en.txt has no split in its name",))
    write(tmp_path / "r" / "en.train.txt", prose())
    write(tmp_path / "r" / "en.test.txt", prose())
    refused(tmp_path / "r", parts=("en: all of test stands in the training text",))
    write(tmp_path / "n" / "r" / "en.txt", prose())
    refused(tmp_path / "n" / "r", tmp_path / "r", parts=("en@r is given twice",))


def test_unknown_names_are_refused(tmp_path):
    write(tmp_path / "a" / "en.txt", prose())
    refused(tmp_path / "b", parts=("no such file or folder", "bible", "synthetic"))
    refused("bible+bable", parts=("bible+bable", "no known corpus"))
    refused(tmp_path / "a", languages=["fr"], parts=("unknown language 'fr'", "a has en"))
    refused(tmp_path / "a", languages=["en@b"], parts=("unknown language 'en@b'",))
    refused("msdocs", data_dir=tmp_path, parts=("msdocs is not below", str(tmp_path), "list"))
    refused("bible", data_dir=tmp_path / "none", parts=("--data-dir", "no such folder"))
    refused("synthetic:words=3", parts=("'words=3'", "NAME=NUMBER", "shared"))
    refused("synthetic:shared=x", parts=("'shared=x'",))
    refused("synthetic:shared=2", parts=("shared is 2", "between 0 and 1"))
    refused("synthetic", languages=["en"], parts=("unknown language 'en'", "s1, s2"))
    corpus = load([str(tmp_path / "a")])
    with pytest.raises(UserError, match="unknown language 'fr': this corpus has en"):
        corpus.documents("fr", "train")
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        corpus.documents("en", "dev")


# The command line, and the text it knows by name.


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["list"], 0, "ntrex", ""),
        (["fetch", "msdocs"], 2, "", "neural.corpus: msdocs is not distributed"),
    ],
)
def test_the_command_line(monkeypatch, capsys, words, code, out, err):
    monkeypatch.setattr(sys, "argv", ["corpus", *words])
    assert command.main() == code
    printed = capsys.readouterr()
    assert out in printed.out
    assert printed.err.startswith(err)
    assert len(printed.err.splitlines()) == (code != 0)


def test_normalise():
    assert (
        normalise(" e\u0301\u00a0\t a\u200bb\u0007 \u0915\u094d\u200d ")
        == "\u00e9 ab \u0915\u094d\u200d"
    )


@needs_data
@pytest.mark.parametrize("name", sorted(CORPORA))
def test_shared_text_loads_without_leaks(name):
    """Every corpus, in one or two languages."""
    languages = {"gutenberg": ["el"], "wikitext2": ["en"]}.get(name, ["en", "el"])
    corpus = load([name], languages, data_dir=DATA)
    for language in languages:
        seen = set()
        for part in SPLITS:
            passages = {
                text
                for item in corpus.documents(language, part)
                for text in item.passages
                if text.strip()
            }
            assert not seen & passages
            seen |= passages
        assert corpus.documents(language, "test")
        trained = name not in ("ntrex", "tatoeba", "wikitext2")
        assert bool(corpus.documents(language, "train")) == trained


@needs_data
def test_the_bibles_are_held_out_alike():
    corpus = load(["bible"], ["en", "en_asv", "el"], data_dir=DATA)
    for part in ("valid", "test"):
        alone = load(["bible"], ["en"], data_dir=DATA)
        assert texts(alone, "en", part) == texts(corpus, "en", part)
        verses = corpus.aligned(part, "en", "en_asv", "el")
        lengths = [len(item.passages) for item in corpus.documents("en", part)]
        assert len(verses) > 0.97 * sum(lengths)  # repeats of training text are under 3 %
        assert all(key.startswith("bible:") for key in verses)
    genesis = [item for part in SPLITS for item in corpus.documents("en", part)]
    first = next(item for item in genesis if item.name == "bible:Gen 1")
    assert first.passages[0] == "In the beginning God created the heavens and the earth."
