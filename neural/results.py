"""A folder of results: tables in parts, each written whole, so that what was stopped goes on.

OUT/part-TABLE-….parquet        a part of a table each; `read(OUT, TABLE)` joins them
OUT/_provenance.json            configuration, commit, versions, machine
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim.runs.errors import UserError
from sim.runs.store import Run, unpacked
from theory.command.progress import progress

Work = Callable[[], pd.DataFrame]


def fill(
    out: Path,
    config: Any,
    parts: Mapping[str, Work],
    *,
    resume: bool,
    stop: Callable[[], bool],
    before: Sequence[tuple[str, Callable[[], None]]] = (),
) -> Run:
    """Do what comes before, then make the parts that are missing, in order; each is called TABLE-WHATEVER.

    Raises UserError for a folder that is not this configuration's, or unfinished and not to be resumed, and
    KeyboardInterrupt, after the part at hand, when stop() is true.
    """
    todo = {f"part-{part}": work for part, work in parts.items()}
    run = Run.open(out, config, resume=resume, parts=list(todo))
    with run.held(), progress(len(before) + len(todo), unit="parts") as bar:
        for name, work in before:
            bar.set_description(name)
            work()
            bar.update()
        for part in todo:
            bar.set_description(part.removeprefix("part-"))
            if part not in run.parts():
                run.write(part, todo[part]())
            bar.update()
            if stop():
                raise KeyboardInterrupt
    return run


def read(out: Path, table: str) -> pd.DataFrame:
    """A table, all parts of it. Raises UserError where there is none."""
    paths = sorted(out.glob(f"part-{table}-*.parquet"))
    if not paths:
        raise UserError(f"{out} has no table {table}: finish the study with --resume")
    return pd.concat([unpacked(path.read_bytes()) for path in paths], ignore_index=True)
