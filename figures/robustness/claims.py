"""What became of the claims of Daras et al. 2022 (D22) and of the controls, in words.

An answer counts intervals; no word of it is written for a result.
"""

import pandas as pd

from figures.engine.verdicts import SIDES, VERDICTS, judged
from neural.robustness.asked import Asked


def answered(control: Asked, rows: pd.DataFrame) -> str:
    """The answer that the verdict of a control's rows gives; "mixed" where sides have some, but not the verdict."""
    assert control.answers is not None
    verdict = judged(rows)
    if verdict == "not replicated" and rows["verdict"].isin(SIDES).any():
        return "mixed"
    return dict(zip(VERDICTS, control.answers, strict=True)).get(verdict, verdict)


def counted(rows: pd.DataFrame) -> str:
    """How many intervals are on which side of 0."""
    if rows.empty:
        return "not measured"
    tested = rows[rows["verdict"].isin(VERDICTS)]
    if tested.empty:
        return "no intervals: one seed"
    expected, opposite = (int((tested["verdict"] == side).sum()) for side in SIDES)
    return f"{expected} of {len(tested)} on D22's side, {opposite} on the other"
