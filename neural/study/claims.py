"""A claim as a value, beside whatever measures it: what it says, what its source reports, and what is expected."""

from collections.abc import Iterable
from dataclasses import dataclass

ID = "id"
"""The column of a table of effects that names their claim."""


@dataclass(frozen=True)
class Claim:
    """Something that effects are held against; sentences may change, ids are recorded and may not.

    A control is ours: it asks a question, and expects what would speak for the source.
    """

    id: str
    says: str
    expected: int
    """The sign of its effects: 1, -1, or 0 for none. Where it turns on what is measured, that of the first."""
    source: str = ""
    """What the source reports, in its numbers where it has some; "" where it says nothing."""
    asks: str = ""
    """Of a control: its question."""

    def __post_init__(self) -> None:
        if self.expected not in (-1, 0, 1):
            raise ValueError(f"claim {self.id!r} expects {self.expected}: give -1, 0 or 1")


class Claims(dict[str, Claim]):
    """The claims of a study by id. ValueError for two of one id, or for an id that no claim has."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            if claim.id in self:
                raise ValueError(f"two claims have the id {claim.id!r}: give one another")
            self[claim.id] = claim

    def __missing__(self, name: str) -> Claim:
        raise ValueError(f"no claim has the id {name!r}: choose from {', '.join(self)}")
