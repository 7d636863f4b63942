"""A folder of Parquet parts, one a batch of cells, readable as one dataset by `pandas.read_parquet(folder)`.

The folder is local or a URL of fsspec's. It holds whole parts only, at any moment of a kill. Everything that is not a
part begins with an underscore or a dot, which Parquet readers skip.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from sim.runs.errors import UserError
from sim.runs.files import files, located
from sim.runs.identity import identity, is_whole, parsed, written
from sim.runs.lock import LOCK, held
from sim.runs.provenance import provenance, resumed

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow.parquet import ParquetFile

PROVENANCE = "_provenance.json"
FIGURES = "_figures"


class Run:
    """One run's folder, a Path or a URL. `open` it to write, or read an existing one with `Run.existing`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = located(folder)
        self.files = files(self.folder)

    @classmethod
    def open(
        cls, folder: Path | str, config: Any, *, resume: bool, parts: list[str], **beside: Any
    ) -> "Run":
        """A folder to write the named parts of this configuration into; beside: what else provenance says.

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
                    run.files.create(PROVENANCE, written(provenance(config, **beside)))
                except FileExistsError:
                    run._admit(config, resume, parts)
            else:
                run._verify()
            if (
                made
                and not set(parts) <= run.parts()
                and (record := resumed(run.provenance() or {}))
            ):
                run.files.replace(PROVENANCE, written(record))
        return run

    def _verify(self) -> None:
        """Raise UserError for a part that is damaged: going on with it would end in nothing."""
        for part in sorted(self.parts()):
            verified(self.files.read(f"{part}.parquet"), f"{self.folder}/{part}.parquet")

    def _admit(self, config: Any, resume: bool, parts: list[str]) -> bool:
        """Whether the folder holds this run. Raises UserError if it holds something else, or less than `open` wants."""
        names = self.files.names() - {LOCK}
        if not names:
            return False
        if self.identity != identity(config):
            raise UserError(
                f"{self.folder} holds {'another run' if self.identity else 'other files'}: "
                "give --out a new folder, or delete this one"
            )
        if not resume and not set(parts) <= _parts(names):
            raise UserError(
                f"{self.folder} holds an unfinished run of this configuration: "
                "add --resume, or give --out a new folder"
            )
        return True

    @classmethod
    def existing(cls, folder: Path | str) -> "Run":
        """A run to read. Raises UserError if the folder is not one, or its record was changed."""
        run = cls(folder)
        with _usable("read", run.folder):
            record = run.provenance()
        if record is None:
            raise UserError(f"{folder} is not a run folder: give one that a sweep or a study wrote")
        if not is_whole(record):
            raise UserError(
                f"{folder}/{PROVENANCE} is not as it was written: its configuration is not that of its identity; "
                "make the run again, or undo the change"
            )
        return run

    @property
    def identity(self) -> str | None:
        """The identity of the configuration whose results lie here."""
        return (self.provenance() or {}).get("identity")

    def provenance(self) -> dict[str, Any] | None:
        """The record written when the run began, with the other commits that went on with it; or None."""
        try:
            record = parsed(self.files.read(PROVENANCE))
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
            self.files.replace(f"{part}.parquet", packed(table))

    def table(self) -> "pd.DataFrame":
        """All rows written so far, in order of part."""
        import pandas as pd

        return pd.concat(list(self.tables()), ignore_index=True)

    def tables(self, columns: Sequence[str] | None = None) -> "Iterator[pd.DataFrame]":
        """The parts written so far, in order and one at a time; of all columns, or those named.

        Raises UserError for a part that is damaged, or has other columns than the first.
        """
        first: tuple[str, set[str]] | None = None
        for part in self._written():
            with _usable("read", self.folder):
                content = self.files.read(f"{part}.parquet")
            table = unpacked(content, columns, f"{self.folder}/{part}.parquet")
            first = first or (part, set(table.columns))
            if first[1] != set(table.columns):
                raise UserError(
                    f"{self.folder}/{part}.parquet has other columns than {first[0]}.parquet: {AGAIN}"
                )
            yield table

    def _written(self) -> list[str]:
        parts = sorted(self.parts())
        if not parts:
            raise UserError(
                f"{self.folder} has no results yet: finish it with `python -m sim.sweep --resume`"
            )
        return parts


AGAIN = "delete it, and --resume makes it again"
DIGEST = b"sha256"
"""The key of a Parquet file's own metadata whose value is the sha256 of the file, read with that value as zeros."""
ZEROS = b"0" * 64


def packed(table: "pd.DataFrame") -> bytes:
    """A Parquet file of a table, as DataFrame.to_parquet writes it, that knows its own sha256."""
    from io import BytesIO

    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    arrow = Table.from_pandas(table, preserve_index=False)
    stream = BytesIO()
    with ParquetWriter(stream, arrow.schema) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata({DIGEST.decode(): ZEROS.decode()})
    content = stream.getvalue()
    return _with_digest(content, _place_of_digest(content), _digest(content))


def _place_of_digest(content: bytes) -> int:
    """Where a file has its sha256; -1 where it has none, as what others write."""
    marks = list(re.finditer(DIGEST + rb"[^0-9a-f]{1,4}[0-9a-f]{64}", content))
    return marks[-1].end() - len(ZEROS) if marks else -1


def _with_digest(content: bytes, place: int, digest: bytes) -> bytes:
    return content[:place] + digest + content[place + len(digest) :]


def _digest(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()


def unpacked(
    content: bytes, columns: Sequence[str] | None = None, where: str = "a part"
) -> "pd.DataFrame":
    """The table of a Parquet file, of all columns or those named, as pandas.read_parquet gives it.

    Without Arrow's threads, which now and then abort a process that ends while they live (apache/arrow#34314).
    Raises UserError, which says where, for a file that is none, is damaged, or lacks a column.
    """
    file = verified(content, where)
    try:
        names = file.schema_arrow.names
        if missing := [name for name in columns or () if name not in names]:
            raise UserError(f"{where} lacks the column {missing[0]}: {AGAIN}")
        named = None if columns is None else list(columns)
        table: pd.DataFrame = file.read(named, use_threads=False).to_pandas(use_threads=False)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        NotImplementedError,
    ) as error:  # Arrow's derive from these
        raise _damaged(where, error) from None
    return table


def verified(content: bytes, where: str) -> "ParquetFile":
    """A Parquet file, of which all bytes are as they were written. Raises UserError, which says where, for another."""
    from pyarrow import BufferReader
    from pyarrow.parquet import ParquetFile

    place = _place_of_digest(content)
    blank = _with_digest(content, place, ZEROS)
    if place >= 0 and _digest(blank) != content[place : place + len(ZEROS)]:
        raise UserError(f"{where} is damaged: {AGAIN}")
    try:
        return ParquetFile(BufferReader(content), pre_buffer=False)
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise _damaged(where, error) from None


def _damaged(where: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{where} is damaged or no Parquet file ({reason}): {AGAIN}")


def _parts(names: set[str]) -> set[str]:
    return {PurePath(name).stem for name in names if PurePath(name).match("part-*.parquet")}


@contextmanager
def readable(folder: Path | str) -> Iterator[None]:
    """Results are read in this block: an error that comes of a part that was put there by others is a UserError.

    What this code wrote has the columns that it reads, and an error with such parts alone is raised as it is.
    """
    try:
        yield
    except UserError:
        raise
    except (KeyError, AttributeError, IndexError, TypeError, ValueError) as error:
        run = Run(folder)
        for part in sorted(run.parts()):
            if _place_of_digest(run.files.read(f"{part}.parquet")) < 0:
                raise UserError(
                    f"{run.folder}/{part}.parquet is not what this version writes, and cannot be used "
                    f"({type(error).__name__}: {error}): {AGAIN}, or read it with the version that wrote it"
                ) from None
        raise


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
