"""A web site's messages out of an archive of their repository: Fluent files by locale, aligned by file and name."""

import hashlib
import html
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from neural.text.files import normalise
from neural.text.origins.forms import Form

LOCALES = {
    "en": "en",
    "ar": "ar",
    "de": "de",
    "el": "el",
    "es": "es-ES",
    "fi": "fi",
    "fr": "fr",
    "hi": "hi-IN",
    "tr": "tr",
    "zh": "zh-CN",
}
ENTRY = re.compile(r"(-?[a-zA-Z][\w-]*)\s*=\s?(.*)$")
BRAND = re.compile(r"\{ ?-brand-name-([\w-]+)[^}]*\}")
SPELT = {
    "ai": "AI",
    "esr": "ESR",
    "github": "GitHub",
    "ios": "iOS",
    "ipad": "iPad",
    "iphone": "iPhone",
    "mdn": "MDN",
    "vpn": "VPN",
}
"""Words of brands that are not written with one capital letter."""
WORD = re.compile(r"[^\W\d_]{2,}")
FEWEST = 4
"""Words of an English message."""
ONE_IN = 50
"""Messages of valid, and as many of test."""

Key = tuple[str, str]
"""A file and a message's name."""


def messages(language: str, part: str) -> Form:
    """The messages of a language and part (train, valid, test), a line each, empty where one is not translated.

    Kept are English ones of four words and more, once each, that are translated into some language. Brands are filled
    in by their names, mark-up goes, and so do messages with other variables. The part is drawn by the English text.
    """

    def form(files: Sequence[Path]) -> bytes:
        (path,) = files
        rows = _rows(path, path.stat().st_mtime_ns)
        lines = [row[language] for row in rows if _part(row["en"]) == part]
        return "".join(line + "\n" for line in lines).encode()

    return form


@lru_cache(maxsize=1)
def _rows(path: Path, written: int) -> list[Mapping[str, str]]:
    """Of each message its text in every language; read again where the file was written anew."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {name: dict(_locale(archive, locale)) for name, locale in LOCALES.items()}
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no archive: {error}") from None
    english = texts.pop("en")
    rows: dict[str, Mapping[str, str]] = {}
    for key, text in english.items():
        if text in rows or len(WORD.findall(text)) < FEWEST:
            continue
        others = {name: translations.get(key, "") for name, translations in texts.items()}
        rows[text] = {"en": text} | {
            name: "" if other == text else other for name, other in others.items()
        }
    return [row for row in rows.values() if any(row[name] for name in texts)]


def _locale(archive: zipfile.ZipFile, locale: str) -> Iterator[tuple[Key, str]]:
    """The messages of a locale in the order of files and lines; of several of a name the first."""
    known: set[Key] = set()
    for name in sorted(archive.namelist()):
        _, _, inside = name.partition("/")  # below the folder of the whole
        folder, _, file = inside.partition("/")
        if folder != locale or not file.endswith(".ftl"):
            continue
        for message, value in _entries(archive.read(name).decode()):
            key = (file, message)
            if key not in known and not message.startswith("-"):
                known.add(key)
                yield key, _said(value)


def _entries(content: str) -> Iterator[tuple[str, str]]:
    """Names and values of a Fluent file; indented lines go on with a value."""
    name, value = "", ""
    for line in content.split("\n"):
        if entry := ENTRY.match(line):
            if name:
                yield name, value
            name, value = entry[1], entry[2]
        elif name and line[:1] in (" ", "\t") and line.strip():
            value += f"\n{line.strip()}"
        elif line.strip():  # a comment
            if name:
                yield name, value
            name = ""
    if name:
        yield name, value


def _said(value: str) -> str:
    """A value as text; "" of one with variables."""
    text = BRAND.sub(lambda brand: _spelt(brand[1]), value)
    if "{" in text:
        return ""
    text = re.sub(r"<[^>]*>", "", re.sub(r"<br[^>]*>", " ", text))
    return normalise(html.unescape(text))


def _spelt(brand: str) -> str:
    return " ".join(SPELT.get(word, word.capitalize()) for word in brand.split("-"))


def _part(text: str) -> str:
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
    return {0: "valid", 1: "test"}.get(int.from_bytes(digest[:8], "big") % ONE_IN, "train")
