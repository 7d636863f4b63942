"""A folder of Parquet parts, one a batch of cells, readable as one dataset by `pandas.read_parquet(folder)`.

The folder is local or a URL of fsspec's. It holds whole parts only, at any moment of a kill. Everything that is not a
part begins with an underscore or a dot, which Parquet readers skip.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from sim.runs.errors import UserError
from sim.runs.files import files, located
from sim.runs.identity import identity, written
from sim.runs.lock import LOCK, held
from sim.runs.provenance import provenance, resumed

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = "_provenance.json"
FIGURES = "_figures"


class Run:
    """One run's folder, a Path or a URL. `open` it to write, or read an existing one with `Run.existing`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = located(folder)
        self.files = files(self.folder)

    @classmethod
    def open(cls, folder: Path | str, config: Any, *, resume: bool, parts: list[str]) -> "Run":
        """A folder to write the named parts of this configuration into.

        Raises UserError if it is a file, is not writable, or holds something else; or if it holds an unfinished run
        of the same configuration and `resume` is false. Of two that open an empty folder at once, one makes the run
        and the other finds it.
        """
        run = cls(folder)
        if isinstance(run.folder, Path) and run.folder.is_file():
            raise UserError(f"{folder} is a file: give --out a folder")
        with _usable("write to", run.folder):
            made = run._admit(config, resume, parts)
            run.files.prepare()
            if not made:
                try:
                    run.files.create(PROVENANCE, written(provenance(config)))
                except FileExistsError:
                    run._admit(config, resume, parts)
            elif not set(parts) <= run.parts() and (record := resumed(run.provenance() or {})):
                run.files.replace(PROVENANCE, written(record))
        return run

    def _admit(self, config: Any, resume: bool, parts: list[str]) -> bool:
        """Whether the folder holds this run. Raises UserError if it holds something else, or less than `open` wants."""
        found = self.files.names() - {LOCK}
        if not found:
            return False
        if self.identity != identity(config):
            raise UserError(
                f"{self.folder} holds {'another run' if self.identity else 'other files'}: "
                "give --out a new folder, or delete this one"
            )
        if not resume and not set(parts) <= _parts(found):
            raise UserError(
                f"{self.folder} holds an unfinished run of this configuration: "
                "add --resume, or give --out a new folder"
            )
        return True

    @classmethod
    def existing(cls, folder: Path | str) -> "Run":
        """A run to read. Raises UserError if the folder is not one."""
        run = cls(folder)
        with _usable("read", run.folder):
            found = run.identity
        if found is None:
            raise UserError(f"{folder} is not a run folder: give one that a sweep or a study wrote")
        return run

    @property
    def identity(self) -> str | None:
        """The identity of the configuration whose results lie here."""
        return (self.provenance() or {}).get("identity")

    def provenance(self) -> dict[str, Any] | None:
        """The record written when the run began, with the other commits that went on with it; or None."""
        try:
            record = json.loads(self.files.read(PROVENANCE))
            return record if "identity" in record else None
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other clients out for a block of code. Raises UserError, naming the client that is in.

        On an object store nobody is kept out: what two clients of one run write there is the same.
        """
        with ExitStack() as stack:
            if isinstance(self.folder, Path):
                with _usable("write to", self.folder):
                    stack.enter_context(held(self.folder))
            yield

    def parts(self) -> set[str]:
        """Names of the parts that are written."""
        return _parts(self.files.names())

    def write(self, part: str, table: "pd.DataFrame") -> None:
        """Write one part, whole or not at all."""
        with _usable("write to", self.folder):
            self.files.replace(f"{part}.parquet", table.to_parquet(index=False))

    def table(self) -> "pd.DataFrame":
        """All rows written so far, in order of part."""
        import pandas as pd

        self._written()
        return pd.read_parquet(self.folder)

    def tables(self, columns: Sequence[str] | None = None) -> "Iterator[pd.DataFrame]":
        """The parts written so far, in order and one at a time; of all columns, or those named."""
        for part in self._written():
            with _usable("read", self.folder):
                content = self.files.read(f"{part}.parquet")
            yield unpacked(content, columns)

    def _written(self) -> list[str]:
        parts = sorted(self.parts())
        if not parts:
            raise UserError(
                f"{self.folder} has no results yet: finish it with `python -m sim.sweep --resume`"
            )
        return parts


def unpacked(content: bytes, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The table of a Parquet file, of all columns or those named, as pandas.read_parquet gives it.

    Without Arrow's threads, which now and then abort a process that ends while they live (apache/arrow#34314).
    """
    from pyarrow import BufferReader
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(BufferReader(content), pre_buffer=False)
    named = None if columns is None else list(columns)
    table: pd.DataFrame = file.read(named, use_threads=False).to_pandas(use_threads=False)
    return table


def _parts(names: set[str]) -> set[str]:
    return {PurePath(name).stem for name in names if PurePath(name).match("part-*.parquet")}


@contextmanager
def _usable(do: str, folder: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = (
            "free space there, or give --out another folder" if do == "write to" else "mend that"
        )
        raise UserError(f"cannot {do} {folder} ({reason}): {remedy}") from error
