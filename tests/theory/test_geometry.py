"""Every geometry has its defining property, and the strategies reach every geometry and corner."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from tests.strategies import CORNERS, drawn_tasks, seeded, task_matrices_and_ranks
from theory import geometry
from theory.geometry import KINDS, existing, sample, slope_rise
from theory.spectra import coherence, singular_values, slope

EPS = float(np.finfo(float).eps)
SHAPES = list(itertools.product(range(1, 6), range(1, 8)))


def rounding(d: int, T: int) -> float:
    """Backward error of a product or an orthogonal factor of this size, entries up to 1."""
    return 16 * EPS * max(d, T)


def gram(C: np.ndarray) -> np.ndarray:
    return C.T @ C


@pytest.mark.parametrize("kind", KINDS)
def test_shape_norms_and_bits(kind: str) -> None:
    reached = 0
    for d, T in SHAPES:
        if kind not in existing(d, T):
            continue
        reached += 1
        C = sample(kind, d, T, 5)
        assert C.shape == (d, T)
        assert C.dtype == np.float64
        assert C.flags.c_contiguous
        assert np.isfinite(C).all()
        assert C.any()
        assert sample(kind, d, T, 5).tobytes() == C.tobytes()
        if KINDS[kind].unit:
            assert np.abs(np.linalg.norm(C, axis=0) - 1).max() <= rounding(d, T)
    assert reached >= 10
    assert not np.array_equal(sample(kind, 5, 4, 0), sample(kind, 5, 4, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_other_kinds_are_not_all_unit(kind: str) -> None:
    norms = np.linalg.norm(sample(kind, 5, 4, 0), axis=0)
    assert KINDS[kind].unit == bool(np.allclose(norms, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_absent_geometry_is_refused(kind: str) -> None:
    for d, T in SHAPES:
        if kind not in existing(d, T):
            with pytest.raises(ValueError, match=f"'{kind}' does not exist at d={d}, T={T}.*needs"):
                sample(kind, d, T, 0)


def test_stream_differs_from_the_seeds_own() -> None:
    noise = np.random.default_rng(3).standard_normal((4, 6)).T / np.sqrt(6)
    assert not np.isin(sample("gaussian", 6, 4, 3), noise).any()


@pytest.mark.parametrize("kind", ["gaussian", "sphere"])
def test_nested_in_tasks(kind: str) -> None:
    for d, T in itertools.product((1, 2, 3, 9, 17, 200), range(1, 12)):
        assert np.array_equal(sample(kind, d, T + 1, 7)[:, :T], sample(kind, d, T, 7))


def test_gaussian_moments() -> None:
    d, T = 200, 300
    entries = np.sqrt(d) * sample("gaussian", d, T, 0).ravel()
    # Five standard deviations of the mean of n iid terms; Var z^2 = 2.
    assert abs(entries.mean()) <= 5 / np.sqrt(d * T)
    assert abs((entries**2).mean() - 1) <= 5 * np.sqrt(2 / (d * T))


def test_orthonormal() -> None:
    for d, T in SHAPES:
        if d >= T:
            C = sample("orthonormal", d, T, 1)
            assert np.abs(gram(C) - np.eye(T)).max() <= rounding(d, T)
    # Householder QR alone would make every leading entry negative.
    assert {bool(sample("orthonormal", 3, 2, seed)[0, 0] > 0) for seed in range(20)} == {
        True,
        False,
    }


@pytest.mark.parametrize("T", [2, 3, 4, 7])
def test_equicorrelated(T: int) -> None:
    lowest = -1 / (T - 1)
    cases = [(T, 0.5), (T + 2, 0.0), (T, lowest / 2), (T, 0.999), (1, 1.0)]
    cases += [(T - 1, lowest), (T - 1, np.nextafter(lowest, -1)), (T - 1, np.nextafter(lowest, 1))]
    for d, r in cases:
        C = sample("equicorrelated", d, T, 2, correlation=max(r, -1))
        wanted = np.full((T, T), r)
        np.fill_diagonal(wanted, 1)
        assert np.abs(gram(C) - wanted).max() <= rounding(d, T)
    for d, r in [(T - 1, 0.5)] + [(T, lowest - 1e-9)] * (T > 2):
        with pytest.raises(ValueError, match="it needs correlation >= -1"):
            sample("equicorrelated", d, T, 0, correlation=r)


def test_simplex() -> None:
    for T in range(2, 9):
        C = sample("simplex", T - 1, T, 3)
        assert np.abs(gram(C) - (np.eye(T) * T - 1) / (T - 1)).max() <= rounding(T, T)
        assert np.abs(C.sum(axis=1)).max() <= rounding(T, T) * np.sqrt(T)


def test_tight_frame() -> None:
    for d, T in [*itertools.product(range(1, 9), range(1, 18)), (20, 400), (40, 41)]:
        C = sample("tight-frame", d, T, 4)
        error = np.abs(singular_values(C) - np.sqrt(max(1, T / d))).max()
        # Errors of some eps from T rotations add like a random walk, in values sqrt(T/d).
        assert error <= 16 * EPS * np.sqrt(T * max(1, T / d))
    first, second = (sample("tight-frame", 3, 7, seed) for seed in (0, 1))
    assert not np.allclose(np.sort(gram(first), axis=None), np.sort(gram(second), axis=None))
    assert coherence(first) < 0.999


def test_clustered() -> None:
    C = sample("clustered", 20, 7, 0, clusters=3, spread=0.0)
    assert np.array_equal(C[:, :4], C[:, 3:])
    assert coherence(C[:, :3]) < 0.9
    # Two tasks c + s g, c + s g' with |g| near 1 correlate by about 1/(1 + s^2), the spread in
    # 400 dimensions being some 1/20; two centres by about 1/20.
    cosines = gram(sample("clustered", 400, 6, 0, clusters=2, spread=0.5))
    same = np.add.outer(np.arange(6), np.arange(6)) % 2 == 0
    assert np.abs(cosines[same & ~np.eye(6, dtype=bool)] - 1 / 1.25).max() < 0.2
    assert np.abs(cosines[~same]).max() < 0.25


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_power_law(alpha: float) -> None:
    for d, T in SHAPES:
        C = sample("power-law", d, T, 6, alpha=alpha)
        sigma = singular_values(C)
        assert sigma / sigma[0] == pytest.approx(np.arange(1, len(sigma) + 1) ** -alpha, rel=1e-12)
        assert (C**2).sum() == pytest.approx(T, rel=rounding(d, T))


def test_low_rank() -> None:
    exact = singular_values(sample("low-rank", 6, 5, 0, rank=2, noise=0.0))
    assert exact[2] <= rounding(6, 5) * exact[0]
    assert exact[1] > 1e-3
    noisy = singular_values(sample("low-rank", 6, 5, 0, rank=2, noise=1e-3))
    assert 1e-6 < noisy[2] < 1e-2
    C = sample("low-rank", 100, 2000, 1, rank=50, noise=0.5)
    # Mean squared norm 1 + noise^2; its relative deviation is about sqrt(2/(rank T) + 2/(d rank)).
    assert (C**2).sum() / 2000 == pytest.approx(1.25, rel=5 * np.sqrt(2 / (100 * 50) + 2e-5))


def test_duplicated() -> None:
    C = sample("duplicated", 6, 7, 0, distinct=3)
    assert np.array_equal(C[:, :4], C[:, 3:])
    assert len(np.unique(C, axis=1).T) == 3


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.3, np.pi / 2, 3.0, np.pi])
def test_cloned(angle: float) -> None:
    C = sample("cloned", 5, 7, 0, angle=angle)
    for first in (0, 2, 4):
        a, b = C[:, first], C[:, first + 1]
        # Kahan's angle, accurate near 0 and pi; each entry carries a rounding of eps.
        measured = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
        assert abs(measured - angle) <= rounding(5, 7)
    assert coherence(C[:, ::2]) < 0.99


def test_dominant() -> None:
    norms = np.linalg.norm(sample("dominant", 4, 5, 0, scale=7.0), axis=0)
    assert norms == pytest.approx([7, 1, 1, 1, 1], rel=rounding(4, 5))


def test_integer() -> None:
    C = sample("integer", 20, 20, 0, bound=2)
    assert set(C.ravel()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert all(sample("integer", 1, 1, seed, bound=1)[0, 0] != 0 for seed in range(30))
    large = sample("integer", 5, 5, 0, bound=2**53)
    assert np.array_equal(large, np.round(large))
    assert np.abs(large).max() > 2**51


@pytest.mark.parametrize(("d", "T", "k"), [(3, 4, 1), (4, 4, 2), (2, 3, 2), (5, 3, 1)])
def test_slope_rise_and_its_gradient(d: int, T: int, k: int) -> None:
    C = sample("gaussian", d, T, 8)
    value, gradient = slope_rise(C, k)
    assert value == pytest.approx(slope(C, k) - slope(C[:, :-1], k), abs=rounding(d, T))
    step = 1e-5
    for i, t in np.ndindex(d, T):
        nudge = np.zeros((d, T))
        nudge[i, t] = step
        difference = slope_rise(C + nudge, k)[0] - slope_rise(C - nudge, k)[0]
        # Truncation step^2 times third derivatives below 100, and cancellation eps/step.
        assert abs(difference / (2 * step) - gradient[i, t]) <= 1e-8 + 4 * EPS / step


@pytest.mark.parametrize(("T", "k"), [(3, 1), (4, 1), (4, 2), (6, 2)])
def test_adversarial_finds_tasks_that_raise_the_slope(T: int, k: int) -> None:
    """Statement 12: adding a task can raise the slope."""
    start = sample("adversarial", 4, T, 0, k=k, steps=0)
    assert np.array_equal(start, sample("sphere", 4, T, 0))
    values = [
        slope_rise(sample("adversarial", 4, T, 0, k=k, steps=n), k)[0] for n in (0, 3, 30, 100)
    ]
    assert values == sorted(values)
    assert values[-1] > 0.05 > values[0]


def test_adversarial_objective() -> None:
    direction = sample("gaussian", 4, 3, 9)
    C = sample("adversarial", 4, 3, 0, objective=lambda C: ((C * direction).sum(), direction))
    # The maximum of a linear function is smooth and strict: 100 steps end within its rounding.
    assert (C * direction).sum() == pytest.approx(
        np.linalg.norm(direction, axis=0).sum(), rel=1e-12
    )


@pytest.mark.parametrize(
    "objective",
    [
        lambda C: (np.nan, C),
        lambda C: (0.0, C[:, 1:]),
        lambda C: (0.0, np.full_like(C, np.inf)),
    ],
)
def test_adversarial_objective_must_be_usable(objective: geometry.Objective) -> None:
    with pytest.raises(ValueError, match=r"objective gave .* return a finite number"):
        sample("adversarial", 3, 3, 0, objective=objective)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("ring", 3, 3, 0), {}, r"unknown geometry 'ring': pass one of orthonormal, gaussian, "),
        (("sphere", 0, 3, 0), {}, r"d=0 is out of range: pass an integer >= 1"),
        (("sphere", 3, 2.5, 0), {}, r"T=2.5 .* integer >= 1"),
        (("sphere", True, 3, 0), {}, r"d=True "),
        (("sphere", 3, 3, None), {}, r"seed=None .* integer >= 0"),
        (("sphere", 3, 3, -1), {}, r"seed=-1 "),
        (("sphere", 3, 3, 0), {"rank": 1}, r"'sphere' has no option 'rank': its options are none"),
        (("clustered", 3, 3, 0), {"rank": 1}, r"no option 'rank': .* clusters, spread"),
        (("clustered", 3, 3, 0), {"clusters": 4}, r"clusters=4.* it needs clusters <= T"),
        (("clustered", 3, 3, 0), {"spread": -1}, r"spread=-1 .* from 0 to 1e\+100"),
        (("equicorrelated", 3, 3, 0), {"correlation": 1.1}, r"correlation=1.1 .* from -1 to 1"),
        (("equicorrelated", 3, 3, 0), {"correlation": -0.6}, r"it needs correlation >= -1/\(T-1\)"),
        (("power-law", 3, 3, 0), {"alpha": np.nan}, r"alpha=nan "),
        (("power-law", 3, 3, 0), {"alpha": "big"}, r"alpha='big' "),
        (("low-rank", 3, 3, 0), {"rank": 4}, r"it needs rank <= min"),
        (("low-rank", 3, 3, 0), {"noise": np.inf}, r"noise=inf "),
        (("duplicated", 3, 3, 0), {"distinct": 0}, r"distinct=0 .* integer >= 1"),
        (("cloned", 3, 3, 0), {"angle": 4}, r"angle=4 .* from 0 to 3.14"),
        (("dominant", 3, 3, 0), {"scale": 0.5}, r"scale=0.5 .* from 1 "),
        (("integer", 3, 3, 0), {"bound": 2**54}, r"bound=.* <= 9007199254740992"),
        (("adversarial", 3, 3, 0), {"k": 3}, r"it needs k <= min\(d, T-1\)"),
        (("adversarial", 3, 3, 0), {"objective": 1}, r"objective=1 is no function"),
        (("adversarial", 3, 3, 0), {"steps": -1}, r"steps=-1 "),
    ],
)
def test_bad_input(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        sample(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_kinds_describe_themselves() -> None:
    for kind in KINDS.values():
        assert kind.description
        assert kind.where
        assert set(kind.defaults) <= set(geometry._OPTIONS)
    with pytest.raises(TypeError):
        KINDS["sphere"] = KINDS["gaussian"]  # type: ignore[index]


def test_strategies_reach_every_kind_and_corner() -> None:
    seen = []

    @settings(seeded, max_examples=400)
    @given(drawn_tasks())
    def collect(drawn) -> None:
        seen.append(drawn)

    collect()
    pairs = [(drawn.kind, drawn.corner) for drawn in seen]
    assert {kind for kind, _ in pairs} == set(KINDS)
    assert {corner for _, corner in pairs} == set(CORNERS)
    shapes = {drawn.C.shape for drawn in seen}
    assert {d for d, _ in shapes} == {T for _, T in shapes} == set(range(1, 7))
    assert all(np.isfinite(drawn.C).all() for drawn in seen)
    assert np.mean([np.array_equal(drawn.C, np.eye(*drawn.C.shape)) for drawn in seen]) < 0.1
    assert len({drawn.C.tobytes() for drawn in seen}) > len(seen) / 2
    largest = [np.abs(drawn.C).max() for drawn in seen]
    assert max(largest) > 1e149
    assert min(value for value in largest if value) < 1e-149
    ratios = [
        s[-1] / s[0] for s in map(singular_values, (d.C for d in seen)) if s[0] and len(s) > 1
    ]
    assert min(ratios) < EPS * 16  # rank-deficient
    assert any(abs(ratio - 1) < EPS * 16 for ratio in ratios)  # repeated singular values


def test_strategies_reach_the_extreme_ranks() -> None:
    seen = set()

    @seeded
    @given(task_matrices_and_ranks())
    def collect(drawn) -> None:
        C, k = drawn
        top = min(C.shape)
        assert 1 <= k <= top
        seen.add("middle" if 1 < k < top else "least" if k < top else "most" if k > 1 else "only")

    collect()
    assert seen == {"least", "middle", "most", "only"}


@seeded
@given(drawn_tasks(unit=True, min_T=2))
def test_unit_strategy_gives_unit_tasks(drawn) -> None:
    assert drawn.C.shape[1] >= 2
    assert np.abs(np.linalg.norm(drawn.C, axis=0) - 1).max() <= rounding(*drawn.C.shape)
