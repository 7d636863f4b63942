"""Which study a folder of results is of."""

from collections.abc import Mapping
from typing import Any

STUDY = "study"
"""What provenance calls it, beside the configuration."""

MARKS = {
    "imbalance": ("shares", "budgets", "measures"),
    "robustness": ("measures",),
    "subnetworks": ("orders", "early", "tasks"),
    "across": ("tickets", "broken", "noise"),
    "dynamics": ("answers", "coarse", "together"),
}
"""What the configuration of each study's folder has and none of those below it: folders of before December 2026 lack
the name. Of robustness that is both a study and a survey, which measures models that existed.
"""


def name_of(plan: Any) -> str:
    """Of the study that a plan is of: its room in neural."""
    return type(plan).__module__.split(".")[1]


def study_of(record: Mapping[str, Any]) -> str | None:
    """The study that a record of provenance is of, if of any."""
    if STUDY in record:
        return str(record[STUDY])
    config = record.get("config")
    keys = config.keys() if isinstance(config, dict) else set()
    return next((name for name, marks in MARKS.items() if set(marks) <= keys), None)
