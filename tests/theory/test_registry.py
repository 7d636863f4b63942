"""Every statement of the registry: its evidence, its lint, and its line in theory/README.md."""

import pytest

from tests.places import ROOT
from theory.check import check, lint
from theory.page import HEAD, row
from theory.statement import Checked, Supported
from theory.statements import statements

README = ROOT / "theory" / "README.md"
SUPPORTED = {"gaussian-drop": "sampled", "marchenko-pastur": "sampled"}
"""Statements with a step that is no proof: a probability, and a limit law."""


def test_every_statement_of_the_theory_is_there() -> None:
    assert {s.number for s in statements().values() if s.number is not None} == set(range(1, 36))


def test_the_table_has_a_line_a_statement() -> None:
    text = README.read_text()
    assert text.startswith(HEAD)
    assert text.count("\n| ") == len(statements()) + 1
    assert len(text.removeprefix(HEAD).splitlines()) == len(statements())


@pytest.mark.parametrize("name", statements())
def test_statement(name: str) -> None:
    statement = statements()[name]
    report = check(statement, "quick", registry=True, instances=600)
    assert report.as_expected, report.summary()
    if statement.as_refuted is None:
        grades = [verdict for _, verdict, _ in report.steps]
        assert any(isinstance(grade, Checked) for grade in grades), "rests on samples alone"
        others = {grade.kind for grade in grades if isinstance(grade, Supported)}
        assert others == ({SUPPORTED[name]} if name in SUPPORTED else set())
    assert lint(statement, most=150) == []
    assert row(report) in README.read_text().splitlines(), (
        "run python -m theory check --table theory/README.md"
    )
