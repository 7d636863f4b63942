"""The run folders of this study as its figures read them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from figures.engine.once import once
from figures.engine.runs import MissingRows
from figures.engine.studies import complete, done, of_kind, plan_of
from sim.runs.errors import UserError

if TYPE_CHECKING:
    from neural.imbalance.claims import Results

NAME = "imbalance"


@once
def imbalance(run: Path) -> "Results":
    of_kind(run, NAME)  # before what reads it is imported
    from neural.imbalance.claims import Results
    from neural.imbalance.plan import Study

    plan = plan_of(run, NAME, Study)
    with done():
        results = Results(plan, run)
    measured = set(results.perplexity["run"])
    lacks = [f"perplexity of {recipe.name}" for recipe in plan.runs if recipe.name not in measured]
    complete(run, NAME, *lacks[:1])
    return results


def rows_of(results: "Results", table: str, query: str) -> pd.DataFrame:
    """The rows of one of its tables that satisfy a pandas query, run by run. Raises MissingRows where there is none."""
    try:
        rows: pd.DataFrame = getattr(results, table).query(query)
    except UserError as error:
        raise MissingRows(str(error)) from None
    if rows.empty:
        raise MissingRows(
            f"{results.out} has no rows of {table} with {query}: finish it with --resume, or study what gives some"
        )
    order = {recipe.name: place for place, recipe in enumerate(results.study.runs)}
    places = rows.assign(_place=rows["run"].map(order))
    return places.sort_values(["_place", "seed", "step"], ignore_index=True).drop(columns="_place")
