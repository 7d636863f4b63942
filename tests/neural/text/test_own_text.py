"""Studies F22 and B22 on a user's own text: the tasks that it allows, and a line for each that is left out."""

import sys
from pathlib import Path

import pytest

from neural.dynamics import __main__ as dynamics
from neural.subnetworks import __main__ as subnetworks
from neural.text.own_text import lacking
from sim.runs import command
from tests.neural.refusal import message
from tests.neural.text.test_corpus import prose, write

LM = "language-modelling"
UD = {"en": "UD_English-EWT", "de": "UD_German-GSD", "el": "UD_Greek-GUD"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of text in two languages, not aligned."""
    for name in ("en", "de"):
        write(tmp_path / "texts" / f"{name}.txt", prose(word=name))
    return tmp_path / "texts"


@pytest.fixture
def verses(tmp_path: Path) -> Path:
    """The same text in two languages, verse by verse."""
    rows = [f"{number} {text}" for number, text in enumerate(prose(12_000).splitlines())]
    keys = [f"Gen {row // 5}:{row % 5}" for row in range(len(rows))]
    write(tmp_path / "verses" / "verses.txt", "\n".join(keys))
    for name in ("en", "de"):
        write(tmp_path / "verses" / f"{name}.txt", "\n".join(f"{name} {row}" for row in rows))
    return tmp_path / "verses"


@pytest.fixture
def treebanks(tmp_path: Path) -> Path:
    """A folder with treebanks of English, German and Greek, and no other annotation."""
    for bank in UD.values():
        for part in ("train", "dev", "test"):
            write(tmp_path / "data" / "ud" / bank / f"{part}.conllu", "x")
    return tmp_path / "data"


def study(program, *arguments: object):
    words = [f"{value}" for value in arguments]
    return program.study_of(command.options(program.Arguments, program.__name__, words))


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What is left out, and why."""
    lines = capsys.readouterr().err.splitlines()
    pairs = [line.split(" left out: ") for line in lines]
    return {what.partition(": ")[2]: why for what, why in pairs}


def test_subnetworks_of_plain_text_are_of_language_modelling(texts, capsys) -> None:
    plan = study(subnetworks, "--preset", "laptop", "--corpus", texts)
    assert plan.languages == ("de", "en")
    (task,) = plan.tasks
    assert (task.name, set(task.languages)) == (LM, {"en", "de"})
    assert plan.aligned == ()
    reasons = printed(capsys)
    assert set(reasons) == {"parts-of-speech", "relations", "entities", "topics", "retrieval"}
    assert "--data-dir" in reasons["topics"]
    assert "--aligned" in reasons["retrieval"]


def test_subnetworks_of_other_languages_are_of_all_of_them(tmp_path, capsys) -> None:
    for name in ("hu", "pl", "mt"):
        write(tmp_path / "texts" / f"{name}.txt", prose(word=name))
    plan = study(subnetworks, "--preset", "laptop", "--corpus", tmp_path / "texts")
    (task,) = plan.tasks
    assert task.languages == plan.languages == ("hu", "mt", "pl")
    assert len(printed(capsys)) == 5


def test_subnetworks_have_the_tasks_that_a_folder_annotates(texts, treebanks, capsys) -> None:
    options = ("--preset", "laptop", "--corpus", texts, "--data-dir", treebanks)
    plan = study(subnetworks, *options)
    assert [task.name for task in plan.tasks] == [LM, "parts-of-speech", "relations"]
    assert set(printed(capsys)) == {"entities", "topics", "retrieval"}
    assert "sib200 is not below" in message(study, subnetworks, *options, "--tasks", "topics")
    assert capsys.readouterr().err == ""


def test_subnetworks_find_aligned_sentences_in_the_corpus_itself(verses, capsys) -> None:
    plan = study(subnetworks, "--preset", "laptop", "--corpus", verses)
    assert plan.aligned == (str(verses),)
    assert "retrieval" not in printed(capsys)


def test_subnetworks_without_tasks_are_refused() -> None:
    assert "no tasks" in message(study, subnetworks, "--tasks")


def test_dynamics_of_plain_text_are_of_its_loss(texts, capsys) -> None:
    plan = study(dynamics, "--preset", "laptop", "--corpus", texts)
    assert set(plan.languages) == {"en", "de"}
    assert (plan.tasks, plan.aligned) == ((), ())
    reasons = printed(capsys)
    tasks = {"parts-of-speech", "arcs", "relations", "topics", "pairing"}
    assert set(reasons) == tasks | {"retrieval"}
    assert "--data-dir" in reasons["arcs"]
    assert "--aligned" in reasons["pairing"]


def test_dynamics_have_the_tasks_that_text_and_folder_allow(verses, treebanks, capsys) -> None:
    options = ("--corpus", verses, "--data-dir", treebanks, "--preset", "laptop")
    small = study(dynamics, *options)
    assert (
        small.aligned == ()
    )  # 1,600 sentences are wanted, and a twentieth of the verses is test text
    capsys.readouterr()
    plan = study(dynamics, *options, "--aligned", verses)
    assert plan.tasks == ("parts-of-speech", "arcs", "relations", "pairing")
    assert plan.answers == 0
    assert set(printed(capsys)) == {"topics", "word alignment"}
    for task, said in (("topics", "sib200"), ("xnli", "xnli without languages")):
        assert said in message(study, dynamics, *options, "--aligned", verses, "--tasks", task)


def test_dynamics_pair_no_sentences_that_are_not_aligned(texts, capsys) -> None:
    said = message(study, dynamics, "--corpus", texts, "--tasks", "pairing")
    assert said.startswith("--tasks pairing: fewer than 176 sentences")


def test_annotation_is_looked_for_in_every_part_and_language(treebanks) -> None:
    assert lacking("relations", ["en", "de"], treebanks) == ""
    assert "'mt'" in lacking("relations", ["en", "mt"], treebanks)
    (treebanks / "ud" / UD["de"] / "dev.conllu").unlink()
    assert "has no part dev" in lacking("arcs", ["en", "de"], treebanks)
    assert lacking("pairing", ["xx"], None) == ""


@pytest.mark.slow
@pytest.mark.parametrize("program", [dynamics, subnetworks])
def test_a_study_of_plain_text_is_done(program, texts, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    words = ["x", "--corpus", str(texts), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    assert program.main() == 0
    assert "left out" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("across", "--steps 16 --rounds 1 --draws 1 --others fr"),
        ("dynamics", "--steps 16 --draws 2"),
        ("imbalance", "--steps 16 --widths 32 --budgets 0.25 0.5 1"),
        ("robustness", "--steps 20 --draws 2 --text 256"),
        ("subnetworks", "--steps 16 --tuning-steps 2"),
    ],
)
def test_a_study_of_text_of_the_package_is_done(name, options, tmp_path, monkeypatch) -> None:
    """Without a folder of data, and without what earlier calls have fetched."""
    import importlib

    program = importlib.import_module(f"neural.{name}.__main__")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["x", "--preset", "bible", "--seeds", "2", *options.split()]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "out")])
    assert program.main() == 0
