"""Render figures from a run: python -m figures.render [NAME…] --from RUN [--out DIR] [--list].

For each figure it writes NAME.png (or the formats asked for), NAME.csv, the numbers drawn, and
NAME.json, where they come from. The same run renders to the same bytes.
"""

import argparse
import importlib
import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from figures.engine import rooms
from figures.engine.once import once, reading_once
from sim.runs.command import Parser, ended
from theory.command.ending import temporary

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("png", "pdf", "svg")


class Drawn(NamedTuple):
    """A figure before it is written."""

    table: "pd.DataFrame"
    pictures: dict[str, bytes]
    """By file name."""
    boxed: set[str]
    """Texts with letters that the font lacks."""


class Early(NamedTuple):
    """Figures that were drawn for a configuration before its run had rows, by name."""

    config: dict[str, Any]
    figures: dict[str, Drawn]


def render(
    names: Sequence[str],
    run: Path,
    out: Path | None = None,
    formats: Sequence[str] = ("png",),
    early: Early | None = None,
) -> tuple[list[Path], list[str]]:
    """Write figures to out, RUN/_figures by default: those named, or all the run has rows for.

    Returns the files written and, with no name given, a line for each figure left out for want of
    rows; of the figures of other kinds of runs it says nothing. Every figure is drawn before a file
    is written. Those drawn early, in the same formats, are not drawn again if the run is of their
    configuration. Raises UserError on bad input and where out cannot be written.
    """
    from figures.engine.runs import MissingRows, OtherKind
    from sim.runs.identity import is_whole
    from sim.runs.store import FIGURES as FOLDER
    from sim.runs.store import Run, readable

    check(names, formats)
    record = Run.existing(run).provenance() or {}
    out = usable(run / FOLDER if out is None else out)
    files: dict[str, bytes] = {}
    boxed: set[str] = set()
    left_out = []
    same = early is not None and is_whole({**record, "config": early.config})
    ready = early.figures if early is not None and same else {}
    with reading_once():
        for name in dict.fromkeys(names or rooms.figures()):
            try:
                with readable(run):
                    figure = ready.get(name) or drawn(name, _module(name).table(run), formats)
            except MissingRows as error:
                if names:
                    raise
                if not isinstance(error, OtherKind):
                    left_out.append(f"left out {name}: {error}")
                continue
            boxed |= figure.boxed
            files |= figure.pictures | _numbers(name, figure.table, run, record, formats)
    tell("figures.render", boxed)
    return write(files, out), left_out


def get_ready() -> None:
    """Import what draws figures, and draw none, for which fonts are read."""
    from matplotlib.figure import Figure

    from figures.engine import style

    for module in rooms.figures().values():
        importlib.import_module(module)
    with style.use():
        figure = Figure()
        figure.text(0.5, 0.5, "$0$")
        figure.savefig(io.BytesIO())


def draw_early(config: dict[str, Any], names: Sequence[str], formats: Sequence[str]) -> Early:
    """Draw the figures, of those named or of all, for which a sweep's configuration is enough.

    One that cannot be drawn is left to `render`, which says why. Raises UserError for bad names.
    """
    from sim.runs.errors import UserError

    check(names, formats)
    figures = {}
    for name in dict.fromkeys(names or rooms.figures()):
        if hasattr(module := _module(name), "table_of"):
            with suppress(UserError):
                figures[name] = drawn(name, module.table_of(config), formats)
    return Early(config, figures)


def tell(program: str, boxed: set[str]) -> None:
    """Of names with letters that the font lacks, if there are any."""
    if boxed:
        from figures.engine import glyphs, style

        glyphs.tell(program, boxed, style.RC["font.family"])


def usable(out: Path) -> Path:
    """out, unless it is a file."""
    from sim.runs.errors import UserError

    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    return out


def check(names: Sequence[str], formats: Sequence[str]) -> None:
    """Raise UserError for a name of no figure or format, and where no format is given."""
    known("figure", names, rooms.figures())
    known("format", formats or [""], FORMATS)


def known(what: str, names: Sequence[str], choices: Sequence[str] | dict[str, str]) -> None:
    """Raise UserError for a name that is no choice."""
    from sim.runs.errors import UserError

    for name in names:
        if name not in choices:
            raise UserError(f"unknown {what} {name!r}: choose from {', '.join(choices)}")


def contents(
    name: str,
    table: "pd.DataFrame",
    run: Path,
    record: dict[str, Any],
    formats: Sequence[str],
    boxed: set[str],
) -> dict[str, bytes]:
    """What the files of a figure of a table are to hold, by file name.

    Texts with letters that the font lacks are added to boxed.
    """
    figure = drawn(name, table, formats)
    boxed |= figure.boxed
    return figure.pictures | _numbers(name, table, run, record, formats)


def drawn(name: str, table: "pd.DataFrame", formats: Sequence[str]) -> Drawn:
    """A figure of a table."""
    from figures.engine import glyphs, style

    pictures = {}
    with style.use(), glyphs.quiet():
        figure = _module(name).draw(table)
        boxed = glyphs.boxed(figure, style.RC["font.family"])
        if engine := figure.get_layout_engine():  # once for all formats
            engine.execute(figure)
            figure.set_layout_engine(None)  # with one, even "none", savefig draws twice
        for form in dict.fromkeys(formats):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=form, metadata=style.METADATA[form])
            pictures[f"{name}.{form}"] = buffer.getvalue()
    return Drawn(table, pictures, boxed)


def _module(name: str) -> Any:
    """A figure's."""
    return importlib.import_module(rooms.figures()[name])


def _numbers(
    name: str, table: "pd.DataFrame", run: Path, record: dict[str, Any], formats: Sequence[str]
) -> dict[str, bytes]:
    listed = ",".join(dict.fromkeys(formats))
    command = f"python -m figures.render {name} --from {run.resolve().name} --format {listed}"
    what = {"figure": name, "description": _module(name).DESCRIPTION}
    return numbers(name, table, what, record, command)


def numbers(
    name: str, table: "pd.DataFrame", what: dict[str, str], record: dict[str, Any], command: str
) -> dict[str, bytes]:
    """NAME.csv with a table, and NAME.json with where it comes from: the run, and the command."""
    from sim.runs.identity import written

    rendered = {**_code(), "command": command}
    source = {**what, "run": record, "rendered": rendered}
    return {
        f"{name}.csv": table.to_csv(index=False, lineterminator="\n").encode(),
        f"{name}.json": written(source),
    }


@once
def _code() -> dict[str, Any]:
    """What draws: commit and versions."""
    from sim.runs.provenance import commit, versions

    return {"commit": commit(), "versions": versions()}


def write(files: dict[str, bytes], out: Path) -> list[Path]:
    """Write files into a folder, all or, where it cannot be written, none: UserError."""
    from sim.runs.errors import UserError

    try:
        return _write(files, out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write to {out} ({reason}): name another folder with --out"
        ) from None


def _write(files: dict[str, bytes], out: Path) -> list[Path]:
    """Write the files in a hidden folder inside out, then move them: a full disk leaves none."""
    out.mkdir(parents=True, exist_ok=True)
    with temporary(Path(tempfile.mkdtemp(prefix=".render-", dir=out))) as staging:
        for name, content in files.items():
            (staging / name).write_bytes(content)
        for name in files:
            (staging / name).replace(out / name)
    return [out / name for name in files]


def parser() -> Parser:
    """Of the command line."""
    made = Parser(
        prog="figures.render",
        description="Render figures from the run folder of a sweep or a study.",
    )
    made.add_argument(
        "names", nargs="*", metavar="NAME", help="none: all that the run has rows for"
    )
    made.add_argument(
        "--from",
        dest="run",
        type=Path,
        metavar="RUN",
        help="the --out folder of a sweep or a study",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="where to write (RUN/_figures)")
    made.add_argument("--format", default="png", metavar="F,…", help="any of png,pdf,svg (png)")
    made.add_argument("--list", action="store_true", help="list the figures and stop")
    made.add_argument(
        "--when-told",
        action="store_true",
        help="get ready for the run of a sweep's configuration (JSON, in a line of input), and begin "
        "after another line; end where there is none",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after one line on stderr where the input is bad."""
    command = parser()
    given = command.parse_args(arguments)
    if given.run is None and not given.list:
        command.error("no run given: add --from RUN, the --out folder of a sweep or a study")
    return ended("figures.render", partial(_main, given))


def _main(given: argparse.Namespace) -> int:
    if given.list:
        for name, module in rooms.figures().items():
            print(f"{name:24}{importlib.import_module(module).DESCRIPTION}")
        return 0
    formats = given.format.split(",")
    early = None
    if given.when_told:
        get_ready()
        if not (line := sys.stdin.readline()).endswith("\n"):  # whoever wrote it has ended
            return 0
        early = draw_early(_configuration(line), given.names, formats)
        if not sys.stdin.readline():
            return 0
    written, left_out = render(given.names, given.run, given.out, formats, early)
    for line in left_out:
        print(f"figures.render: {line}", file=sys.stderr)
    for path in written:
        print(path)
    return 0


def _configuration(line: str) -> dict[str, Any]:
    """Of a line of JSON. Raises UserError for what is none."""
    from sim.runs.errors import UserError
    from sim.runs.identity import parsed

    try:
        config = parsed(line)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError("the first line of input is no configuration: give one in JSON")
    return config
