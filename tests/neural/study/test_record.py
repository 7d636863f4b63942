"""Studies read back from the record of their folder."""

import json
import re

import pytest

from neural.robustness.plan import Study, presets
from neural.study import record
from neural.study.record import rebuilt
from sim.runs.errors import UserError
from sim.runs.identity import canonical
from sim.runs.store import PROVENANCE, Run
from tests.records import change


def recorded(folder):
    return record.recorded(folder, Study, "robustness")


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_a_study_comes_back_as_it_was(name, tmp_path):
    study = presets()[name]
    Run.open(tmp_path / "out", study, resume=False, parts=["part-clean-a"])
    assert recorded(tmp_path / "out") == study

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((tmp_path / "out" / PROVENANCE).read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda config: config.pop("measures"), "holds no study"),
        (lambda config: config.pop("comparisons"), "comparisons"),
        (lambda config: config.pop("batch"), "batch"),
        (lambda config: config.update(draughts=3), "draughts"),
        (lambda config: config.update(batch="many"), "'many' is no int"),
        (lambda config: config["comparisons"][0].update(kind="colour"), "'colour' is none of"),
    ],
)
def test_what_is_no_study_of_this_version_is_refused(edit, said, tmp_path):
    Run.open(tmp_path, presets()["smoke"], resume=False, parts=["part-clean-a"])
    change(tmp_path, edit)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        recorded(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        recorded(tmp_path)


def test_infinite_strengths_and_missing_parts_come_back():
    laptop = presets()["laptop"]
    text = json.dumps(canonical(laptop.measures))
    assert rebuilt(type(laptop.measures), json.loads(text)) == laptop.measures
    assert "Infinity" in text
    assert rebuilt(float, 1) == 1  # as --peak 1 is recorded
    assert rebuilt(type(laptop), canonical(presets()["smoke"])).classification is None
