"""Plain text from files: .txt, .gz and .xz, in UTF-8, with errors that say the file and the byte."""

import gzip
import lzma
import unicodedata
import zlib
from pathlib import Path

from sim.runs.errors import UserError

SUFFIXES = (".txt", ".txt.gz", ".txt.xz", ".gz", ".xz")
JOINERS = "\u200c\u200d"
"""The invisible characters that are spelling, in Arabic and Indic scripts."""


def is_text(path: Path) -> bool:
    """Whether the name of a file in a folder says it is text."""
    return path.is_file() and not path.name.startswith(".") and path.name.endswith(SUFFIXES)


def text_files(folder: Path) -> list[Path]:
    """The text files under a folder, in order of name. Raises UserError if there is none."""
    files = sorted(path for path in folder.rglob("*") if is_text(path))
    if not files:
        raise UserError(f"{folder} holds no text: give a folder with .txt, .gz or .xz files")
    return files


def read(path: Path) -> str:
    """The text of a file with line ends as "\\n", without a byte order mark and without empty lines at its ends.

    Raises UserError if it is missing, unreadable, damaged, empty or not UTF-8, with the offset in the unpacked bytes.
    """
    return _decoded(path).strip("\n")


def lines(path: Path) -> list[str]:
    """The lines of a file of one passage a line; an empty one is a passage that is missing. Raises as `read`."""
    return _decoded(path).removesuffix("\n").split("\n")


def _decoded(path: Path) -> str:
    content = _unpacked(path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8: "
            "convert the file, for example by `iconv -f LATIN1 -t UTF-8`"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise UserError(f"{path} is empty: give a file with text, or leave it out")
    return text


def normalise(line: str) -> str:
    """A line in Unicode normal form C, without control characters, white space folded to single spaces."""
    visible = (
        character
        for character in " ".join(line.split())
        if unicodedata.category(character) not in ("Cc", "Cf") or character in JOINERS
    )
    return unicodedata.normalize("NFC", "".join(visible)).strip()


def _unpacked(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return stream.read()
        if path.suffix == ".xz":
            with lzma.open(path) as stream:
                return stream.read()
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: check the path") from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is truncated or damaged ({error}): fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}: make it readable") from None
