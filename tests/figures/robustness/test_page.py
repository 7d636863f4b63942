"""The page of study D22, from studies whose effects are known."""

import importlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.engine import markdown, page, style
from figures.engine import verdicts as said_of
from figures.engine.once import reading_once
from figures.engine.verdicts import judged
from figures.robustness import page as robustness_page
from figures.robustness import slope_vs_curvature
from figures.robustness.claims import answered, counted
from neural.robustness import plan as robustness
from neural.robustness.asked import CONTROLS
from sim.config import Config
from sim.runs.identity import canonical
from sim.runs.store import Run
from tests.figures.fake_study import Numbers, small, write
from tests.figures.page_text import section, shows_all
from tests.places import ROOT
from tests.records import change

FIGURES = ["crossover", "failure-curves", "slope-vs-curvature", "spectra"]
TABLES = ["robustness-claims", "robustness-clean", "robustness-degradation", "robustness-training"]
ROBUST = Numbers(clean=0.1, spared=0.4, scatter=0.01)
FRAGILE = Numbers(clean=-0.1, spared=-0.4, scatter=0.01)
ALIKE = Numbers(clean=0.0, spared=0.0, scatter=0.01)


def cli(*arguments: object) -> int:
    return page.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its page."""
    folder = tmp_path_factory.mktemp("robust")
    run = write(folder / "study", small(), ROBUST)
    assert cli("robustness", "--from", run, "--out", folder / "page") == 0
    return folder


def written(folder: Path, numbers: Numbers, **changes: Any) -> str:
    """The page of a small study of these numbers, without its figures."""
    run = write(folder / "study", small(**changes), numbers)
    with reading_once():
        return robustness_page.page(run, robustness_page.tables(run), {})


def cells(text: str, heading: str, start: str) -> list[str]:
    """Of the line that starts so in the first table below a heading."""
    (line,) = [
        line for line in section(text, heading).splitlines() if line.startswith(f"| {start}")
    ]
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def verdicts(text: str) -> list[str]:
    starts = ("The clean loss", "Bilingual models", "From some strength", "Longer", "Fine-tuned")
    return [cells(text, "What became of the claims", start)[2].strip("*") for start in starts]


def test_several_that_degrade_more_slowly_are_replicated(made: Path) -> None:
    text = (made / "page" / "robustness.md").read_text()
    assert verdicts(text) == ["replicated"] * 5
    slower = cells(text, "What became of the claims", "Bilingual models")
    # 40 % of a loss of 2 at the end of a line, of which the mean over strengths is half: 0.4 less.
    assert slower[3] == "3 of 3 on D22's side, 0 on the other"
    assert re.fullmatch(
        r"English \+ Greek, weight-deletion: \*\*-0\.(39|4|40)\d? \[.*\]\*\*", slower[4]
    )
    crossing = cells(text, "Where they cross", "weight-deletion")[1]
    # 0.1 of loss made good at 0.8 in 0.4: at 0.05.
    assert re.match(r"\*\*0\.0(49|50|5|51)\d* \[0\.0", crossing)
    controls = "What the controls say"
    assert cells(text, controls, "Domain instead")[1] == "**yes**"
    assert cells(text, controls, "Does a second language do more than a second kind")[1] == (
        "**no difference found**"
    )


def test_several_that_degrade_faster_are_opposite(tmp_path: Path) -> None:
    text = written(tmp_path, FRAGILE)
    claims = dict(zip(("clean", "slower", "cross", "longer", "kept"), verdicts(text), strict=True))
    assert claims["clean"] == claims["slower"] == claims["cross"] == claims["kept"] == "opposite"
    assert cells(text, "What the controls say", "Near-clone")[1] == "**no, faster**"
    assert "↑" in cells(text, "Where they cross", "weight-deletion")[1]


def test_no_effect_is_not_replicated(tmp_path: Path) -> None:
    text = written(tmp_path, ALIKE)
    assert verdicts(text)[1:3] == ["not replicated"] * 2
    assert cells(text, "What the controls say", "Equal weight norm")[1:] == [
        "**no effect found**",
        "0 of 1 on D22's side, 0 on the other",
    ]


def test_language_and_domain_are_told_apart(tmp_path: Path) -> None:
    spared = {"en@bible+el@bible": 0.4, "en@bible+el@bible+de@bible": 0.5}
    text = written(tmp_path, Numbers(clean=0.1, spared=spared, scatter=0.001))
    controls = "What the controls say"
    assert verdicts(text)[1] == "replicated"
    assert cells(text, controls, "Domain instead")[1] in (
        "**mixed**",
        "**no effect found**",
        "**no, faster**",
    )
    assert (
        cells(text, controls, "Does a second language do more than a second kind")[1] == "**yes**"
    )
    assert cells(text, controls, "Do models of three languages?")[1] == "**yes**"
    assert (
        cells(text, controls, "Do bilingual models when whole heads")[1] == "**yes, unlike there**"
    )


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    text = written(tmp_path, ROBUST, seeds=(0,))
    assert set(verdicts(text)) == {"no verdict"}
    assert not re.search("replicated\\*\\*|opposite\\*\\*|\\*\\*yes", text)
    assert "no intervals: one seed" in text


def test_what_was_not_measured_has_no_verdict(tmp_path: Path) -> None:
    languages = small().comparisons[:1]
    text = written(
        tmp_path, ROBUST, classification=None, comparisons=languages, hits_in_training=()
    )
    assert verdicts(text) == ["replicated"] * 3 + ["no verdict"] * 2
    assert cells(text, "What became of the claims", "Fine-tuned")[3] == "not measured"
    assert cells(text, "What the controls say", "Domain instead")[1:] == [
        "**no verdict**",
        "not measured",
    ]
    assert "## Classification" not in text
    assert "## Pruning in the course of training" not in text


def test_the_page_shows_every_figure_and_table(made: Path) -> None:
    text = shows_all(made, "robustness", FIGURES, TABLES)
    clean = pd.read_csv(made / "page" / "robustness-clean.csv").set_index(["model", "text"])
    row = clean.loc[("en@bible+el@bible", "en@bible")]
    assert row["nats_per_token"] == pytest.approx(3.1, abs=0.03)  # 3 seeds of scatter 0.01
    assert f"{row['nats_per_token']:.3f}" in text
    assert "500 updates of 32 × 64" in text


def test_training_shows_perplexity_under_pruning(made: Path) -> None:
    text = (made / "page" / "robustness.md").read_text()
    table = pd.read_csv(made / "page" / "robustness-training.csv")
    pruned = table[table["failure"] == "magnitude-pruning"]
    assert sorted(set(pruned["step"])) == [62, 125, 250, 500]
    assert set(pruned["strength"]) == {0.0, 0.3, 0.6}
    row = pruned.query("step == 62 and strength == 0.6 and model == 'en@bible+el@bible'").iloc[0]
    section = text.split("## Pruning in the course of training", 1)[1]
    assert f"| English + Greek | 0.6 | {np.exp(row['value']):.1f} [" in section


def test_slopes_are_counted(tmp_path: Path) -> None:
    run = write(tmp_path / "study", small(), Numbers(ratio=1.0))
    slopes = slope_vs_curvature.table(run)
    text = robustness_page.page(run, robustness_page.tables(run), {slope_vs_curvature.NAME: slopes})
    sentence = re.search(r"ratios to the Hessian's are (\S+) to (\S+); (\d+) of 8 intervals", text)
    assert sentence is not None
    assert (
        0.98 < float(sentence[1]) <= float(sentence[2]) < 1.02
    )  # 3 seeds of 8 models of scatter 0.01
    assert int(sentence[3]) >= 1
    assert "At the least σ" in text


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study without slopes and spectra, with its page."""
    plan = small(classification=None, comparisons=small().comparisons[:1])
    folder = tmp_path_factory.mktemp("bare")
    run = write(folder / "study", plan, ROBUST, tables="clean curves")
    assert cli("robustness", "--from", run) == 0
    return run


def test_figures_without_rows_are_left_out(bare: Path) -> None:
    out = bare / "_page"
    assert sorted(path.stem for path in out.glob("*.png")) == ["crossover", "failure-curves"]
    text = (out / "robustness.md").read_text()
    assert "## Spectra" not in text
    assert "## Small noise" not in text


def test_the_same_study_gives_the_same_bytes(bare: Path, tmp_path: Path) -> None:
    """In another process."""
    script = (
        f"import sys; from figures.engine import page, style; style.RC.update({style.RC}); "
        "sys.exit(page.main(sys.argv[1:]))"
    )
    arguments = ["robustness", "--from", str(bare), "--out", str(tmp_path)]
    command = [sys.executable, "-c", script, *arguments]
    subprocess.run(command, check=True, timeout=600, cwd=ROOT, capture_output=True)
    files = sorted(path.name for path in (bare / "_page").iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir())
    for name in files:
        assert (bare / "_page" / name).read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((2, 0, 1), "replicated"),
        ((2, 1, 0), "not replicated"),
        ((1, 0, 1), "not replicated"),
        ((0, 2, 1), "opposite"),
        ((0, 0, 3), "not replicated"),
        ((0, 0, 0), "no verdict"),
    ],
)
def test_a_side_needs_more_than_half_and_no_opposition(
    counts: tuple[int, int, int], verdict: str
) -> None:
    names = ("replicated", "opposite", "not replicated")
    every = [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
    rows = pd.DataFrame({"verdict": [*every, "one seed"]})
    assert judged(rows) == verdict
    if sum(counts):
        said = f"{counts[0]} of {sum(counts)} on D22's side, {counts[1]} on the other"
        assert counted(rows) == said
    control = CONTROLS[0]
    assert control.answers is not None
    expected = dict(zip(names, control.answers, strict=True)).get(verdict, "no verdict")
    if verdict == "not replicated" and counts[:2] != (0, 0):
        expected = "mixed"
    assert answered(control, rows) == expected


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("unknown page", "unknown page 'robust': choose from robustness"),
        ("no run given", "--from"),
        ("no such run", "not a run"),
        ("a sweep", "is no study"),
        ("other models", "nothing says how to compare"),
        ("not done", "finish it with"),
        ("out is a file", "is a file"),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    case: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "study", tmp_path / "out"
    name = "robust" if case == "unknown page" else "robustness"
    if case == "a sweep":
        Run.open(run, Config(geometries=("sphere",)), resume=False, parts=["part-0"])
    elif case != "no such run":
        write(run, small(seeds=(0,)), ROBUST)
    if case == "other models":
        change(run, lambda config: config.update(models=config.pop("comparisons")))
    elif case == "not done":
        part = run / "part-curves-all.parquet"
        curves = pd.read_parquet(part)
        curves[curves["failure"] != "head-deletion"].to_parquet(part)
    elif case == "out is a file":
        out.write_text("mine")
    arguments = [name] if case == "no run given" else [name, "--from", run, "--out", out]
    try:
        code = cli(*arguments)
    except SystemExit as exit_:
        code = exit_.code  # type: ignore[assignment]
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not out.is_dir()


def test_steps_are_chosen_with_both_ends() -> None:
    assert markdown.some([0, 1, 2]) == [0, 1, 2]
    chosen = markdown.some([0, *(2**i for i in range(12))])
    assert len(chosen) == 8
    assert (chosen[0], chosen[-1]) == (0, 2048)


def test_effects_without_a_verdict_are_counted_apart() -> None:
    names = ["replicated", "opposite", "not replicated", "one seed", "above the fitted budgets"]
    rows = pd.DataFrame({"verdict": names})
    said = "1 of 3 as in S24, 1 opposite; 1 one seed; 1 above the fitted budgets"
    assert said_of.counted(rows, "as in S24") == said
    assert said_of.counted(rows[:3]) == "1 of 3, 1 opposite"


def test_a_page_names_the_commits_of_its_run() -> None:
    record = {"identity": "ab", "commit": "0123456789abc+"}
    assert markdown.made_by(record) == "Run ab of commit 0123456789, with changes."
    more = record | {"resumed": [{"commit": "fedcba9876543"}]}
    said = "Run ab of commit 0123456789, with changes, resumed with fedcba9876."
    assert markdown.made_by(more) == said
    installed = {"identity": "ab", "commit": "version 12.34.56"}
    assert markdown.made_by(installed) == "Run ab of version 12.34.56."


STUDIES = ("across", "dynamics", "imbalance", "robustness", "subnetworks")


@pytest.mark.parametrize("name", STUDIES)
def test_a_smoke_run_is_known_by_its_configuration(name: str) -> None:
    presets = importlib.import_module(f"neural.{name}.plan").presets()
    assert set(presets) == {"smoke", "laptop", "gpu", "bible"}
    known = {key: page.is_smoke(name, canonical(plan)) for key, plan in presets.items()}
    assert known == {"smoke": True, "laptop": False, "gpu": False, "bible": False}
    own = replace(presets["smoke"], corpus=("en=mine.txt", "el=other.txt"))
    assert page.is_smoke(name, canonical(own))  # models as small, whatever the text
    invented = replace(presets["laptop"], corpus=("synthetic:sentences=9000",))
    assert page.is_smoke(name, canonical(invented))
    mixed = replace(presets["laptop"], corpus=("synthetic", "bible"))
    assert not page.is_smoke(name, canonical(mixed))


def test_the_page_of_a_smoke_run_says_so_at_its_top(tmp_path: Path, made: Path) -> None:
    model = robustness.presets()["smoke"].model
    plan = small(model=model, seeds=(0,), classification=None, comparisons=small().comparisons[:1])
    run = write(tmp_path / "study", plan, ALIKE, tables="clean curves")
    assert cli("robustness", "--from", run, "--out", tmp_path / "page") == 0
    title, blank, said, *_ = (tmp_path / "page" / "robustness.md").read_text().splitlines()
    assert title.startswith("# ")
    assert not blank
    assert said == page.SMOKE
    assert "smoke run and decides nothing" in said
    assert page.SMOKE not in (made / "page" / "robustness.md").read_text()
