"""Downloads of named corpora and annotated sentences from their origins: `python -m neural.corpus fetch NAME`.

An origin is files of a repository at a commit. neural.text.origins says how they become the corpus; the result is held
against a pinned sha256, so what is fetched is the corpus, byte for byte, or is refused. A download that broke off goes
on where it stopped.

Some corpora come with the package. The others have no such origin: their text was cleaned, aligned or divided by hand
or at random from files that no longer stand together, so no address could give it.
"""

import hashlib
import logging
import lzma
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neural.text.corpora import ANNOTATED, CORPORA, PACKAGED, cache_folder, packaged
from neural.text.origins.recipes import ORIGINS, Origin, place
from sim.runs.errors import UserError
from theory.command.progress import progress

ATTEMPTS = 4
"""How often a connection that breaks is made again."""
CHUNK = 2**12
"""Bytes written at once; a connection that breaks loses less than this."""
RAW_FOLDER = ".origin"
"""Where downloads lie, below the half-made corpus."""
TIMEOUT = 30
"""Seconds without an answer after which a connection counts as broken."""


def fetch(name: str, data_dir: Path | None = None) -> Path:
    """The folder of a corpus below data_dir (default: the user's cache), downloaded if it is not there.

    It appears when it is whole; what comes with the package is copied to data_dir, or is where it is. Raises UserError
    for a corpus that is unknown or not distributed, for an origin that cannot be reached, and for one that no longer
    holds what was pinned.
    """
    known = CORPORA | ANNOTATED
    if name not in known:
        raise UserError(f"unknown corpus {name!r}: choose from {', '.join(known)}, laptop")
    if name not in ORIGINS and name not in PACKAGED:
        raise UserError(
            f"{name} is not distributed: no address gives it as it is ({known[name].origin}): "
            f"give --data-dir a folder that holds it, or choose from {', '.join((*PACKAGED, *ORIGINS))}"
        )
    if name in PACKAGED and data_dir is None:
        return packaged(name)
    folder = (cache_folder() if data_dir is None else data_dir) / place(name)
    if folder.is_dir():
        return folder
    half = folder.with_name(f".{folder.name}.fetching")
    try:
        if name in PACKAGED:
            shutil.copytree(packaged(name), half, dirs_exist_ok=True)
        else:
            _download_all(ORIGINS[name], half)
        half.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}): free space there, or give another --data-dir"
        ) from None
    return folder


def fetch_all(
    names: Sequence[str], data_dir: Path | None
) -> Iterator[tuple[str, Path | UserError]]:
    """What can be had of these corpora: of each its folder, or why it is not there. Goes on after a failure."""
    for name in names:
        try:
            yield name, fetch(name, data_dir)
        except UserError as error:
            yield name, error


def _download_all(origins: Sequence[Origin], folder: Path) -> None:
    """All files of a corpus, downloaded where they are not yet, into a folder."""
    (folder / RAW_FOLDER).mkdir(parents=True, exist_ok=True)
    for origin in origins:
        _make(folder, origin)
    shutil.rmtree(folder / RAW_FOLDER)


def _make(folder: Path, origin: Origin) -> None:
    """One file of a corpus."""
    raw = [_download(url, folder / RAW_FOLDER) for url in origin.urls]
    try:
        content = origin.form(raw)
    except (UserError, ValueError, LookupError, TypeError):  # empty, not UTF-8, or of another form
        content = b""
    digest = hashlib.sha256(content).hexdigest()
    if digest != origin.sha256:
        for path in raw:
            path.unlink()
        raise UserError(
            f"{' and '.join(origin.urls)} gave another {origin.file} than expected "
            f"(sha256 {digest[:16]}, not {origin.sha256[:16]}): try again; if it stays so, the origin has changed"
        )
    path = folder / origin.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress(content))


def _download(url: str, folder: Path) -> Path:
    """The file of an address, in a folder that keeps what an earlier attempt got of it."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # else it advises to pin the raw file
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    part = folder / f"{name}.part"
    broken = requests.exceptions.ChunkedEncodingError

    def download(url: str, output_file: str, _: Any) -> None:
        for attempt in range(ATTEMPTS):
            try:
                _continue(url, part)
                break
            except (requests.ConnectionError, requests.Timeout, broken):
                if attempt == ATTEMPTS - 1:
                    raise
        part.replace(output_file)

    try:
        raw_path = pooch.retrieve(
            url, known_hash=None, fname=name, path=folder, downloader=download
        )
    except requests.RequestException as error:
        answer = error.response
        reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
        raise UserError(
            f"cannot fetch {url} ({reason}): check the connection; the same command goes on where it stopped"
        ) from None
    return Path(raw_path)


def _continue(url: str, part: Path) -> None:
    """Download the rest of a file, all of it if there is no part yet or the server does not give rests.

    Raises requests.RequestException; part then holds what came.
    """
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was whole already
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("the part kept is not of this file")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        have = have if resumed else 0
        size = int(response.headers.get("Content-Length", 0)) + have
        with (
            part.open("ab" if resumed else "wb") as stream,
            progress(size, done=have, unit="bytes", scaled=True) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
        if part.stat().st_size < size:
            raise requests.ConnectionError(f"{part.stat().st_size} of {size} bytes came")
