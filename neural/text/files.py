"""Plain text from files: .txt, .gz and .xz, in UTF-8, with errors that say the file and the byte."""

import gzip
import lzma
import unicodedata
import zlib
from pathlib import Path

from sim.runs.errors import UserError
from sim.runs.files import regular

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


def lines(path: Path, *, marks: bool = False) -> list[str]:
    """The lines of a file of one passage a line; an empty one is a passage that is missing. Raises as `read`.

    marks: byte order marks may stand inside, as in the published texts of XQuAD, whose answers' places count them.
    """
    return _decoded(path, marks=marks).removesuffix("\n").split("\n")


def _decoded(path: Path, *, marks: bool = False) -> str:
    content = _unpacked(regular(path))
    if kind := _kind(content):
        raise UserError(f"{path} is {kind[0]}, not UTF-8 text: {kind[1]}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8: "
            "convert the file, for example by `iconv -f LATIN1 -t UTF-8`"
        ) from None
    text = text.removeprefix("\ufeff")
    if not marks and (place := text.find("\ufeff")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise UserError(
            f"{path}, line {line}: a byte order mark inside the text, as where files were joined: "
            "take it out, for example by `sed 's/\\xEF\\xBB\\xBF//g'`"
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise UserError(f"{path} is empty: give a file with text, or leave it out")
    return text


MAGIC: dict[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("packed by gzip", "name it .gz"),
    b"\xfd7zXZ\x00": ("packed by xz", "name it .xz"),
    b"BZh": ("packed by bzip2", "unpack it by `bunzip2`"),
    b"\x28\xb5\x2f\xfd": ("packed by Zstandard", "unpack it by `unzstd`"),
    b"\x04\x22\x4d\x18": ("packed by LZ4", "unpack it by `unlz4`"),
    b"PK\x03\x04": ("a zip archive (or what is one inside, as .docx)", "unpack it by `unzip`"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it by `7z x`"),
    b"%PDF-": ("a PDF", "take its text, for example by `pdftotext`"),
    b"PAR1": ("a Parquet file", "write its column of text to a .txt file"),
    b"\xff\xfe\x00\x00": ("in UTF-32", "convert it by `iconv -f UTF-32 -t UTF-8`"),
    b"\x00\x00\xfe\xff": ("in UTF-32", "convert it by `iconv -f UTF-32 -t UTF-8`"),
    b"\xff\xfe": ("in UTF-16", "convert it by `iconv -f UTF-16 -t UTF-8`"),
    b"\xfe\xff": ("in UTF-16", "convert it by `iconv -f UTF-16 -t UTF-8`"),
}
"""How files begin that are often given for text: what they are, and the remedy."""


def _kind(content: bytes) -> tuple[str, str] | None:
    """What some bytes are that are no text, and the remedy; None for what may be text."""
    for start, kind in MAGIC.items():
        if content.startswith(start):
            return kind
    zeros = content.find(0)
    if zeros < 0:
        return None
    for order, places in (("LE", content[1:64:2]), ("BE", content[:64:2])):
        if places and places.count(0) > len(places) // 2:
            return f"in UTF-16{order}", f"convert it by `iconv -f UTF-16{order} -t UTF-8`"
    return (
        f"binary (a zero byte at offset {zeros})",
        "give text, or take the zeros out by `tr -d '\\000'` where they are a mistake",
    )


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
        if path.suffix not in (".gz", ".xz"):
            return path.read_bytes()
        with (gzip if path.suffix == ".gz" else lzma).open(path) as stream:
            content = stream.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: check the path") from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is truncated or damaged ({error}): fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}: make it readable") from None
    if content.startswith((b"\x1f\x8b", b"\xfd7zXZ\x00")):
        raise UserError(f"{path} is packed twice: unpack it once, and name it for what is left")
    return content
