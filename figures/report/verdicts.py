"""The first section of a report: what became of every claim of every study, and each effect with its interval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from figures.engine.markdown import between
from figures.report.files import Numbers
from figures.report.markdown import BOX, slug
from sim.runs.errors import UserError

NEEDED = ("claim", "effect", "low", "high", "verdict")
"""What a table of claims has to say of an effect."""
ASIDE = ("id", "unit", "expected", "measured", "over")
"""What other cells show, or the words of a claim and its setting."""
SIGNS = {"-1": "< 0", "0": "none", "1": "> 0"}
"""Of what is expected."""
HEAD = ("study", "claim", "of", "effect", "95 % interval", "expected", "verdict")


def effects(claims: Mapping[str, Numbers]) -> str:
    """A table of the effects of studies, a row each, below how many there are of each verdict. "" without any."""
    tallies, lines = [], []
    for study, numbers in claims.items():
        rows = numbers.rows()
        if missing := [name for name in NEEDED if rows and name not in rows[0]]:
            raise UserError(
                f"{numbers.name}.csv has no column {missing[0]}: write it again with `python -m figures.page`"
            )
        tallies.append(f"<li>{escape(study)}: {tally([row['verdict'] for row in rows])}</li>\n")
        lines += [_line(study, row, numbers.name) for row in rows]
    if not lines:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    box = BOX.format(label="every effect")
    return (
        f"<ul>\n{''.join(tallies)}</ul>\n{box.replace('scroll', 'scroll tall')}"
        f'<table class="sortable filtered">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(lines)}</tbody></table>'
        "</div>\n"
    )


def tally(verdicts: Sequence[str]) -> str:
    """How many there are of each, the most frequent first."""
    counts = Counter(verdicts)
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return escape(", ".join(f"{counts[kind]} {kind}" for kind in kinds))


def _line(study: str, row: Mapping[str, str], name: str) -> str:
    effect, low, high = (_number(row[key], name) for key in ("effect", "low", "high"))
    said = "–" if effect is None else f"{effect:.3g} {row.get('unit', '')}".strip()
    whole = None if effect is None or low is None or high is None else (effect, low, high)
    interval = "–" if whole is None else between(whole, ".3g").partition(" ")[2]
    cells = [study, row["claim"], _setting(row), said, interval, _expected(row), row["verdict"]]
    values = {3: row["effect"], 4: row["low"]}
    inner = "".join(
        f"<td{_sorts(values.get(place, ''))}>{escape(cell)}</td>"
        for place, cell in enumerate(cells)
    )
    return f'<tr class="{escape(slug(row["verdict"]))}">{inner}</tr>\n'


def _sorts(value: str) -> str:
    """The attribute by which a cell sorts, if not by its words."""
    return f' data-value="{escape(value)}"' if value else ""


def _expected(row: Mapping[str, str]) -> str:
    given = row.get("expected", "")
    return SIGNS.get(given.removesuffix(".0"), given)


def _setting(row: Mapping[str, str]) -> str:
    """What the other columns say; a number with its column's name."""
    others = [name for name in row if name not in (*NEEDED, *ASIDE) and row[name]]
    return ", ".join(f"{name} {row[name]}" if _numeric(row[name]) else row[name] for name in others)


def _numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, name: str) -> float | None:
    """None for an empty cell."""
    if not cell or cell == "nan":
        return None
    if not _numeric(cell):
        raise UserError(
            f"{name}.csv has {cell!r} for a number: write it again with `python -m figures.page`"
        )
    return float(cell)
