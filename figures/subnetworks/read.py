"""The run folders of this study as its figures read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures.engine.once import once
from figures.engine.studies import done, of_kind, plan_of

if TYPE_CHECKING:
    from neural.subnetworks.claims import Results

NAME = "subnetworks"


@once
def subnetworks(run: Path) -> "Results":
    of_kind(run, NAME)  # before what reads it is imported
    from neural.subnetworks.claims import Results
    from neural.subnetworks.plan import Study

    plan = plan_of(run, NAME, Study)
    with done():
        results = Results(plan, run)
        _ = results.costs  # the last that is written
    return results
