"""Text files: what is no text is called by its name, with the remedy for that."""

import bz2
import gzip
import lzma
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from neural.text import files as text
from sim.runs.errors import UserError
from tests.neural.refusal import message
from tests.places import SHARED

DATA = SHARED / "data"

WORDS = "Ένα μικρό κείμενο.\nA short text.\n" * 20

WRONG: dict[str, tuple[bytes, str]] = {
    "bzip2": (bz2.compress(WORDS.encode()), "packed by bzip2, not UTF-8 text: unpack it by `bunzip2`"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "packed by Zstandard, not UTF-8 text: unpack it by `unzstd`"),
    "gzip": (gzip.compress(WORDS.encode()), "packed by gzip, not UTF-8 text: name it .gz"),
    "xz": (lzma.compress(WORDS.encode()), "packed by xz, not UTF-8 text: name it .xz"),
    "zip": (b"PK\x03\x04" + bytes(40), "a zip archive"),
    "UTF-16": (WORDS.encode("utf-16"), "in UTF-16, not UTF-8 text: convert it by `iconv -f UTF-16 -t UTF-8`"),
    "UTF-16LE": ("plain words\n".encode("utf-16-le"), "in UTF-16LE, not UTF-8 text: convert it by `iconv -f UTF-16LE"),
    "UTF-16BE": ("plain words\n".encode("utf-16-be"), "in UTF-16BE, not UTF-8 text: convert it by `iconv -f UTF-16BE"),
    "UTF-32": (WORDS.encode("utf-32"), "in UTF-32, not UTF-8 text: convert it by `iconv -f UTF-32"),
    "zeros": (b"some words, then \0 and more words that go on" * 3, "binary (a zero byte at offset 17)"),
    "marks": (b"one\n\xef\xbb\xbftwo\n", "line 2: a byte order mark inside the text"),
    "Latin 1": ("déjà vu\n".encode("latin-1"), "byte 0xe9 at offset 1 is not UTF-8"),
    "PDF": (b"%PDF-1.4\n1 0 obj", "a PDF, not UTF-8 text: take its text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_text_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    content, said = WRONG[kind]
    path = tmp_path / "en.txt"
    path.write_bytes(content)
    for read in (text.read, text.lines):
        refusal = message(read, path)  # type: ignore[arg-type]
        assert refusal.startswith(str(path))
        assert said in refusal


def test_a_file_that_is_packed_twice_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "en.txt.gz"
    path.write_bytes(gzip.compress(gzip.compress(WORDS.encode())))
    assert "packed twice: unpack it once" in message(text.read, path)


def test_text_is_read_packed_or_not_with_a_mark_at_its_beginning(tmp_path: Path) -> None:
    for name, pack in (("a.txt", bytes), ("a.gz", gzip.compress), ("a.txt.xz", lzma.compress)):
        path = tmp_path / name
        path.write_bytes(pack(WORDS.encode("utf-8-sig")))
        assert text.read(path) == WORDS.strip("\n")


def of_pipe(path: Path) -> None:
    os.mkfifo(path)


def of_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def of_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("kind", "make"), [("pipe", of_pipe), ("socket", of_socket), ("device", of_device)]
)
def test_what_may_never_end_is_not_read(
    kind: str, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path("en.txt"))
    assert message(text.read, Path("en.txt")).startswith(f"en.txt is a {kind}, not a file: save")


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data beside this checkout")
def test_nothing_good_is_refused() -> None:
    small = [path for path in sorted((DATA / "text").rglob("*")) if text.is_text(path)]
    small = [path for path in small if path.stat().st_size < 100_000]
    assert len(small) > 20
    for path in small:
        try:
            text.read(path)
        except UserError as error:
            pytest.fail(str(error))
