"""For what a check holds: derived from the letters and symbols that it met, never typed.

A scope reads "all d, T, k, 0 <= q <= 1": every value of these that the symbols' own assumptions allow. What was not
quantified over, such as explicit shapes, stands by itself.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from theory.statement import Checked, Verdict

ORDER = ("d", "T", "k")
SIZES = (*ORDER, "m", "n", "p", "r", "j")
"""Symbols that are called so and are whole and positive count things."""
SIGNS = {"positive": "> 0", "nonnegative": ">= 0", "negative": "< 0", "nonpositive": "<= 0"}
KINDS = ("symbolic", "exact", "interval")
"""In the order of trust."""


def quantified(symbol: Any) -> str:
    """A sympy symbol with what its maker assumed of it; SIZES are whole and positive, numbers real, unsaid."""
    name, given = str(symbol), dict(symbol._assumptions_orig)
    given.pop("commutative", None)
    if given == {"real": True}:
        return name
    if given == {"integer": True, "positive": True} and name in SIZES:
        return name
    given.pop("real", None)
    signs = [key for key in SIGNS if given.get(key) is True]
    words = [
        f"{'' if value else 'not '}{key}"
        for key, value in sorted(given.items())
        if key not in signs
    ]
    if not symbol.is_extended_real:
        words.append("complex")
    said = " and ".join([f"{name} {SIGNS[key]}" for key in signs] or [name])
    return f"{said} ({', '.join(words)})" if words else said


def every(items: Iterable[str]) -> str:
    """The scope of all these quantified names; those without a bound give way to the same name with one."""
    said = set(items)
    bounded = {word for item in said if " " in item for word in item.split()}
    kept = {item for item in said if " " in item or item not in bounded}

    def place(item: str) -> tuple[int, str]:
        return (ORDER.index(item), "") if item in ORDER else (len(ORDER), item.lower())

    return "all " + (", ".join(sorted(kept, key=place)) or "values")


def merged_scope(scopes: Iterable[str]) -> str:
    """The scope of several checks together: what is not quantified over first, as it is the narrowest."""
    names: set[str] = set()
    narrow: dict[str, None] = {}
    for scope in scopes:
        for part in scope.split("; "):
            if part.startswith("all "):
                names |= set(part.removeprefix("all ").split(", ")) - {"values"}
            else:
                narrow[part] = None
    return "; ".join([*narrow, every(names)] if names or not narrow else narrow)


def merged(verdicts: Sequence[Checked]) -> Checked:
    """Several checks as one: the weakest kind, every scope and every hypothesis."""
    weakest = max((verdict.kind for verdict in verdicts), key=KINDS.index)
    hypotheses = dict.fromkeys(said for verdict in verdicts for said in verdict.hypotheses)
    return Checked(weakest, merged_scope(v.scope for v in verdicts), tuple(hypotheses))


def all_checked(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdicts as one where all are Checked; else the first that is not."""
    checked = []
    for verdict in verdicts:
        if not isinstance(verdict, Checked):
            return verdict
        checked.append(verdict)
    return merged(checked)
