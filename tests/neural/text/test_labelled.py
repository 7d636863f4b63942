"""Labelled sentences: own files, SIB-200, treebanks, GLUE by a stand-in; and what is refused."""

import lzma
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from neural.text.labelled import TOPICS, Labelled, glue, sib200, table, task
from tests.neural.refusal import message
from tests.places import SHARED

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no sentences in {DATA}")

SOME = Labelled(("a", "b", "c", "d", "e", "f"), (0, 1, 0, 0, 1, 0), ("no", "yes"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


def test_counts() -> None:
    assert len(SOME) == 6
    assert SOME.counts == {"no": 4, "yes": 2}
    assert SOME.majority == 4 / 6
    assert SOME.take([4, 0]) == Labelled(("e", "a"), (1, 0), ("no", "yes"))


def test_balanced_sentences_are_drawn_in_their_order() -> None:
    drawn = {SOME.balanced(seed) for seed in range(60)}
    for subset in drawn:
        assert subset.counts == {"no": 2, "yes": 2}
        assert list(subset.sentences) == sorted(subset.sentences)
    assert (
        len(drawn) == 6
    )  # all pairs of four: one is missed by 60 draws once in ten thousand seeds
    assert SOME.balanced(0) == SOME.balanced(0)
    assert SOME.balanced(0, most=1).counts == {"no": 1, "yes": 1}


# Own files.


def test_a_folder_is_a_task(tmp_path: Path) -> None:
    write(tmp_path / "mood" / "train.tsv", "good\tFine day.\nbad\tRain; \u201cagain\u201d.\n")
    write(tmp_path / "mood" / "dev.tsv.xz", "good\tSun.\n")
    write(tmp_path / "mood" / "test.tsv", "good\tMoon.\r\nbad\tFog.")
    loaded = task(str(tmp_path / "mood"))
    assert loaded.name == "mood"
    assert loaded.train == Labelled(
        ("Fine day.", "Rain; \u201cagain\u201d."), (1, 0), ("bad", "good")
    )
    assert loaded.dev == Labelled(("Sun.",), (1,), ("bad", "good"))
    assert loaded.test == Labelled(("Moon.", "Fog."), (1, 0), ("bad", "good"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("good\ta\nbad\n", 2, "1 columns"),
        ("good\ta\nbad\tb\tc\n", 2, "3 columns"),
        ("good\ta\n\nbad\tb\n", 2, "1 columns"),
        ("good\ta\nbad\t \n", 2, "or an empty one"),
        ("good\ta\nbad\tb\nugly\tc\n", 3, "unknown label 'ugly': give one of bad, good"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = write(tmp_path / "a.tsv", text)
    refusal = message(table, path, ("bad", "good"))
    assert f"{path}, line {line}: " in refusal
    assert words in refusal


def test_no_table(tmp_path: Path) -> None:
    assert "all labels are good" in message(table, write(tmp_path / "a.tsv", "good\ta\ngood\tb\n"))
    assert "no such file" in message(table, tmp_path / "none.tsv")
    write(tmp_path / "train.tsv", "good\ta\nbad\tb\n")
    refusal = message(task, str(tmp_path))
    assert str(tmp_path / "dev.tsv") in refusal
    write(tmp_path / "dev.tsv", "good\ta\nugly\tb\n")
    assert "dev.tsv, line 2: unknown label 'ugly'" in message(task, str(tmp_path))


# SIB-200 and treebanks.


@pytest.mark.parametrize("folder", ["sib200", "topic/sib200"])
def test_topics_are_read_by_language_and_part(tmp_path: Path, folder: str) -> None:
    for part, topic in (("train", "travel"), ("dev", "health"), ("test", "sports")):
        write(tmp_path / folder / f"el.{part}.tsv.xz", f"7\t{topic}\tΜία {part}.\n")
    loaded = task("sib200:el", tmp_path)
    assert loaded.name == "sib200:el"
    assert loaded.train == Labelled(("Μία train.",), (TOPICS.index("travel"),), TOPICS)
    assert loaded.test == Labelled(("Μία test.",), (TOPICS.index("sports"),), TOPICS)
    assert f"no sib200 of 'xx': {tmp_path / folder} has el" in message(task, "sib200:xx", tmp_path)
    assert "unknown part 'valid'" in message(sib200, "el", "valid", tmp_path)
    write(tmp_path / folder / "el.test.tsv.xz", "7\tsport\tΜία.\n")
    assert "line 1: unknown label 'sport'" in message(task, "sib200:el", tmp_path)
    write(tmp_path / folder / "el.test.tsv.xz", "sports\tΜία.\n")
    assert "line 1: 2 columns" in message(task, "sib200:el", tmp_path)


def clause(form: str, features: str) -> str:
    return f"1\t{form}\t_\tVERB\t_\t{features}\t0\troot\t_\t_\n\n"


def test_the_tense_of_treebanks(tmp_path: Path) -> None:
    past, present = clause("went", "Tense=Past|VerbForm=Fin"), clause("goes", "Tense=Pres")
    for part in ("train", "dev", "test"):
        write(tmp_path / f"UD_English-EWT/{part}.conllu", past + clause("go", "_") + present)
        write(tmp_path / f"UD_Chinese-GSDSimp/{part}.conllu", clause("去", "_"))
    loaded = task("tense:en", tmp_path)
    assert loaded.dev == Labelled(("went", "goes"), (0, 1), ("Past", "Pres"))
    assert "train part of zh marks no tense" in message(task, "tense:zh", tmp_path)
    assert "no treebank of 'sw'" in message(task, "tense:sw", tmp_path)


def test_no_task(tmp_path: Path) -> None:
    assert "task sib:el: no such folder, and no known task" in message(task, "sib:el", tmp_path)
    assert "give --data-dir" in message(task, "tense:el")
    assert "no such folder" in message(task, "sib200:el", tmp_path / "none")
    assert f"sib200 is not below {tmp_path}" in message(task, "sib200:el", tmp_path)


# GLUE.


class Rows(list[dict[str, object]]):
    """A dataset as Hugging Face's package gives it."""

    features = {"label": SimpleNamespace(names=["unacceptable", "acceptable"])}  # noqa: RUF012


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """A `datasets` package with two tasks; what it was asked for."""
    asked: list[tuple[str, str, str]] = []

    def load_dataset(path: str, name: str, *, split: str) -> Rows:
        asked.append((path, name, split))
        if name == "rte":
            return Rows(
                {"sentence1": f"{split} {n}", "sentence2": "so.", "label": n % 2} for n in range(5)
            )
        if name == "cola":
            return Rows({"sentence": f"{split} {n}", "label": n % 2} for n in range(100))
        if name == "sst2":
            return Rows([{"sentence": "a", "label": -1}])
        if name == "qqp":
            return Rows([{"text": "a", "label": 1}])
        raise ConnectionError("no hub\nhere")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_glue_by_name(hub: list[tuple[str, str, str]]) -> None:
    loaded = task("glue:cola")
    assert set(hub) == {("nyu-mll/glue", "cola", "train"), ("nyu-mll/glue", "cola", "validation")}
    assert loaded.dev.sentences == tuple(f"train {n}" for n in (19, 39, 59, 79, 99))
    assert not set(loaded.train.sentences) & set(loaded.dev.sentences)
    assert len(loaded.train) == 95
    assert loaded.test.sentences[3] == "validation 3"
    assert loaded.test.labels[:4] == (0, 1, 0, 1)
    assert loaded.train.names == ("unacceptable", "acceptable")
    assert glue("rte", "test").sentences[1] == "validation 1\nso."


def test_glue_that_cannot_be_read(
    hub: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unknown GLUE task 'sst': choose a classification of cola, sst2" in message(
        task, "glue:sst"
    )
    assert "unknown GLUE task 'stsb'" in message(task, "glue:stsb")
    assert not hub
    assert "cannot read glue:mnli (no hub here)" in message(task, "glue:mnli")
    assert "some without a label" in message(glue, "sst2", "test")
    assert "other columns" in message(glue, "qqp", "test")
    assert "unknown part" in message(glue, "cola", "valid")
    assert hub.count(("nyu-mll/glue", "mnli", "train")) == 1
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'cognitive-reserve[text]'" in message(task, "glue:cola")


# The shared sentences.


@needs_data
def test_shared_topics_are_parallel() -> None:
    tasks = [task(f"sib200:{language}", DATA) for language in ("en", "el", "zh")]
    for item in tasks:
        assert [len(part) for part in (item.train, item.dev, item.test)] == [701, 99, 204]
        assert item.train.labels == tasks[0].train.labels
        assert not set(item.train.sentences) & set(item.test.sentences)
        assert max(Counter(item.test.labels).values()) / 204 == item.test.majority == 0.25


HEADS = ("label\tsentence", "Category\tText", "0_label\tsentence", "y\tx")


@pytest.mark.parametrize("head", HEADS)
def test_a_row_that_names_the_columns_is_no_sentence(head: str, tmp_path: Path) -> None:
    rows = "".join(f"{'good' if n % 2 else 'bad'}\tfilm number {n}\n" for n in range(20))
    path = write(tmp_path / "train.tsv", f"{head}\n{rows}")
    label, sentence = head.split("\t")
    assert message(table, path) == (
        f"{path}, line 1: {label!r} and {sentence!r} are names of columns: take that line out"
    )
    assert "are names of columns" in message(table, path, ("bad", "good"))
    assert len(table(write(tmp_path / "dev.tsv", rows), ("bad", "good"))) == 20


def test_swapped_columns_are_no_classes(tmp_path: Path) -> None:
    rows = "".join(f"film number {n} is long\t{'good' if n % 2 else 'bad'}\n" for n in range(21))
    assert message(table, write(tmp_path / "train.tsv", rows)) == (
        f"{tmp_path / 'train.tsv'}: the column of labels has 21 different entries, as 'film number 0 is long', "
        "and that of sentences 2, as 'bad': put the label before the sentence"
    )


def test_a_sentence_that_is_one_of_those_words_is_a_sentence(tmp_path: Path) -> None:
    rows = "noun\tlabel of a bottle\nverb\tto label\nnoun\ta text\nverb\tto target\n"
    assert len(table(write(tmp_path / "train.tsv", rows))) == 4
    few = "a\tone\nb\ttwo\n"
    assert len(table(write(tmp_path / "dev.tsv", few))) == 2


@needs_data
def test_no_shared_labelled_set_is_refused(tmp_path: Path) -> None:
    sets = [f"sib200:{name}" for name in "ar de el en es fi fr hi sw tr zh".split()]
    for spec in (*sets, "tense:tr", "tense:el"):
        read = task(spec, DATA)
        for part in (read.train, read.dev, read.test):  # and as a table of one's own
            rows = zip(part.labels, part.sentences, strict=True)
            lines = "".join(f"{part.names[label]}\t{text}\n" for label, text in rows)
            own = table(write(tmp_path / "own.tsv", lines))
            assert own.sentences == part.sentences
