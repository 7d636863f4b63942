"""Records of runs that tests write anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.runs.identity import identity
from sim.runs.store import PROVENANCE


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the configuration of a run as if another version had written it."""
    record = json.loads((folder / PROVENANCE).read_text())
    edit(record["config"])
    record["identity"] = identity(record["config"])
    (folder / PROVENANCE).write_text(json.dumps(record))
