"""The verdict passes what agrees with the theory and calls everything else."""

import numpy as np
import pandas as pd
import pytest

from sim.verdict import judge

N = 400


def agreeing() -> pd.DataFrame:
    """Rows as a sweep writes them, every deviation a standard normal times its standard error."""
    rng = np.random.default_rng(2)
    error = np.full(N, 0.01)
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
            "risk_measured": 0.5 + error * rng.standard_normal(N),
            "standard_error": error,
            "risk_bound": np.nan,
            "slope_closed_form": 0.4,
            "slope_measured": 0.4 + 2 * error * rng.standard_normal(N),
            "slope_standard_error": 2 * error,
        }
    )


def test_agreement() -> None:
    verdict = judge([agreeing()])
    assert (verdict.cells, verdict.rows, verdict.tests) == (N // 4, N, 2 * N)
    assert verdict.contradictions.empty
    assert 2 < verdict.worst_deviation < verdict.allowed_deviation
    # The Bonferroni quantile at 1e-3 over 800 tests.
    assert verdict.curves == N // 4
    assert verdict.curves_beyond_three <= verdict.curves_beyond_three_allowed
    assert verdict.allowed_deviation == pytest.approx(4.8475, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "found"),
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
            True,
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
def test_one_row_off(changes: dict[str, object], found: bool) -> None:
    table = agreeing()
    for name, value in changes.items():
        table[name] = table[name].astype(object)
        table.loc[7, name] = value
        table[name] = table[name].infer_objects()
    contradictions = judge([table]).contradictions
    assert contradictions.index.tolist() == ([7] if found else [])


def test_strengths_that_share_their_draws_count_once() -> None:
    table = agreeing()
    for column, size in (("risk_measured", 0.5), ("slope_measured", 0.4)):
        table[column] = size
    table.loc[8:11, "risk_measured"] = 0.5 + 0.035
    verdict = judge([table])
    assert verdict.curves_beyond_three == 1
    # 100 curves of 8 tests at 0.27 %: 2.2 expected, and P(Poisson(2.2) > 8) < 1e-3 <= P(Poisson(2.2) > 7).
    assert verdict.curves_beyond_three_allowed == 8


def test_models_that_did_not_converge_are_counted() -> None:
    table = agreeing()
    table.loc[8:15, "converged"] = False
    assert judge([table]).not_converged == 2


@pytest.mark.parametrize(("draws", "tested"), [(255, False), (256, True)])
def test_rare_outcomes_are_not_judged_by_few_draws(draws: int, tested: bool) -> None:
    table = agreeing().assign(perturbation="weight-deletion-rescaled", draws=draws)
    table.loc[5, ["risk_measured", "slope_measured"]] += 0.5
    verdict = judge([table])
    assert verdict.contradictions.empty != tested
    assert verdict.tests == (2 * N if tested else 0)
    assert verdict.too_few_draws == (0 if tested else N)


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
