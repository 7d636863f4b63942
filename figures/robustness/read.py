"""The run folders of this study as its figures read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures.engine.once import once
from figures.engine.runs import MissingRows, configuration
from figures.engine.studies import complete, done, of_kind, plan_of

if TYPE_CHECKING:
    from neural.robustness.claims import Results

NAME = "robustness"


@once
def robustness(run: Path) -> "Results":
    """Of a study, of which a survey is none."""
    of_kind(run, NAME)  # before what reads it is imported
    from neural.robustness.claims import Results
    from neural.robustness.plan import Study

    if "comparisons" not in configuration(run):
        raise MissingRows(f"{run} measures models that nothing says how to compare")
    plan = plan_of(run, NAME, Study)
    with done():
        results = Results(plan, run)
    for name, table in (("clean", results.clean), ("curves", results.curves)):
        present = set(table["model"])
        lacks = [f"table {name} of {model}" for model in plan.models if model not in present]
        complete(run, NAME, *lacks[:1])
    return results
