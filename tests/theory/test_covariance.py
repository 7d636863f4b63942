"""The second moment of the inputs: every way in gives the same S, singular or not."""

import numpy as np
import pytest
from scipy import sparse

from theory.covariance import Covariance, as_covariance

EPS = float(np.finfo(float).eps)


def sample_of_inputs(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def matrix(S: Covariance) -> np.ndarray:
    return S.apply(np.eye(S.dimension))


def ways_in() -> dict[str, tuple[Covariance, np.ndarray]]:
    """A Covariance and the S it stands for."""
    X = sample_of_inputs(9, 4)
    few, many_inputs = sample_of_inputs(2, 4), sample_of_inputs(50, 4)
    variances = np.array([4.0, 0.0, 0.25, 1.0])
    counts = np.random.default_rng(1).poisson(0.4, (9, 4)).astype(float)
    return {
        "identity": (as_covariance(None, 4), np.eye(4)),
        "diagonal": (as_covariance(variances, 4), np.diag(variances)),
        "matrix": (as_covariance(X.T @ X / 9, 4), X.T @ X / 9),
        "singular matrix": (as_covariance(few.T @ few, 4), few.T @ few),
        "nothing": (as_covariance(np.zeros((4, 4)), 4), np.zeros((4, 4))),
        "inputs": (Covariance.of_inputs(X), X.T @ X / 9),
        "many inputs": (Covariance.of_inputs(many_inputs), many_inputs.T @ many_inputs / 50),
        "fewer inputs than dimensions": (Covariance.of_inputs(few), few.T @ few / 2),
        "sparse inputs": (Covariance.of_inputs(sparse.csr_matrix(counts)), counts.T @ counts / 9),
    }


@pytest.mark.parametrize("way", ways_in())
def test_every_operation_is_that_of_the_matrix(way: str) -> None:
    S, expected = ways_in()[way]
    M = sample_of_inputs(4, 3, seed=7)
    # Backward error of a 4 x 4 eigendecomposition or SVD, times the norms of what it multiplies.
    tolerance = 64 * EPS * 4 * max(1.0, np.abs(expected).max()) * np.linalg.norm(M)
    assert S.dimension == 4
    assert S.apply(M) == pytest.approx(expected @ M, rel=0, abs=tolerance)
    assert S.factor(M).T @ S.factor(M) == pytest.approx(
        M.T @ expected @ M, rel=0, abs=tolerance * np.linalg.norm(M)
    )
    assert S.project(M) == pytest.approx(
        np.linalg.pinv(expected, rcond=1e-10) @ expected @ M, rel=0, abs=100 * tolerance
    )  # the pseudo-inverse costs the condition number, below 100 on the range of each S
    assert S.diagonal == pytest.approx(np.diag(expected), rel=0, abs=tolerance)
    assert S.trace == pytest.approx(np.trace(expected), rel=0, abs=tolerance)


@pytest.mark.parametrize("way", ways_in())
def test_values_are_eigenvalues_and_vectors_orthonormal(way: str) -> None:
    S, expected = ways_in()[way]
    eigenvalues = np.linalg.eigvalsh(expected)[::-1]
    # LAPACK's backward error, some eps of the norm.
    tolerance = 64 * EPS * 4 * max(1.0, eigenvalues[0])
    kept = np.sort(S.values)[::-1]
    assert kept == pytest.approx(eigenvalues[: len(kept)], rel=0, abs=tolerance)
    assert eigenvalues[len(kept) :] == pytest.approx(0, rel=0, abs=tolerance)
    if S.vectors is not None:
        assert (S.values > 0).all()
        gram = S.vectors.T @ S.vectors
        assert gram == pytest.approx(np.eye(len(S.values)), rel=0, abs=64 * EPS * 4)


def test_only_ones_along_the_axes_are_the_identity() -> None:
    assert as_covariance(None, 3).is_identity
    assert as_covariance(np.ones(3), 3).is_identity
    assert not as_covariance([1.0, 1.0, 0.5], 3).is_identity
    assert as_covariance(None, 100_000).vectors is None


def test_a_covariance_passes_as_it_is() -> None:
    S = Covariance.of_inputs(sample_of_inputs(5, 3))
    assert as_covariance(S, 3) is S


def test_small_directions_of_a_sample_are_not_squared_away() -> None:
    # The second moment has condition number 1e20: formed, its least eigenvalue would be rounding of the greatest.
    X = np.sqrt(3) * np.diag([1.0, 1e-5, 1e-10])
    rotation = np.linalg.qr(sample_of_inputs(3, 3))[0]
    # An SVD gives each singular value within some eps of the greatest, here a relative 1e-16 / 1e-10.
    assert Covariance.of_inputs(X @ rotation.T).values == pytest.approx(
        [1, 1e-10, 1e-20], rel=64 * EPS / 1e-10
    )


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_rank_does_not_depend_on_the_unit_of_the_inputs(scale: float) -> None:
    few = sample_of_inputs(2, 4)
    S = as_covariance(few.T @ few * scale, 4)
    assert len(S.values) == 2
    # One rounding of each entry, and the backward error of a 4 x 4 eigendecomposition.
    assert S.trace / scale == pytest.approx(np.trace(few.T @ few), rel=64 * EPS)


BAD = {
    "shape": (np.ones((2, 3)), "pass"),
    "length": (np.ones(2), "pass"),
    "NaN": (np.diag([1.0, np.nan, 1.0]), "drop or impute"),
    "infinite": (np.array([1.0, np.inf, 1.0]), "drop or impute"),
    "negative variance": (np.array([1.0, -1e-3, 1.0]), "variances are >= 0"),
    "asymmetric": (np.eye(3) + np.triu(np.full((3, 3), 1e-6), 1), r"pass \(S \+ S.T\) / 2"),
    "indefinite": (np.diag([1.0, 1.0, -1e-3]), r"pass E\[x x\^T\]"),
    "negative definite": (-np.eye(3), r"pass E\[x x\^T\]"),
    "complex": (np.eye(3) * (1 + 1j), "pass the real"),
    "another input space": (Covariance(np.ones(4)), "use one input space"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_covariances_are_refused_in_one_line(case: str) -> None:
    S, remedy = BAD[case]
    with pytest.raises(ValueError, match=remedy) as refusal:
        as_covariance(S, 3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "X", [np.ones(3), np.ones((0, 3)), np.ones((3, 0)), np.array([[1.0, np.nan]])]
)
def test_bad_inputs_are_refused_in_one_line(X: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"inputs need shape \(n, d\)") as refusal:
        Covariance.of_inputs(X)
    assert "\n" not in str(refusal.value)
