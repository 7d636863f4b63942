"""Ids for the tables of claims that were rendered before there were any, from their sentences; run once.

python tests/goldens/add_ids.py FOLDER…
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from neural.across.claims import CLAIMS as ACROSS
from neural.dynamics.claims import CLAIMS as DYNAMICS
from neural.imbalance.claims import CLAIMS as IMBALANCE
from neural.robustness.claims import EFFECTS
from neural.study.claims import Claims
from neural.subnetworks.claims import CLAIMS as SUBNETWORKS

STUDIES = {
    "across": ACROSS,
    "dynamics": DYNAMICS,
    "imbalance": IMBALANCE,
    "robustness": EFFECTS,
    "subnetworks": SUBNETWORKS,
}
SCOPE = re.compile(r"^(.*), over (seeds|languages|pairs)\b.*$")


def id_of(sentence: str, known: Claims) -> str:
    """Of the claim that says so; of those of D22 the rows say more at the end."""
    says = [claim for claim in known.values() if sentence.startswith(claim.says)]
    return max(says, key=lambda claim: len(claim.says)).id


def main(folder: Path) -> None:
    for study, known in STUDIES.items():
        path = folder / f"{study}-claims.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "id" in table:
            continue
        table.insert(0, "id", [id_of(sentence, known) for sentence in table["claim"]])
        if study == "dynamics":
            parts = [SCOPE.match(setting) for setting in table["setting"]]
            whole = table["setting"].tolist()
            measured = [m[1] if m else s for m, s in zip(parts, whole, strict=True)]
            table.insert(3, "measured", measured)
            table.insert(4, "over", [m[2] if m else "" for m in parts])
        table.to_csv(path, index=False, lineterminator="\n")
        source = path.with_suffix(".json")
        record = json.loads(source.read_text())
        record["amended"] = "the ids of claims were added later, by their sentences"
        if "rendered" in record:
            source.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        main(Path(name))
