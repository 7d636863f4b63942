"""Write the page of a study: python -m figures.page NAME --from RUN [--out DIR].

The page is Markdown, NAME.md, made of the run's results alone; its figures and tables lie beside it, each with its
numbers (.csv) and where they come from (.json). The same run gives the same bytes.
"""

import argparse
import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from figures.engine import rooms
from figures.engine.once import reading_once
from figures.engine.render import contents, known, numbers, tell, usable, write
from sim.runs.command import Parser, ended

FOLDER = "_page"

SMOKE = (
    "**This page is of a smoke run and decides nothing: its languages are invented or its models as small as can be, "
    "to show in a minute that all works. No verdict below is a result.**"
)


def render(name: str, run: Path, out: Path | None = None) -> list[Path]:
    """Write a page and what it shows to out, RUN/_page by default, and return the files.

    A figure for which the run has no rows is left out. Raises UserError on bad input and where out cannot be written.
    """
    from sim.runs.store import Run, readable

    known("page", [name], rooms.pages())
    record = Run.existing(run).provenance() or {}
    out = usable(run / FOLDER if out is None else out)
    with readable(run), reading_once():
        return write(_contents(name, run, record), out)


def _contents(name: str, run: Path, record: dict[str, Any]) -> dict[str, bytes]:
    """What the files of a page are to hold, by file name."""
    from figures.engine.runs import MissingRows, configuration

    module = importlib.import_module(rooms.pages()[name])
    command = f"python -m figures.page {name} --from {run.resolve().name}"
    files: dict[str, bytes] = {}
    tables = module.tables(run)
    for key, table in tables.items():
        what = {"table": key, "description": module.TABLES[key]}
        files |= numbers(key, table, what, record, command)
    figures = {}
    boxed: set[str] = set()
    for key in module.FIGURES:
        try:
            figures[key] = importlib.import_module(rooms.figures()[key]).table(run)
        except MissingRows:
            continue
        files |= contents(key, figures[key], run, record, ["png"], boxed)
    files[f"{name}.md"] = _marked(
        module.page(run, tables, figures), name, configuration(run)
    ).encode()
    tell("figures.page", boxed)
    return files


def parser() -> Parser:
    """Of the command line."""
    made = Parser(prog="figures.page", description="Write the page of a study.")
    made.add_argument("name", metavar="NAME", help=", ".join(rooms.pages()))
    made.add_argument(
        "--from", dest="run", type=Path, metavar="RUN", required=True, help="the study's --out"
    )
    made.add_argument("--out", type=Path, metavar="DIR", help=f"where to write (RUN/{FOLDER})")
    return made


def _marked(page: str, name: str, config: Mapping[str, Any]) -> str:
    """The page, with a remark under its title where the run is one of smoke."""
    if not is_smoke(name, config):
        return page
    title, rest = page.split("\n", 1)
    return f"{title}\n\n{SMOKE}\n{rest}"


def is_smoke(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a recorded configuration of a study is one of smoke: its languages are all invented, or its models those
    of the preset smoke.
    """
    from sim.runs.identity import canonical

    corpus = config.get("corpus") or [""]
    if all(str(source).partition(":")[0] == "synthetic" for source in corpus):
        return True
    smallest = importlib.import_module(f"neural.{name}.plan").presets()["smoke"].model
    return bool(config.get("model") == canonical(smallest))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after one line on stderr where the input is bad."""
    return ended("figures.page", partial(_main, parser().parse_args(arguments)))


def _main(given: argparse.Namespace) -> int:
    for path in render(given.name, given.run, given.out):
        print(path)
    return 0
