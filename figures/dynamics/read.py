"""The run folders of this study as its figures read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures.engine.once import once
from figures.engine.studies import complete, done, of_kind, plan_of

if TYPE_CHECKING:
    from neural.dynamics.results import Results

NAME = "dynamics"


@once
def dynamics(run: Path) -> "Results":
    of_kind(run, NAME)  # before what reads it is imported
    from neural.dynamics.plan import Study
    from neural.dynamics.results import Results

    plan = plan_of(run, NAME, Study)
    with done():
        results = Results(plan, run)
    probes = results.probes
    measured = {"bits": results.bits}  # of what is measured at every step
    measured |= {"retrieval": results.retrieval} if plan.aligned else {}
    measured |= {f"probes of {task}": probes[probes["task"] == task] for task in plan.tasks}
    lacks = [name for name, rows in measured.items() if set(rows["step"]) != set(plan.steps)]
    complete(run, NAME, *(f"{name} of some steps" for name in lacks[:1]))
    return results
