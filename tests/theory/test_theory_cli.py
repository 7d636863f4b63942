"""python -m theory: a user's claim, bad input in a line, exit codes, and the registry."""

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import theory.statements
from tests.places import ROOT
from theory import __main__ as cli
from theory.claim_file import ask as asking
from theory.claim_file.ask import ask
from theory.spectra import ky_fan, slope
from theory.statement import Checked, Statement, Step

CLAIM = """\
import numpy as np
from theory import Statement
from theory.spectra import *

def sides(C, k):
    return {sides}

STATEMENT = Statement(id="mine", source="me", claim="mine", hypotheses=[{hypotheses}], sides=sides)
"""


def written(folder: Path, sides: str, hypotheses: str = "") -> str:
    path = folder / "claim.py"
    path.write_text(CLAIM.format(sides=sides, hypotheses=hypotheses))
    return str(path)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Statement]:
    right = Statement(
        id="right",
        number=3,
        claim=r"\rho_k \le k \sigma_1^2 / T",
        source="textbook",
        sides=lambda C, k: (slope(C, k), k * ky_fan(C, 1) ** 2 / C.shape[1]),
        hypotheses=["nonzero"],
        needed={"nonzero": "not needed: both sides vanish"},
        tight_at={"C": np.eye(2), "k": 1},
        proof=[Step("a_step", "a step that says so", lambda: Checked("exact", "d <= 2"))],
    )
    wrong = replace(right, id="wrong", sides=lambda C, k: (slope(C, k), 0.0), proof=())
    held = replace(wrong, id="held-false", as_refuted={"C": np.eye(1), "k": 1})
    known = {statement.id: statement for statement in (right, wrong, held)}
    monkeypatch.setattr(theory.statements, "statements", lambda: known)
    return known


WITHOUT_PROOFS = """\
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sympy", "mpmath", "cvxpy", "flint"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
from theory.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def test_list_needs_no_proof_packages() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_PROOFS, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    listed = run("list")
    assert (listed.returncode, listed.stderr) == (0, "")
    known = theory.statements.statements()
    lines = listed.stdout.splitlines()
    assert [line[5:].split()[0] for line in lines] == list(known)
    for line, statement in zip(lines, known.values(), strict=True):
        number = "" if statement.number is None else str(statement.number)
        assert line.startswith(f"{number:>3}  {statement.id} ")
        assert line.endswith(f"  {statement.claim}")
    checked = run("check", "leave-one-out")  # these do need them
    assert checked.returncode == 2
    assert "pip install 'cognitive-reserve[proofs]'" in checked.stderr


def test_a_statement_without_literals_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text("ID = 'odd'\nSTATEMENT = Statement(id=ID, claim='x')\n")
    monkeypatch.setattr(theory.statements, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ValueError, match=r"odd\.py: no STATEMENT"):
        theory.statements.headings()


def test_a_mistake_of_ours_is_no_bad_input(registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(statement: Statement, profile: str, **options: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr("theory.check.check", broken)
    with pytest.raises(ValueError, match=r"^a mistake$"):
        cli.main(["check", "right"])


def test_characters_that_cannot_be_printed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heading = {"id": "caf\u00e9", "number": None, "claim": "x"}
    monkeypatch.setattr(theory.statements, "headings", lambda: [heading])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert cli.main(["list"]) == 2
    line = r"theory: cannot print '\xe9' in ascii: set PYTHONIOENCODING=utf-8"
    assert capsys.readouterr().err == f"{line}\n"


def test_check_writes_its_reports(registry, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["check", "right", "held-false", "--profile", "quick", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    grade = "Steps checked (1 of 1; that they imply the claim is by hand)"
    assert (
        f"right  {grade}: exact; d <= 2; hypotheses: nonzero (C \\ne 0)  · Supported(sampled) n="
        in printed
    )
    assert "held-false  Refuted at C = [[1]], k = 1" in printed
    reports = json.loads(out.read_text())["reports"]
    assert [report["id"] for report in reports] == ["right", "held-false"]
    assert reports[0]["verdict"]["grade"] == grade
    assert reports[0]["steps"][0]["verdict"] == {
        "grade": "Checked",
        "kind": "exact",
        "scope": "d <= 2",
        "hypotheses": [],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_check_of_everything_fails_with_a_false_statement(registry, capsys) -> None:
    assert cli.main(["check", "--profile", "quick"]) == 1
    assert "not as it should be" in capsys.readouterr().out


def test_explain_is_a_page(registry, capsys) -> None:
    assert cli.main(["explain", "right"]) == 0
    page = capsys.readouterr().out
    for text in (
        "right (statement 3)",
        "Setting ",
        r"Claim       \rho_k",
        r"nonzero: C \ne 0",
        "not needed",
        "Tight       C = [[1, 0], [0, 1]], k = 1",
        "a_step: a step that says so",
        "Checked (exact; d <= 2)",
        "Steps checked (1 of 1; that they imply the claim is by hand): exact; d <= 2",
        "Source      textbook",
    ):
        assert text in page
    assert cli.main(["explain", "held-false"]) == 0
    assert "Witness     C = [[1]], k = 1" in capsys.readouterr().out


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim files are searched at few instances."""
    monkeypatch.setattr(asking, "ask", partial(ask, instances=300))


def test_the_examples_of_explain_are_what_it_says_they_are(tmp_path: Path, capsys, few) -> None:
    assert cli.main(["explain"]) == 0
    page = capsys.readouterr().out
    for text, code, says in (
        (cli.FALSE_EXAMPLE, 1, "Refuted at C = [["),
        (cli.TRUE_EXAMPLE, 0, "Supported(sampled) n="),
        (cli.STEPS_EXAMPLE, 0, "Steps checked (1 of 1; that they imply the claim is by hand)"),
    ):
        assert all(line.strip() in page for line in text.splitlines())
        assert len(text.splitlines()) <= 12
        path = tmp_path / "example.py"
        path.write_text(text)
        assert cli.main(["check", str(path)]) == code
        assert says in capsys.readouterr().out
    assert "confirmed" in page


def test_a_true_claim_shows_its_tightest_instance(tmp_path: Path, capsys, few) -> None:
    path = written(tmp_path, "slope(C, k), ky_fan(C, 1) ** 2 * k / C.shape[1]")
    assert cli.main(["check", path, "--profile", "quick"]) == 0
    assert re.search(
        r"Supported\(sampled\) n=\d+, worst slack .*\n    tightest at C = \[\[",
        capsys.readouterr().out,
    )


def test_a_false_claim_is_refuted_in_small_rationals(tmp_path: Path, capsys, few) -> None:
    path = written(tmp_path, "slope(C, k), 1", "lambda C, k: C.shape[1] == 2")
    assert cli.main(["check", path, "--profile", "quick"]) == 1
    assert "Refuted at C = [[2, 0]], k = 1: 2 against 1, in 50-digit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sides", "hypotheses", "says"),
    [
        ("slope(C, k) / 0, 1", "", r"claim\.py:6: mine: the claim raises ZeroDivisionError"),
        ("np.nan, 1", "", r"claim\.py.*NaN"),
        ("1j, 1", "", r"claim\.py.*complex"),
        ("slope(C, k), 1", "'unit_task'", r"'unit_task': did you mean 'unit_tasks'\? use unit"),
        (
            "slope(C, k), 1",
            "lambda C, k: C[9, 9]",
            r"claim\.py:8: mine: a hypothesis raises IndexError",
        ),
        ("slope(C, k), (", "", r"claim\.py:\d+: "),
        ("slope(C, k), 1", "1 / 0", r"claim\.py:8: ZeroDivisionError"),
    ],
)
def test_bad_claims_end_in_one_line(tmp_path: Path, capsys, sides, hypotheses, says) -> None:
    assert cli.main(["check", written(tmp_path, sides, hypotheses), "--profile", "quick"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(says, error), error


def test_a_claim_whose_hypotheses_nothing_meets_is_inconclusive(tmp_path: Path, capsys) -> None:
    path = written(tmp_path, "slope(C, k), 1", "lambda C, k: False")
    assert cli.main(["check", path, "--profile", "quick"]) == 1
    assert "mine  Inconclusive: no instance" in capsys.readouterr().out


def test_other_bad_input_ends_in_one_line(registry, tmp_path: Path, capsys) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("")
    for arguments, says in (
        (
            ["check", "nonesuch"],
            "unknown statement 'nonesuch': use a FILE.py, or one of right, wrong",
        ),
        (["explain", "nonesuch"], "unknown statement"),
        (["check", str(tmp_path / "absent.py")], "there is no such file"),
        (["check", str(empty)], "has no STATEMENT"),
        (["check", "right", "--json", str(tmp_path / "no" / "out.json")], "there is no folder"),
    ):
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert says in error
    for arguments in (["check", "--profile", "slow"], ["prove"], []):
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert left.value.code == 2


def test_a_missing_proof_package_is_named(registry, monkeypatch, capsys) -> None:
    def missing():
        raise ModuleNotFoundError("No module named 'cvxpy'", name="cvxpy")

    registry["right"] = replace(registry["right"], proof=[Step("s", "s", missing)])
    assert cli.main(["check", "right"]) == 2
    assert "pip install 'cognitive-reserve[proofs]'" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "theory", "explain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "STATEMENT = Statement(" in done.stdout
