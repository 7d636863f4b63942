"""A folder of results: tables in parts, each written whole, so that what was stopped goes on.

OUT/part-TABLE-….parquet        a part of a table each; `read(OUT, TABLE)` joins them
OUT/_provenance.json            configuration, commit, versions, machine
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pandas as pd

from neural.study.kind import STUDY, name_of
from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.store import AGAIN, Run, unpacked
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
    run = Run.open(out, config, resume=resume, parts=list(todo), **{STUDY: name_of(config)})
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


class Trainable(Protocol):
    """A study in its folder, with the text that it reads."""

    def require_trainable(self) -> None:
        """Raise UserError for a model that cannot be trained."""
        ...


def check(study: Any, read: Callable[[Any, Path], Trainable]) -> None:
    """Raise UserError for all that a study refuses before it trains anything, as a dry run does; nothing is written.

    read gives a study in a folder. Tokenizers are learnt, and the text is encoded.
    """
    with TemporaryDirectory() as folder:
        read(study, Path(folder)).require_trainable()


def read(out: Path, table: str) -> pd.DataFrame:
    """A table, all parts of it. Raises UserError where there is none."""
    paths = sorted(out.glob(f"part-{table}-*.parquet"))
    if not paths:
        raise UserError(f"{out} has no table {table}: finish the study with --resume")
    tables = [_part(path) for path in paths]
    for path, part in zip(paths, tables, strict=True):
        if set(part.columns) != set(tables[0].columns):
            raise UserError(f"{path} has other columns than {paths[0].name}: {AGAIN}")
    return pd.concat(tables, ignore_index=True)


def _part(path: Path) -> pd.DataFrame:
    try:
        content = regular(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): mend that") from None
    return unpacked(content, where=str(path))
