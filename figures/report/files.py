"""The folders of a report, read and checked: pages, figures and tables with their numbers and where those come from."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures.engine.rooms import pages
from sim.runs.errors import UserError
from sim.runs.files import regular
from sim.runs.identity import parsed

CLAIMS = "-claims"
"""How the name of a study's table of claims ends."""

PNG = b"\x89PNG\r\n\x1a\n"
REMEDY = "write it again with `python -m figures.page` or `python -m figures.render`"


@dataclass(frozen=True)
class Numbers:
    """NAME.csv, NAME.json, which says where it comes from, and NAME.png where it is a figure."""

    name: str
    table: str
    provenance: str
    image: bytes | None

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = parsed(self.provenance)
        return record

    @property
    def description(self) -> str:
        return str(self.record.get("description", ""))

    def rows(self) -> list[dict[str, str]]:
        """The table's, as written."""
        return list(csv.DictReader(io.StringIO(self.table)))


@dataclass(frozen=True)
class Folder:
    """Pages in Markdown and numbers, by name."""

    path: Path
    pages: Mapping[str, str]
    numbers: Mapping[str, Numbers]

    @property
    def claims(self) -> dict[str, Numbers]:
        """The tables of claims, by study."""
        by_study = {
            name.removesuffix(CLAIMS): numbers
            for name, numbers in self.numbers.items()
            if name.endswith(CLAIMS)
        }
        return {study: by_study[study] for study in ordered(by_study)}


def ordered(names: Iterable[str]) -> list[str]:
    """Studies in the order of their rooms, then the others by name."""
    studies = list(pages())
    return sorted(names, key=lambda name: ((*studies, name).index(name), name))


def read(path: Path) -> Folder:
    """What a folder of pages or figures holds. Raises UserError where something is missing or unreadable."""
    if not path.is_dir():
        raise UserError(f"--from {path} is no folder: give one of `python -m figures.page`")
    files = sorted(
        file for file in path.iterdir() if file.suffix in (".md", ".csv", ".json", ".png")
    )
    pages = {file.stem: text(file) for file in files if file.suffix == ".md"}
    names = dict.fromkeys(file.stem for file in files if file.suffix != ".md")
    numbers = {name: _numbers(path, name) for name in names}
    if not pages and not any(entry.image for entry in numbers.values()):
        raise UserError(
            f"--from {path} has no page and no figure: give the --out of `python -m figures.page` or `figures.render`"
        )
    return Folder(path, {name: pages[name] for name in ordered(pages)}, numbers)


def _numbers(folder: Path, name: str) -> Numbers:
    for end in ("csv", "json"):
        if not (folder / f"{name}.{end}").is_file():
            raise UserError(f"{folder / name}.{end} is missing: {REMEDY}")
    provenance = folder / f"{name}.json"
    said = text(provenance)
    try:
        record = parsed(said)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not {"figure", "table"} & record.keys():
        raise UserError(f"{provenance} says of no figure or table where it comes from: {REMEDY}")
    numbers = Numbers(name, text(folder / f"{name}.csv"), said, _image(folder / f"{name}.png"))
    _check_rows(folder / f"{name}.csv", numbers)
    return numbers


def _check_rows(file: Path, numbers: Numbers) -> None:
    """Raise UserError for a table that is empty or damaged."""
    try:
        head, *rows = csv.reader(io.StringIO(numbers.table), strict=True)
    except (ValueError, csv.Error):
        raise UserError(f"{file} is empty or no table: {REMEDY}") from None
    if not rows and (numbers.image is not None or numbers.name.endswith(CLAIMS)):
        raise UserError(f"{file} has no rows: {REMEDY}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise UserError(f"{file}, line {number}: {len(row)} columns, not {len(head)}: {REMEDY}")


def _image(file: Path) -> bytes | None:
    if not file.exists():
        return None
    content = _bytes(file)
    if not content.startswith(PNG):
        raise UserError(f"{file} is no PNG: {REMEDY}")
    return content


def text(file: Path) -> str:
    """Of a file in UTF-8. Raises UserError where it cannot be read."""
    try:
        return _bytes(file).decode()
    except UnicodeDecodeError:
        raise UserError(f"{file} is not in UTF-8: {REMEDY}") from None


def _bytes(file: Path) -> bytes:
    try:
        return regular(file).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}): {REMEDY}") from None
