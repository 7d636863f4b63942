"""Write the page of a study: python -m figures.page NAME --from RUN [--out DIR].

The page is Markdown, NAME.md, made of the run's results alone; its figures and tables lie beside it, each with its
numbers (.csv) and where they come from (.json). The same run gives the same bytes.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from figures.render import FIGURES, Parser, contents, known, numbers, usable, write

PAGES = {
    "robustness": "figures.robustness_page",
    "imbalance": "figures.imbalance_page",
    "subnetworks": "figures.subnetworks_page",
    "dynamics": "figures.dynamics_page",
    "across": "figures.across_page",
}
"""Each page's module, imported when written: TABLES, which describes its tables by name, and FIGURES, names of figures;
tables(run) -> their DataFrames by name; page(run, tables, figures) -> Markdown."""

FOLDER = "_page"


def render(name: str, run: Path, out: Path | None = None) -> list[Path]:
    """Write a page and what it shows to out, RUN/_page by default, and return the files.

    A figure for which the run has no rows is left out. Raises UserError on bad input and where out cannot be written.
    """
    from figures.results import MissingRows
    from sim.runs.store import Run

    known("page", [name], PAGES)
    record = Run.existing(run).provenance() or {}
    out = usable(run / FOLDER if out is None else out)
    module = importlib.import_module(PAGES[name])
    command = f"python -m figures.page {name} --from {run.resolve().name}"
    files: dict[str, bytes] = {}
    tables = module.tables(run)
    for key, table in tables.items():
        what = {"table": key, "description": module.TABLES[key]}
        files |= numbers(key, table, what, record, command)
    figures = {}
    for key in module.FIGURES:
        try:
            figures[key] = importlib.import_module(FIGURES[key]).table(run)
        except MissingRows:
            continue
        files |= contents(key, figures[key], run, record, ["png"])
    files[f"{name}.md"] = module.page(run, tables, figures).encode()
    return write(files, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after one line on stderr where the input is bad."""
    from sim.runs.errors import UserError

    parser = Parser(
        prog="figures.page", description="Write the page of a study.", allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help=", ".join(PAGES))
    parser.add_argument(
        "--from", dest="run", type=Path, metavar="RUN", required=True, help="the study's --out"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"where to write (RUN/{FOLDER})")
    options = parser.parse_args(arguments)
    try:
        written = render(options.name, options.run, options.out)
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
