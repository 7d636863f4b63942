"""The verdict passes what agrees with the theory and calls everything else."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sim.verdict import FALSE_ALARM, judge

N = 400


def agreeing() -> pd.DataFrame:
    """Rows as a sweep writes them, every deviation a standard normal times its standard error."""
    rng = np.random.default_rng(2)
    error, deviation = np.full(N, 0.01), rng.standard_normal(N)
    return pd.DataFrame(
        {
            "identity": [f"cell{i // 4}" for i in range(N)],
            "inputs": "isotropic",
            "group": "W",
            "draws": 64,
            "perturbation": "additive-noise",
            "converged": True,
            "risk_zero": 1.0,
            "risk_closed_form": 0.5,
            "risk_measured": 0.5 + error * deviation,
            "standard_error": error,
            "skewness_below": 0.0,
            "skewness_above": 0.0,
            "risk_bound": np.nan,
            "slope_closed_form": 0.4,
            "slope_measured": 0.4 + 2 * error * deviation,
            "slope_standard_error": 2 * error,
        }
    )


def old() -> pd.DataFrame:
    """As sweeps wrote them before tails were recorded."""
    return agreeing().drop(columns=["skewness_below", "skewness_above"])


def test_agreement() -> None:
    verdict = judge([agreeing()])
    # A row's slope scatters with its risk: one test.
    assert (verdict.cells, verdict.rows, verdict.tests) == (N // 4, N, N)
    assert verdict.contradictions.empty
    assert 2 < verdict.worst_deviation < verdict.allowed_deviation
    assert verdict.curves == N // 4
    assert verdict.failures_beyond == {}
    assert verdict.estimated_errors == verdict.too_few_draws == verdict.not_attained == 0
    # The Bonferroni quantile at 0.9e-3 over 400 tests of two sides.
    assert verdict.allowed_deviation == pytest.approx(stats.norm.isf(9e-4 / 2 / N), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "contradicts"),
    [
        ({"risk_measured": 0.5 + 0.06}, True),
        ({"risk_measured": 0.5 - 0.06}, True),
        ({"risk_measured": 0.5 + 0.03}, False),
        ({"slope_measured": 0.4 + 0.11}, True),
        ({"slope_measured": 0.4 + 0.11, "converged": False}, False),
        ({"slope_measured": 0.4 + 0.11, "inputs": "data"}, False),
        ({"risk_measured": 0.56, "converged": False}, True),
        ({"risk_closed_form": np.nan}, False),
        ({"standard_error": 0.0, "risk_measured": 0.5 + 1e-12}, False),
        ({"standard_error": 0.0, "risk_measured": 0.5 + 1e-10}, True),
        ({"standard_error": 0.0, "risk_measured": 0.5 - 1e-10}, True),
        ({"risk_measured": 0.5 + 0.06, "skewness_above": 0.5}, False),
        ({"risk_measured": 0.5 + 0.08, "skewness_above": 0.5}, True),
        ({"risk_measured": 0.5 - 0.06, "skewness_above": 0.5}, True),
        ({"risk_measured": 0.5 - 0.06, "skewness_below": 0.5}, False),
        ({"risk_measured": 0.5 + 0.06, "skewness_below": 0.5}, True),
        ({"standard_error": 0.0, "risk_measured": np.nan}, True),
        ({"risk_bound": 0.4}, True),
        ({"risk_bound": 0.6}, False),
        (
            {
                "perturbation": "adversarial-spectral",
                "standard_error": 0.0,
                "risk_measured": 0.5 - 1e-6,
            },
            False,
        ),
        (
            {
                "perturbation": "adversarial-spectral",
                "standard_error": 0.0,
                "risk_measured": 0.5 - 1e-3,
            },
            False,
        ),
        (
            {
                "perturbation": "adversarial-spectral",
                "standard_error": 0.0,
                "risk_measured": 0.5 + 1e-6,
            },
            True,
        ),
    ],
)
def test_one_row_off(changes: dict[str, object], contradicts: bool) -> None:
    table = agreeing()
    for name, value in changes.items():
        table[name] = table[name].astype(object)
        table.loc[7, name] = value
        table[name] = table[name].infer_objects()
    contradictions = judge([table]).contradictions
    assert contradictions.index.tolist() == ([7] if contradicts else [])


def test_strengths_that_share_their_draws_count_once() -> None:
    table = agreeing()
    for column, size in (("risk_measured", 0.5), ("slope_measured", 0.4)):
        table[column] = size
    table.loc[8:11, "risk_measured"] = 0.5 + 0.035
    assert judge([table]).curves_beyond_three == 1


@pytest.mark.parametrize("contradicts", [False, True])
def test_a_failure_with_too_many_curves_beyond_three_is_a_contradiction(contradicts: bool) -> None:
    """Of 50 curves of 4 rows chance takes at most 50 x 4 x 0.0054 = 1.08 beyond three on average."""
    table = agreeing()
    table.loc[N // 2 :, "perturbation"] = "multiplicative-noise"
    for column, size in (("risk_measured", 0.5), ("slope_measured", 0.4)):
        table[column] = size
    allowed = int(stats.poisson.isf(FALSE_ALARM / 10 / 2, 50 * 4 * 0.0054))
    shifted = 4 * np.arange(allowed + (1 if contradicts else 0))
    table.loc[shifted, "risk_measured"] = 0.5 - 0.031
    verdict = judge([table])
    assert list(verdict.contradictions.index) == (list(shifted) if contradicts else [])
    expected = {"additive-noise": (allowed + 1, 50, allowed)} if contradicts else {}
    assert verdict.failures_beyond == expected


def test_an_ascent_that_ends_below_is_not_attained() -> None:
    table = agreeing()
    table.loc[4:7, "perturbation"] = "adversarial-spectral"
    table.loc[4:7, ["standard_error", "skewness_below", "skewness_above"]] = 0.0
    table.loc[4:7, "risk_measured"] = [0.5, 0.5 - 5e-5, 0.5 - 2e-4, 0.5 - 1e-3]
    verdict = judge([table])
    assert verdict.contradictions.empty
    assert verdict.not_attained == 2
    assert verdict.shortfall == pytest.approx(1e-3)  # of the largest risk, that of predicting 0
    table.loc[4, "risk_measured"] = 0.5 + 1e-8
    assert list(judge([table]).contradictions.index) == [4]


def test_models_that_did_not_converge_are_counted() -> None:
    table = agreeing()
    table.loc[8:15, "converged"] = False
    assert judge([table]).not_converged == 2


@pytest.mark.parametrize(("draws", "tested"), [(255, False), (256, True)])
def test_rare_outcomes_of_unknown_law_are_not_judged_by_few_draws(draws: int, tested: bool) -> None:
    for table in (old(), agreeing().assign(skewness_below=np.nan, skewness_above=np.nan)):
        table = table.assign(perturbation="weight-deletion-rescaled", draws=draws)
        table.loc[5, ["risk_measured", "slope_measured"]] += 0.5
        verdict = judge([table])
        assert verdict.contradictions.empty != tested
        assert verdict.tests == (N if tested else 0)
        assert verdict.too_few_draws == (0 if tested else N)
        assert verdict.estimated_errors == (N if tested else 0)


def test_few_draws_are_judged_where_the_law_is_known() -> None:
    table = agreeing().assign(perturbation="neuron-deletion", draws=4)
    assert judge([table]).contradictions.empty
    table.loc[5, "risk_measured"] += 0.08
    assert list(judge([table]).contradictions.index) == [5]


def test_old_tables_are_judged_by_a_t_law_of_their_draws() -> None:
    """Of 10 draws, seven standard errors are no rarer than four of a normal law."""
    few, enough = (old().assign(draws=draws) for draws in (10, 1000))
    for table in (few, enough):
        table.loc[5, "risk_measured"] = 0.57
    assert judge([few]).contradictions.empty
    assert list(judge([enough]).contradictions.index) == [5]
    few.loc[5, "risk_measured"] = 0.5 + 0.01 * 40
    assert list(judge([few]).contradictions.index) == [5]


def test_parts_are_judged_as_the_whole() -> None:
    table = agreeing()
    table.loc[5, "risk_measured"] += 0.08
    table.loc[300:, "converged"] = False
    whole = judge([table])
    parts = judge(table.iloc[i : i + 40] for i in range(0, N, 40))
    assert list(whole.contradictions.index) == [5]
    pd.testing.assert_frame_equal(parts.contradictions, whole.contradictions)
    for name in vars(whole).keys() - {"contradictions"}:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name)), name
