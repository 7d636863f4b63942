"""Everything found in one file: python -m figures.report --out DIR [--from DIR …].

It writes DIR/report.html, which needs no other file and no network: the pages of the studies, the figures, the
numbers behind them, where those come from, and the theory's statements with their verdicts. The same input gives the
same bytes.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures.engine.render import usable, write
from sim.runs.command import Parser, ended

HERE = Path(__file__).parents[1]
DEFAULT = (HERE / "results", HERE / "gallery")
THEOREMS = HERE.parent / "theory" / "README.md"
NAME = "report.html"


def render(folders: Sequence[Path], out: Path) -> list[Path]:
    """Write the report of folders of pages and figures, and return its file.

    Raises UserError where one holds none, lacks a file, or out cannot be written.
    """
    from sim.runs.errors import UserError

    try:
        from figures.report.document import document
    except ModuleNotFoundError as error:
        if error.name != "markdown_it":
            raise
        raise UserError(
            "the report needs markdown-it-py: pip install 'cognitive-reserve[report]'"
        ) from None
    out = usable(out)
    return write({NAME: document(folders, THEOREMS).encode()}, out)


def parser() -> Parser:
    """Of the command line."""
    made = Parser(prog="figures.report", description="Write every result into one HTML file.")
    made.add_argument("--out", type=Path, metavar="DIR", required=True, help=f"where {NAME} goes")
    made.add_argument(
        "--from",
        dest="folders",
        type=Path,
        nargs="+",
        default=DEFAULT,
        metavar="DIR",
        help="folders of `figures.page` and `figures.render` (figures/results figures/gallery)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after one line on stderr where the input is bad."""
    return ended("figures.report", partial(_main, parser().parse_args(arguments)))


def _main(given: argparse.Namespace) -> int:
    for path in render(given.folders, given.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
