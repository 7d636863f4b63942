"""Verdicts are put together without merging grades, and the lint sees what it is for."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from theory.check import check, describe, lint, mutants
from theory.spectra import ky_fan, slope
from theory.statement import (
    Checked,
    Inconclusive,
    Refuted,
    Statement,
    Step,
    StepsChecked,
    Supported,
    Witness,
)


def step(name: str, verdict) -> Step:
    return Step(name, f"{name} holds", lambda: verdict)


EVERYWHERE = step("everywhere", Checked("symbolic", "all d, T, k"))
SMALL = step("small", Checked("interval", "d, T <= 3"))
SOLVED = step("solved", Supported("sdp", 3, 1e-9, None))
OPEN = step("open", Inconclusive("the solver stopped"))

GOOD = Statement(
    id="trace",
    claim=r"\rho_k \le k \sigma_1^2 / T",
    source="textbook",
    sides=lambda C, k: (slope(C, k), k * ky_fan(C, 1) ** 2 / C.shape[1]),
    tight_at={"C": np.eye(3), "k": 2},
    proof=[EVERYWHERE],
)
UNIT = replace(
    GOOD,
    id="unit",
    hypotheses=["unit_tasks"],
    sides=lambda C, k: (slope(C, k), 1.0),
    tight_at={"C": np.eye(2), "k": 2},
    needed={"unit_tasks": {"C": 2 * np.eye(2), "k": 2}},
)
FALSE = replace(GOOD, id="false", sides=lambda C, k: (slope(C, k), 0.9 * ky_fan(C, 1) ** 2))


@pytest.mark.parametrize(
    ("proof", "verdict"),
    [
        ([EVERYWHERE], StepsChecked(1, ("symbolic",), "all d, T, k")),
        ([EVERYWHERE, SMALL], StepsChecked(2, ("symbolic", "interval"), "d, T <= 3; all d, T, k")),
        ([EVERYWHERE, SOLVED], Supported("sdp", 3, 1e-9, None)),
    ],
)
def test_the_verdict_is_that_of_the_weakest_step(proof, verdict) -> None:
    report = check(replace(GOOD, proof=proof), instances=300, registry=True)
    assert report.verdict == verdict
    assert isinstance(report.sampled, Supported)
    assert report.as_expected
    assert [step_verdict for _, step_verdict, _ in report.steps] == [
        proof_step.check() for proof_step in proof
    ]


def test_an_open_step_leaves_sampled_evidence_and_is_not_as_expected() -> None:
    report = check(replace(GOOD, proof=[EVERYWHERE, OPEN]), instances=300, registry=True)
    assert report.verdict is report.sampled
    assert not report.as_expected


def test_a_step_that_raises_is_inconclusive() -> None:
    raising = Step("raises", "", lambda: Checked("exact", str(1 // 0)))
    [(_, verdict, _)] = check(replace(GOOD, proof=[raising]), instances=300, registry=True).steps
    assert verdict == Inconclusive(
        "the check raises ZeroDivisionError: integer division or modulo by zero"
    )


def test_a_counterexample_outweighs_a_proof() -> None:
    report = check(FALSE)
    assert isinstance(report.verdict, Refuted)
    assert not report.as_expected


def test_a_refuted_step_refutes() -> None:
    wrong = step("wrong", Refuted(Witness({"C": [[1]], "k": 1}, 1, 0, "exactly")))
    report = check(replace(GOOD, proof=[EVERYWHERE, wrong]), instances=300, registry=True)
    assert isinstance(report.verdict, Refuted)
    assert not report.as_expected


def test_a_statement_held_to_be_false_is_expected_to_be_refuted() -> None:
    witness = {"C": np.eye(2), "k": 2}
    assert check(replace(FALSE, as_refuted=witness)).as_expected
    held = check(replace(GOOD, as_refuted=witness))
    assert isinstance(held.verdict, Inconclusive)
    assert not held.as_expected


def test_the_summary_names_kinds_scope_and_search() -> None:
    summary = check(
        replace(GOOD, proof=[EVERYWHERE, SMALL]), instances=300, registry=True
    ).summary()
    assert summary.startswith(
        "trace  Steps checked (2 of 2; that they imply the claim is by hand): symbolic + interval; "
        "d, T <= 3; all d, T, k  · Supported(sampled) n="
    )
    assert "worst slack" in summary
    assert re.search(r" in 3\d\d instances, d, T <= ", summary)
    assert describe(SOLVED.check()) == "Supported(sdp) n=3, worst slack 1.0e-09"
    assert "Refuted at C = [[1]], k = 1: 1 against 0.9" in check(FALSE).summary()


def test_a_report_is_json() -> None:
    for statement in (GOOD, FALSE, UNIT):
        report = json.loads(
            json.dumps(check(statement, instances=300, registry=True).as_json(), allow_nan=False)
        )
        assert report["id"] == statement.id
        assert report["verdict"]["grade"] in {
            "Steps checked (1 of 1; that they imply the claim is by hand)",
            "Refuted",
        }


def test_grades_are_described_apart() -> None:
    assert describe(Checked("exact", "d <= 4")) == "Checked (exact; d <= 4)"
    assert describe(Supported("sdp", 2, 0.0)).startswith("Supported(sdp)")
    assert describe(Inconclusive("why")) == "Inconclusive: why"


@pytest.mark.parametrize("statement", [GOOD, UNIT], ids=lambda s: s.id)
def test_lint_passes_a_good_statement(statement: Statement) -> None:
    assert lint(statement) == []


def never(C):
    return False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": ""}, "source is empty"),
        ({"proof": []}, "no proof"),
        ({"proof": [EVERYWHERE, EVERYWHERE]}, "two steps"),
        ({"tight_at": ""}, "tight_at is empty"),
        ({"tight_at": {"C": np.diag([2.0, 1.0]), "k": 2}}, "tight_at"),
        ({"needed": {}}, "does not speak of 'unit_tasks'"),
        ({"needed": {"unit_tasks": ""}}, "no reason"),
        ({"needed": {"unit_tasks": {"C": np.eye(2), "k": 1}}}, "satisfies it"),
        ({"needed": {"unit_tasks": {"C": 0.5 * np.eye(2), "k": 1}}}, "claim holds at the witness"),
        ({"hypotheses": ["unit_tasks", never]}, "vacuous"),
        ({"sides": lambda C, k: (slope(C, k), 0.5)}, "the claim fails"),
        ({"sides": lambda C, k: (slope(C, k), slope(C, k))}, "mutant 'flipped' survives"),
        (
            {"sides": lambda C, k: (slope(C, k) / 2, 1.0), "tight_at": {"C": np.eye(1), "k": 1}},
            "not tight",
        ),
        ({"sides": lambda C, k: (slope(C, k) / 2, 1.0)}, "mutant 'constant' survives"),
        ({"mutants": {"half": lambda C, k: (slope(C, k) / 2, 1.0)}}, "mutant 'half' survives"),
        ({"as_refuted": {"C": np.eye(2), "k": 1}}, "does not survive"),
    ],
)
def test_lint_sees(change, says: str) -> None:
    assert any(says in problem for problem in lint(replace(UNIT, **change)))


def test_lint_sees_a_k_that_does_not_matter() -> None:
    """A claim loose by one k: at k + 1 it is still true, so k off by one survives."""
    loose = replace(
        GOOD,
        sides=lambda C, k: (slope(C, k), (k + 2) * ky_fan(C, 1) ** 2 / C.shape[1]),
        tight_at="never",
    )
    assert any("k-off-by-one" in problem for problem in lint(loose))


def test_k_off_by_one_is_a_rank_on_both_sides() -> None:
    statement = replace(GOOD, sides=lambda C, k: (k, k))
    shifted = dict(mutants(statement))["k-off-by-one"]
    seen = {1: [], 2: [], 3: []}
    for k, pairs in seen.items():
        for sides in shifted:
            try:
                pairs.append(sides(C=np.ones((3, 4)), k=k))
            except ValueError:
                continue
    assert seen == {
        1: [(2, 1), (1, 2)],
        2: [(3, 2), (2, 1), (1, 2), (2, 3)],
        3: [(3, 2), (2, 3)],
    }


def test_lint_wants_the_smallest_parameters() -> None:
    def large(rng, i):
        return {"C": rng.standard_normal((4, 5)), "k": 2}

    problems = lint(
        replace(GOOD, generate=large)
    )  # tight_at, which is met too, has d = T = 3 and k = 2
    assert sum("smallest parameters" in problem for problem in problems) == 3


def test_a_reason_why_nothing_is_tight_will_do() -> None:
    problems = lint(replace(GOOD, tight_at="the sides never meet"))
    assert not [problem for problem in problems if "tight_at" in problem]


def test_automatic_mutants() -> None:
    assert [name for name, _ in mutants(GOOD)] == ["flipped", "constant", "k-off-by-one"]
    equality = replace(GOOD, relation="==", tight_at="equality")
    assert [name for name, _ in mutants(equality)] == ["constant", "k-off-by-one"]


@pytest.mark.parametrize(("rhs", "smaller"), [(10.0, 9.0), (0.0, 0.0), (-10.0, -11.0)])
def test_the_constant_of_a_mutant_makes_the_right_side_smaller(rhs, smaller) -> None:
    statement = replace(GOOD, sides=lambda C, k: (-20.0, rhs))
    [scaled] = dict(mutants(statement))["constant"]
    assert scaled(C=np.eye(2), k=1) == (-20.0, pytest.approx(smaller, rel=1e-15))


def test_without_an_instance_that_meets_the_hypotheses_nothing_is_above_inconclusive() -> None:
    report = check(replace(GOOD, hypotheses=[never]), instances=300, registry=True)
    assert report.verdict == report.sampled
    assert isinstance(report.verdict, Inconclusive)
    assert not report.as_expected


def test_the_word_proved_is_no_grade() -> None:
    """A kernel may earn it; here the old name is another for what a step's check may answer."""
    from theory.statement import Proved  # type: ignore[attr-defined]

    assert Proved is Checked
    for proof in ([EVERYWHERE], [EVERYWHERE, SOLVED], [EVERYWHERE, OPEN], []):
        report = check(replace(GOOD, proof=proof), instances=300, registry=True)
        said = report.summary() + json.dumps(report.as_json()) + repr(report.verdict)
        assert "prove" not in said.lower()
