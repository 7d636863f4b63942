"""What tests of the pages of studies read them with."""

import json
import re
from collections.abc import Sequence
from pathlib import Path


def section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def lines(text: str, heading: str) -> list[list[str]]:
    """The cells of the tables of a section, without their heads."""
    rows = [line for line in section(text, heading).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row[2:-2].split(" | ")] for row in rows]
    heads = [i - 1 for i, row in enumerate(cells) if set(row) == {"---"}]
    return [row for i, row in enumerate(cells) if i not in heads and set(row) != {"---"}]


def shows_all(folder: Path, name: str, figures: Sequence[str], tables: Sequence[str]) -> str:
    """The text of folder/page/NAME.md of folder/study, which links every figure and table that lie there, and no
    others; each tells the study that it comes from.
    """
    out = folder / "page"
    text = (out / f"{name}.md").read_text()
    names = [f"{figure}.png" for figure in figures]
    names += [f"{stem}.{end}" for stem in (*figures, *tables) for end in ("csv", "json")]
    assert sorted(path.name for path in out.iterdir()) == sorted([f"{name}.md", *names])
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == set(names)
    record = json.loads((folder / "study" / "_provenance.json").read_text())
    for table in tables:
        source = json.loads((out / f"{table}.json").read_text())
        assert source["run"] == record
        assert source["table"] == table
        assert source["rendered"]["command"] == f"python -m figures.page {name} --from study"
    assert record["identity"] in text
    assert not re.search(r"\bnan\b", text)
    return text
