"""Programs that JAX compiled, kept on disk for the processes that come after.

JAX has such a cache of its own, which reads what it finds, writes in place and never mends a damaged entry. Ours lies
below it: entries carry the sha256 of their key and content, appear whole or not at all, and are many small files of
which the least recently used go first. What a folder holds runs as code, so one that others may write is not used.
"""

import hashlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from theory.command.ending import temporary

VARIABLE = "COGNITIVE_RESERVE_PROGRAMS"
"""Of the environment: a folder in place of the user's cache, or "none". Processes that this one starts follow it."""
NONE = "none"

MOST = 2**30
"""Bytes of all programs; where there are more, the least recently used go until three quarters are left."""

SUFFIX = ".program"
DIGEST = hashlib.sha256().digest_size
REFUSALS = 8
"""Entries in a row that JAX does not load, after which none is offered to it any more."""


def keep(wanted: bool = True) -> None:
    """Have programs kept from here on, and those of earlier processes used; not wanted: neither, in children too.

    To be called before anything is compiled; a second call does nothing. A folder that cannot be used is named in a
    line, and nothing is kept. Where the environment sets JAX's own cache (JAX_COMPILATION_CACHE_DIR), that does it.
    """
    if not wanted:
        os.environ[VARIABLE] = NONE
    if os.environ.get(VARIABLE) == NONE or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    _keep_in(root() / machine())


@cache
def _keep_in(folder: Path) -> None:
    if problem := unusable(folder):
        _say(f"{folder} {problem}: programs are compiled anew; {VARIABLE} names another folder")
    else:
        _install(folder)


def room(size: int, least: int) -> int:
    """The least power of two that is at least `size` and `least`: what is filled up to it shares a program."""
    return max(least, 1 << (size - 1).bit_length())


def root() -> Path:
    """The folder of the programs of all machines."""
    import pooch

    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    return Path(pooch.os_cache("cognitive-reserve")) / "programs"


@cache
def machine() -> str:
    """Names what a program depends on beside its key in JAX: versions, options of the compiler, and the processor."""
    parts = {
        "packages": [version(name) for name in ("jax", "jaxlib")],
        "machine": [platform.system(), platform.machine(), platform.processor()],
        "options": [os.environ.get(name, "") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")],
        "processor": _processor(),
    }
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    """Model and instructions of the first processor, where the system says so in a file."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return []
    named = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
    return [line for line in first.splitlines() if line.startswith(named)]


def unusable(folder: Path) -> str:
    """Why programs are not to be kept in a folder, which is made where it is missing; nothing if they are."""
    try:
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = place.stat()
            if status.st_uid != os.geteuid():
                return "belongs to someone else"
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return "can be written by others"
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    return ""


def _install(folder: Path) -> None:
    import jax
    from jax._src import compilation_cache
    from jax._src.compilation_cache_interface import CacheInterface

    class Programs(CacheInterface):
        """Entries of a folder by JAX's key; what cannot be read is missing, what cannot be written is not kept."""

        def __init__(self) -> None:
            self._path = folder
            self.entries = Entries(folder)

        def get(self, key: str) -> bytes | None:
            return self.entries.get(key)

        def put(self, key: str, value: bytes) -> None:
            self.entries.put(key, value)

    programs = Programs()

    def loaded(event: str, **_: str | int) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            programs.entries.loaded()

    jax.monitoring.register_event_listener(loaded)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Else keys would name the folder.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    # JAX has no public way to say how entries are kept.
    compilation_cache.get_file_cache = lambda path: (programs, path)


class Entries:
    """Bytes by key in the files of a folder that several processes use at once."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self.folder, self.most = folder, most
        self.refused = 0
        self._size: int | None = None

    def get(self, key: str) -> bytes | None:
        """The content of a key, as it was put; None where there is none, or it is damaged, and then gone."""
        path = self._path(key)
        if self.refused >= REFUSALS:
            return None
        try:
            whole = path.read_bytes()
            digest, content = whole[:DIGEST], whole[DIGEST:]
            if digest != _digest(key, content):
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        except OSError:
            return None
        self.refused += 1  # until JAX says that it loaded it
        if self.refused == REFUSALS:
            _say(f"JAX loads no program of {self.folder} on this machine: they are compiled anew")
        return content

    def loaded(self) -> None:
        """JAX made a program of what it got last."""
        self.refused = 0

    def put(self, key: str, content: bytes) -> None:
        """Keep the content of a key, if there is room for it."""
        path = self._path(key)
        try:
            with temporary(path.with_name(f".{uuid4().hex}.tmp")) as unfinished:
                unfinished.write_bytes(_digest(key, content) + content)
                unfinished.replace(path)
            self._make_room(len(content))
        except OSError:  # a full disk, or the folder is gone
            return

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"

    def _make_room(self, added: int) -> None:
        """Where all machines' programs are more than `most`, delete those that were longest not used."""
        if self._size is None:
            self._size = sum(size for _, size, _ in _entries(self.folder.parent))
        self._size += added
        if self._size <= self.most:
            return
        left = 0
        for _, size, path in sorted(_entries(self.folder.parent), reverse=True):
            left += size
            if left > self.most * 3 / 4:
                path.unlink(missing_ok=True)
        self._size = min(left, self.most * 3 // 4)


def _entries(root: Path) -> Iterator[tuple[int, int, Path]]:
    """When each was last used, its bytes, and where it is; leftovers of processes that were killed are entries too."""
    for path in root.glob("*/*"):
        try:
            status = path.stat()
        except OSError:  # another process deleted it
            continue
        yield status.st_mtime_ns, status.st_size, path


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + content).digest()


def _say(line: str) -> None:
    print(f"sim.programs: {line}", file=sys.stderr)
