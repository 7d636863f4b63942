"""Numbers inside a report: where each table and its provenance are, as what they are shown, and links to them."""

import base64
import csv
import io
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from figures.engine.markdown import code
from figures.report.files import REMEDY, Folder, Numbers
from figures.report.markdown import slug
from sim.runs.errors import UserError

SAFE = ",:;/+()[]=@*!~"
"""What a data URI holds as it is, beside letters and digits."""


def anchors(folders: Sequence[Folder]) -> list[dict[str, str]]:
    """The end of the ids of a folder's numbers, by name; no two of a report are equal."""
    taken: set[str] = set()
    by_folder = []
    for folder in folders:
        ids = {}
        for name in folder.numbers:
            copies = (f"{slug(name)}-{copy}" if copy else slug(name) for copy in range(1000))
            ids[name] = next(place for place in copies if place not in taken)
            taken.add(ids[name])
        by_folder.append(ids)
    return by_folder


class Links:
    """From what a folder's pages link to and show, to where that is in the report."""

    def __init__(self, folder: Folder, ids: dict[str, str]) -> None:
        self.folder, self.ids = folder, ids

    def numbers(self, target: str) -> str | None:
        """The name of those that a target is a file of, if any. Raises UserError where they are missing."""
        name, _, end = target.rpartition(".")
        if end not in ("png", "csv", "json") or "://" in target:
            return None
        if name not in self.folder.numbers:
            raise UserError(f"{self.folder.path / target} is missing: {REMEDY}")
        return name

    def __call__(self, target: str) -> str | None:
        """None for what is not in the report."""
        if target.startswith(("http://", "https://")):
            return target
        page = target.removesuffix(".md")
        if page != target and page in self.folder.pages:
            return f"#{page_id(page)}"
        name = self.numbers(target)
        if name is None:
            return None
        kind = "provenance" if target.endswith(".json") else "numbers"
        return f"#{kind}-{self.ids[name]}"

    def image(self, source: str) -> str:
        """An image as a data URI. Raises UserError where it is not beside the page."""
        name = self.numbers(source) if source.endswith(".png") else None
        content = self.folder.numbers[name].image if name is not None else None
        if content is None:
            raise UserError(f"{self.folder.path / source} is no figure beside its page: {REMEDY}")
        return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def page_id(name: str) -> str:
    return f"page-{slug(name)}"


def details(numbers: Numbers, place: str) -> str:
    """A table, which is laid out when it is opened, to be saved too; and its provenance."""
    name, record = escape(numbers.name), numbers.record
    rows = max(sum(1 for _ in csv.reader(io.StringIO(numbers.table))) - 1, 0)
    data = f"data:text/csv;charset=utf-8,{quote(numbers.table, safe=SAFE)}"
    run, made = _dict(record.get("run")), _dict(record.get("rendered"))
    said = [escape(f"run {run['identity']}")] if run.get("identity") else []
    said += [escape(code(run))] if run.get("commit") else []
    said += [f"<code>{escape(str(made['command']))}</code>"] if made.get("command") else []
    return (
        f'<details class="numbers" id="numbers-{place}">\n'
        f"<summary>{name}: {rows:,} row{'' if rows == 1 else 's'}</summary>\n"
        f"<p>{escape(numbers.description)}. "
        f'<a class="csv" download="{name}.csv" href="{escape(data)}">Save {name}.csv</a></p>\n</details>\n'
        f'<details class="provenance" id="provenance-{place}">\n'
        f"<summary>{name}: {', '.join(said) or 'provenance'}</summary>\n"
        f'<pre tabindex="0">{escape(numbers.provenance)}</pre>\n</details>\n'
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
