"""A study that lies in folders of its own, and is named nowhere else, has all that the five have."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import figures
import neural
from figures.engine import page, render, rooms
from figures.engine.runs import kind
from figures.report import __main__ as report
from figures.report.numbers import page_id
from sim.runs.store import Run

PLAN = """
from dataclasses import dataclass
from pathlib import Path

from neural.gpt.config import ModelConfig
from neural.study.forecast import Training


@dataclass(frozen=True)
class Study:
    model: ModelConfig
    seeds: tuple[int, ...]
    corpus: tuple[str, ...] = ("synthetic",)

    @property
    def trainings(self):
        return (Training("models", self.model, 2, len(self.seeds), 10),)


def presets():
    shape = ModelConfig(layers=1, width=16, heads=2, context=8, vocabulary=32)
    return {"smoke": Study(shape, (0, 1, 2))}
"""
STUDY = """
import pandas as pd

from neural.study.claims import Claim, Claims
from neural.study.results import fill, read
from neural.measures.intervals import effect, interval

GROWS = Claim("grows", "the square grows", 1, "it does")
CLAIMS = Claims([GROWS])


def do(study, out, *, resume, stop):
    parts = {f"squares-{seed}": lambda seed=seed: pd.DataFrame({"seed": [seed], "square": [seed**2 + 1.0]})
             for seed in study.seeds}
    return fill(out, study, parts, resume=resume, stop=stop)


def claims(out):
    found = interval(read(out, "squares")["square"].to_numpy() + 10)
    return pd.DataFrame([{"id": GROWS.id, "claim": GROWS.says, "setting": "all", **effect(found, "1", 1)}])
"""
MAIN = """
import sys
from dataclasses import dataclass
from pathlib import Path

from neural.study.command import chosen, run, studied, listed
from sim.runs.options import Options


@dataclass(frozen=True)
class Arguments(Options):
    preset: str = "smoke"
    out: Path | None = None
    resume: bool = False
    dry_run: bool = False


def main(arguments=None):
    return run("neural.sixth", Arguments, _study, arguments)


def _study(arguments, stop):
    from neural.sixth.plan import presets
    from neural.sixth.study import claims, do
    from neural.study.forecast import forecast

    study = chosen(arguments.preset, presets())
    if arguments.dry_run:
        return None, forecast(study.trainings)
    out = studied("sixth", arguments, study, do, stop)
    return out, listed(claims(out))
"""
FIGURE = """
from figures.engine import style
from figures.engine.studies import of_kind
from neural.study.results import read

NAME = "squares"
DESCRIPTION = "squares of seeds"


def table(run):
    of_kind(run, "sixth")
    return read(run, "squares")


def draw(rows):
    figure = style.figure(2, 2)
    figure.subplots().plot(rows["seed"], rows["square"])
    return figure
"""
PAGE = """
from figures.engine import markdown, verdicts

TABLES = {"sixth-claims": "effects with their intervals"}
FIGURES = {"squares": "Squares."}


def tables(run):
    from figures.engine.studies import of_kind

    of_kind(run, "sixth")
    from neural.sixth.study import claims

    return {"sixth-claims": claims(run)}


def page(run, found, figures):
    from neural.sixth.study import CLAIMS

    claims = verdicts.summary(
        found["sixth-claims"], "source", CLAIMS, named=lambda row: row["setting"], expected="so"
    )
    parts = ["# Squares", f"## What became of the claims\\n\\n{claims}"]
    parts += [markdown.figure("squares", FIGURES["squares"]), markdown.files(found, TABLES)]
    return "\\n\\n".join(parts) + "\\n"
"""
FILES = {
    "neural/sixth/__init__.py": '"""The sixth study."""\n',
    "neural/sixth/plan.py": PLAN,
    "neural/sixth/study.py": STUDY,
    "neural/sixth/__main__.py": MAIN,
    "figures/sixth/__init__.py": '"""Of the sixth study."""\n\nCALLED = "sixth study"\n',
    "figures/sixth/squares.py": FIGURE,
    "figures/sixth/page.py": PAGE,
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The study's command, while its folders are part of the packages."""
    for name, text in FILES.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for package in (neural, figures):
        place = str(tmp_path / "code" / package.__name__)
        monkeypatch.setattr(package, "__path__", [*package.__path__, place])
    importlib.invalidate_caches()
    yield importlib.import_module("neural.sixth.__main__")
    for name in [name for name in sys.modules if ".sixth" in name]:
        del sys.modules[name]


def test_it_needs_no_edit_elsewhere(
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert command.main(["--dry-run"]) == 0
    assert "1 runs, 3 models, 480 tokens" in capsys.readouterr().out
    assert command.main(["--preset", "no"]) == 2
    assert "unknown preset 'no': choose from smoke" in capsys.readouterr().err

    study = importlib.import_module("neural.sixth.study")
    plan = importlib.import_module("neural.sixth.plan").presets()["smoke"]
    with pytest.raises(KeyboardInterrupt):
        study.do(plan, out, resume=False, stop=lambda: True)
    assert len(Run(out).parts()) == 1
    assert command.main(["--out", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert command.main(["--out", str(out), "--resume"]) == 0
    assert "the square grows" in capsys.readouterr().out
    assert len(Run(out).parts()) == 3
    assert kind(out) == "sixth"
    assert (Run(out).provenance() or {})["study"] == "sixth"

    assert list(rooms.pages())[-1] == "sixth"
    assert page.main(["sixth", "--from", str(out)]) == 0
    text = (out / "_page" / "sixth.md").read_text()
    assert "This page is of a smoke run" in text
    assert "| the square grows | it does | **replicated** |" in text
    assert pd.read_csv(out / "_page" / "sixth-claims.csv")["id"].tolist() == ["grows"]
    assert (out / "_page" / "squares.png").stat().st_size > 1000
    assert render.main(["--from", str(out)]) == 0
    assert {path.name for path in (out / "_figures").iterdir()} == {
        f"squares.{end}" for end in ("png", "csv", "json")
    }
    whole = [str(tmp_path / "run" / "_page"), str(report.DEFAULT[0])]
    assert report.main(["--from", *whole, "--out", str(tmp_path / "report")]) == 0
    html = (tmp_path / "report" / "report.html").read_text()
    places = [html.index(f'id="{page_id(name)}"') for name in ("robustness", "across", "sixth")]
    assert places == sorted(places)


def test_it_is_gone_with_its_folders() -> None:
    assert "sixth" not in rooms.pages()
    assert "squares" not in rooms.figures()
