"""A folder of Parquet parts, one a batch of cells, readable as one dataset by `pandas.read_parquet(folder)`.

A part is written under a hidden name, flushed to disk and renamed, so at any moment of a kill the folder holds whole
parts only. Everything that is not a part begins with an underscore or a dot, which Parquet readers skip.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.runs.errors import UserError
from sim.runs.identity import identity
from sim.runs.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = "_provenance.json"
FIGURES = "_figures"


class Run:
    """One run's folder. `open` it to write, or read an existing one with `Run.existing`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path, config: Any, *, resume: bool, parts: list[str]) -> "Run":
        """A folder to write the named parts of this configuration into.

        Raises UserError if it is a file, is not writable, or holds something else; or if it holds an unfinished run
        of the same configuration and `resume` is false (another process may be at it).
        """
        run = cls(folder)
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: give --out a folder")
        if folder.is_dir() and any(folder.iterdir()):
            if run.identity != identity(config):
                raise UserError(
                    f"{folder} holds {'another run' if run.identity else 'other files'}: "
                    "give --out a new folder, or delete this one"
                )
            if not resume and not set(parts) <= run.parts():
                raise UserError(
                    f"{folder} holds an unfinished run of this configuration: add --resume, or give --out a new folder"
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink()
            if run.identity is None:
                record = json.dumps(provenance(config), indent=2)
                run._replace(PROVENANCE, lambda path: path.write_text(record + "\n"))
        except OSError as error:
            raise _unusable(folder, error) from error
        return run

    @classmethod
    def existing(cls, folder: Path) -> "Run":
        """A run to read. Raises UserError if the folder is not one."""
        run = cls(folder)
        if run.identity is None:
            raise UserError(
                f"{folder} is not a run folder: make one with `python -m sim.sweep --out {folder}`"
            )
        return run

    @property
    def identity(self) -> str | None:
        """The identity of the configuration whose results lie here."""
        return (self.provenance() or {}).get("identity")

    def provenance(self) -> dict[str, Any] | None:
        """The record written when the run began, or None."""
        try:
            record = json.loads((self.folder / PROVENANCE).read_text())
            return record if "identity" in record else None
        except (OSError, ValueError, TypeError):
            return None

    def parts(self) -> set[str]:
        """Names of the parts that are written."""
        return {path.stem for path in self.folder.glob("part-*.parquet")}

    def write(self, part: str, table: "pd.DataFrame") -> None:
        """Write one part, whole or not at all."""
        try:
            self._replace(f"{part}.parquet", lambda path: table.to_parquet(path, index=False))
        except OSError as error:
            raise _unusable(self.folder, error) from error

    def table(self) -> "pd.DataFrame":
        """All rows written so far, in order of part."""
        import pandas as pd

        if not self.parts():
            raise UserError(
                f"{self.folder} has no results yet: finish it with `python -m sim.sweep --resume`"
            )
        return pd.read_parquet(self.folder)

    def _replace(self, name: str, write: Any) -> None:
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        try:
            write(temporary)
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)


def _unusable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        f"cannot write to {folder} ({reason}): free space there, or give --out another folder"
    )
