"""Claims as values, and those of the studies: ids that tables record, each of a claim that is known."""

import importlib

import pandas as pd
import pytest

from neural.robustness.asked import CLAIMS as OF_D22
from neural.robustness.asked import CONTROLS
from neural.robustness.claims import EFFECTS
from neural.study.claims import Claim, Claims
from tests.places import ROOT

STUDIES = ("robustness", "imbalance", "subnetworks", "dynamics", "across")
RESULTS = ROOT / "figures" / "results"


def known(study: str) -> Claims:
    module = importlib.import_module(f"neural.{study}.claims")
    claims: Claims = EFFECTS if study == "robustness" else module.CLAIMS
    return claims


def test_an_unknown_id_is_refused_with_those_there_are() -> None:
    claims = Claims([Claim("a", "A", 1), Claim("b", "B", -1)])
    assert claims["b"].says == "B"
    with pytest.raises(ValueError, match="no claim has the id 'c': choose from a, b"):
        claims["c"]


def test_an_id_is_of_one_claim() -> None:
    with pytest.raises(ValueError, match="two claims have the id 'a'"):
        Claims([Claim("a", "A", 1), Claim("a", "B", 1)])


def test_a_sign_is_expected() -> None:
    with pytest.raises(ValueError, match="claim 'a' expects 2: give -1, 0 or 1"):
        Claim("a", "A", 2)


@pytest.mark.parametrize("study", STUDIES)
def test_every_effect_of_the_results_is_of_a_known_claim(study: str) -> None:
    table = pd.read_csv(RESULTS / f"{study}-claims.csv")
    claims = known(study)
    for row in table[["id", "claim", "expected"]].drop_duplicates().itertuples():
        claim = claims[row.id]
        assert row.claim.startswith(claim.says)
        if study not in ("dynamics", "across"):  # there signs turn on what is measured
            assert row.expected == claim.expected
    assert set(table["id"]) <= claims.keys()
    assert len(set(table["id"])) > len(claims) / 2


@pytest.mark.parametrize("asked", [*OF_D22, *CONTROLS], ids=lambda asked: asked.says[:30])
def test_what_is_asked_of_robustness_has_effects_and_its_own_alone(asked) -> None:
    table = pd.read_csv(RESULTS / "robustness-claims.csv")
    rows = asked.rows(table)
    assert len(rows)
    assert set(rows["id"]) == {asked.effect.id}
    if asked.kind is not None:
        assert set(rows["kind"]) == {asked.kind}
    if asked.failures is not None:
        assert set(rows["failure"]) <= set(asked.failures)
    assert (asked.answers is None) == bool(asked.source)
