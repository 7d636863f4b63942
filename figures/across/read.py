"""The run folders of this study as its figures read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures.engine.once import once
from figures.engine.studies import done, of_kind, plan_of

if TYPE_CHECKING:
    from neural.across.join import Results

NAME = "across"


@once
def across(run: Path) -> "Results":
    of_kind(run, NAME)  # before what reads it is imported
    from neural.across.join import Results
    from neural.across.plan import Study

    plan = plan_of(run, NAME, Study)
    with done():
        return Results(plan, run)
