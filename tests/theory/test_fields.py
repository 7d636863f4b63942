"""A statement's fields are of the right kind, or refused by name when it is made."""

import re
from fractions import Fraction

import numpy as np
import pytest

from theory.fields import wrong_instance
from theory.statement import Hypothesis, Statement


def sides(C, k):
    return 0.0, 1.0


GOOD = {"id": "mine", "claim": r"0 \le 1", "sides": sides}
INSTANCE = {"C": np.eye(2), "k": 1}


def test_a_statement_may_use_every_field() -> None:
    Statement(
        **GOOD,
        source="me",
        number=3,
        relation="==",
        hypotheses=["unit_tasks", Hypothesis("two", "T >= 2", lambda C: C.shape[1] >= 2), sides],
        generate=lambda rng, i: None,
        tight_at={"C": np.array([[Fraction(1)]], dtype=object), "k": np.int64(1)},
        needed={"unit_tasks": INSTANCE, "two": "not needed"},
        as_refuted=INSTANCE,
        remark="two\nlines",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *(
            ({"id": name}, "id is ")
            for name in (None, 3, "", "a b", "a\n", "a\x1b[2K", "é", "-a", "a" * 81, "a/b")
        ),
        *(
            ({"id": name}, "a word of the verdicts")
            for name in ("Proved", "not-refuted", "x.supported", "steps_checked")
        ),
        ({"claim": 3}, "mine: claim is 3: give a str"),
        ({"claim": "a\x1b[2K"}, "mine: claim holds control characters"),
        ({"source": None}, "mine: source is None: give a str"),
        ({"remark": []}, "mine: remark is []: give a str"),
        *(
            ({"relation": relation}, f"mine: relation is {relation!r}: use '<=' or '=='")
            for relation in (">=", "<", ">", "=", "!=", "", None, 3, ["<="])
        ),
        ({"sides": (0.0, 1.0)}, "mine: sides is (0.0, 1.0): give a function of (C, k)"),
        ({"sides": None}, "mine: sides is None: give a function of (C, k)"),
        ({"sides": dict}, "whose parameters cannot be read"),
        ({"generate": 3}, "mine: generate is 3: give a function"),
        ({"scale": 1.0}, "mine: scale is 1.0: use 'sides' or 'risk'"),
        ({"scale": lambda C: 1e9}, "mine: scale is a function: use 'sides' or 'risk'"),
        ({"hypotheses": "unit_tasks"}, "mine: hypotheses is 'unit_tasks': give a list"),
        ({"hypotheses": None}, "mine: hypotheses is None: give a list"),
        ({"hypotheses": {"unit_tasks"}}, "mine: hypotheses is {'unit_tasks'}: give a list"),
        ({"hypotheses": [True]}, "mine: hypotheses holds True: give a list of names and functions"),
        (
            {"hypotheses": ["unit_task"]},
            "unknown hypothesis 'unit_task': did you mean 'unit_tasks'? use unit_tasks, ortho",
        ),
        ({"hypotheses": ["?"]}, "unknown hypothesis '?': use unit_tasks"),
        ({"hypotheses": [Hypothesis("proved", "", sides)]}, "a hypothesis is called 'proved': cho"),
        ({"hypotheses": [Hypothesis("a\n", "", sides)]}, "a hypothesis is called 'a\\n': choose"),
        ({"proof": "trust me"}, "mine: proof is 'trust me': give a list"),
        ({"proof": [sides]}, "give a list of Steps"),
        ({"number": "3"}, "mine: number is '3': give an int or None"),
        ({"number": True}, "mine: number is True: give an int or None"),
        *(({"tolerance": t}, "mine: tolerance is ") for t in ("0", None, True, -1e-12, np.nan, 1j)),
        ({"needed": ["unit_tasks"]}, "mine: needed is ['unit_tasks']: give a dict"),
        ({"needed": {"unit_tasks": 3}}, "mine: needed['unit_tasks'] is no instance: 3; give"),
        ({"mutants": None}, "mine: mutants is None: give a dict"),
        ({"tight_at": None}, "mine: tight_at is no instance: None; give"),
        ({"tight_at": {}}, "mine: tight_at is no instance: it has no C"),
        ({"as_refuted": {"C": np.eye(2)}}, "mine: as_refuted is no instance: it has no k"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(change, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        Statement(**GOOD | change)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 1.0}, "k is 1.0; give an int >= 1"),
        ({"k": "1"}, "k is '1'; give"),
        ({"k": True}, "k is True; give"),
        ({"k": 0}, "k is 0; give"),
        ({"k": 3}, "k is 3 for C of shape (2, 2)"),
        ({"C": [[1.0], [1.0, 2.0]]}, "C: "),
        ({"C": np.ones(3)}, "C is array([1., 1., 1.]); give a real (d, T) array"),
        ({"C": np.ones((0, 2))}, "give a real (d, T) array"),
        ({"C": 1j * np.eye(2)}, "give a real (d, T) array"),
        ({"C": [["a"]]}, "give a real (d, T) array"),
        ({"C": np.diag([1.0, np.nan])}, "C is not finite"),
        ({"no name": 1}, "the name 'no name'"),
        ({3: 1}, "the name 3"),
    ],
)
def test_what_is_no_instance(change, says: str) -> None:
    assert says in (wrong_instance(INSTANCE | change) or "")


def test_an_instance_is_one() -> None:
    assert wrong_instance(INSTANCE | {"sigma": 1.0}) is None
