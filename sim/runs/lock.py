"""One client at a time in a local folder: a lock that ends with its process, however that ends."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.runs.errors import UserError
from theory.command.ending import temporary

LOCK = "_lock"

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for the block. Raises UserError, naming the holder, if another client holds it.

    Where there are no locks (some network file systems, Windows) nothing is held, and clients share the folder.
    """
    path = folder / LOCK
    descriptor = _acquired(path)
    try:
        with temporary(path):  # gone before it is released: afterwards it may be another's
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{socket.gethostname()}, process {os.getpid()}".encode(), 0)
            yield
    finally:
        os.close(descriptor)


def _acquired(path: Path) -> int:
    """A descriptor of the lock file, locked until it is closed."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _flock(descriptor):
                holder = path.read_text() if path.exists() else ""
                raise UserError(
                    f"{path.parent} is in use by another process ({holder or 'just started'}): "
                    "wait until it ends, or give --out another folder"
                )
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file between our opening and locking it


def _flock(descriptor: int) -> bool:
    """Lock the file, or say False if another process has; True where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
