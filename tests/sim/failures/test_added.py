"""A failure that is added as a file of its own, and offered with strengths, is known to sweeps and to GPTs."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.places import ROOT

SIGN_LOSS = '''
from dataclasses import dataclass
from typing import ClassVar

from theory.perturbation.failure import Names, Perturbation, check_share
from theory.perturbation.problem import NoClosedForm


@dataclass(frozen=True)
class SignLoss(Perturbation):
    """Each weight turns its sign with probability p."""

    p: float
    name = "sign-loss"
    names: ClassVar[Names] = {"sign-loss": {}}
    strength = "p"
    randomness = "uniform"

    def __post_init__(self):
        check_share("p", self.p)

    def apply(self, W, draw):
        return W * (1 - 2 * (draw < self.p))

    def _expected(self, p):
        return NoClosedForm("not derived")
'''
WITH = """
import sys
from dataclasses import replace

from theory import perturbation

perturbation.__path__.append(sys.argv[1])
from sim import config

config.STRENGTHS["sign-loss"] = (0.0, 0.1, 0.5)

from neural.measures.perturb import FAILURES, is_random
from neural.robustness.plan import Hit, presets

study = presets()["smoke"]
hit = Hit("attention", (("sign-loss", (0.0, 0.2)),))
replace(study, measures=replace(study.measures, hits=(hit,))).check()
print(is_random("sign-loss"), "sign-loss" in FAILURES)

from sim.sweep import config_of, Arguments, sweep

given = Arguments(geometries=("sphere",), d=(5,), T=(3,), k=(2,), seeds=1, draws=16, images=("none",),
                  trainers=("orthonormal",), perturbations=("sign-loss", "weight-deletion"))
sweep(config_of(given), sys.argv[2])
"""


def test_one_file_and_its_strengths_are_enough(tmp_path: Path) -> None:
    code, out = tmp_path / "code", tmp_path / "out"
    code.mkdir()
    (code / "sign_loss.py").write_text(SIGN_LOSS)
    command = [sys.executable, "-c", WITH, str(code), str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True True\n"
    table = pd.read_parquet(out)
    rows = table[table["perturbation"] == "sign-loss"].set_index("strength")
    assert list(rows.index) == [0.0, 0.1, 0.5]
    assert rows["risk_closed_form"].isna().all()
    assert abs(rows.loc[0.0, "risk_measured"] - rows.loc[0.0, "risk_clean"]) < 1e-12
    assert rows.loc[0.5, "risk_measured"] > rows.loc[0.1, "risk_measured"]


def test_without_it_the_name_is_unknown() -> None:
    from sim.failures.named import MAKE

    assert "sign-loss" not in MAKE
