"""The files of a run's folder, local or on an object store: listed, read, and written whole or not at all."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

from sim.runs.errors import UserError
from theory.command.ending import temporary

ABANDONED = 3600.0
"""Seconds after which a temporary file is the leftover of a kill: no write takes so long."""


def regular(path: Path) -> Path:
    """The path, unless it is of something whose reading may never end: UserError for a pipe, a socket or a device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path  # whoever reads it says what is wrong
    kinds = {"pipe": stat.S_ISFIFO, "socket": stat.S_ISSOCK, "device": stat.S_ISCHR}
    for kind, is_kind in (kinds | {"disk": stat.S_ISBLK}).items():
        if is_kind(mode):
            raise UserError(
                f"{path} is a {kind}, not a file: save what it gives in a file, and give that"
            )
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary to write, which takes the place of path when the block ends: whole, on disk, and with the mode that
    the umask gives to new files, whoever wrote it. If the block fails, path is as it was and nothing else is left.
    """
    with _hidden(path) as unfinished:
        unfinished.touch(exist_ok=False)
        mode = stat.S_IMODE(unfinished.stat().st_mode)
        yield unfinished
        unfinished.chmod(mode)
        sync(unfinished)
        unfinished.replace(path)


def _hidden(path: Path) -> AbstractContextManager[Path]:
    """A name beside path for a temporary, of which nothing is left after the block."""
    return temporary(path.with_name(f".{path.name}.{uuid4().hex}.tmp"))


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LocalFiles:
    """A folder on this machine, or on a file system that machines share.

    A file is written under a hidden name, flushed to disk and renamed, so at any moment of a kill the folder holds
    whole files only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> set[str]:
        """What lies in the folder, temporaries aside; nothing if there is no folder."""
        try:
            return {path.name for path in self.folder.iterdir() if not _temporary(path.name)}
        except FileNotFoundError:
            return set()

    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError if there is none, UserError for a pipe or a device."""
        return regular(self.folder / name).read_bytes()

    def prepare(self) -> None:
        """Make the folder, and clear it of temporaries that nobody writes any more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in [path for path in self.folder.iterdir() if _temporary(path.name)]:
            try:
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
            except FileNotFoundError:  # its writer is alive
                continue

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, in place of the one of this name if there is one."""
        with replacing(self.folder / name) as unfinished:
            unfinished.write_bytes(content)

    def create(self, name: str, content: bytes) -> None:
        """Write a new file. Raises FileExistsError if there is one, be it of the same moment."""
        path = self.folder / name
        with _hidden(path) as unfinished:
            unfinished.write_bytes(content)
            sync(unfinished)
            try:
                os.link(unfinished, path)
            except OSError:
                if path.exists():
                    raise FileExistsError(name) from None
                unfinished.replace(path)  # a file system without links


class RemoteFiles:
    """A folder on an object store, or whatever else fsspec has a protocol for. A file is one put, which is atomic.

    Errors of a store's own kind (credentials, buckets) are raised as OSError.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            with _os_errors():
                self.store, self.folder = fsspec.url_to_fs(url, use_listings_cache=False)
        except OSError as error:
            raise UserError(
                f"cannot use {url} ({error}): mend that, or give --out a local folder"
            ) from error

    def names(self) -> set[str]:
        """What lies in the folder; nothing if there is no folder."""
        try:
            with _os_errors():
                paths = self.store.ls(self.folder, detail=False)
        except FileNotFoundError:
            return set()
        return {PurePosixPath(path).name for path in paths}

    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError if there is none."""
        with _os_errors():
            return self.store.cat_file(f"{self.folder}/{name}")

    def prepare(self) -> None:
        """Nothing: an object store has no folders to make, and a put leaves no temporaries."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, in place of the one of this name if there is one."""
        with _os_errors():
            self.store.pipe_file(f"{self.folder}/{name}", content)

    def create(self, name: str, content: bytes) -> None:
        """Write a new file. Raises FileExistsError if there is one, be it of the same moment if the store has
        conditional puts (as S3 does)."""
        with _os_errors():
            self.store.pipe_file(f"{self.folder}/{name}", content, mode="create")


def located(folder: Path | str) -> Path | str:
    """A Path for a local folder, file:// included; for any other its URL."""
    if isinstance(folder, str) and "://" in folder and not folder.startswith("file://"):
        return folder
    return Path(str(folder).removeprefix("file://"))


def files(folder: Path | str) -> LocalFiles | RemoteFiles:
    """The files of a folder given as by `located`."""
    return LocalFiles(folder) if isinstance(folder, Path) else RemoteFiles(folder)


def _temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(" ".join(str(error).split())) from error
