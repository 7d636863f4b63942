from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from neural.text.mixture import LARGEST_BLOCK, Mixture, counts, parse_schedule
from neural.text.shuffle import key, mix, permute, shuffles
from sim.runs.errors import UserError
from tests.strategies import seeded


def streams(context=8, **lengths):
    """Ids that say whose they are: the i-th language's start at 10,000 i."""
    return {
        name: np.arange(length, dtype=np.uint16) + np.uint16(10_000 * index)
        for index, (name, length) in enumerate(lengths.items())
    }


def mixture(schedule="en:0.9,el:0.1", batch_size=6, context=8, steps=40, ids=None):
    ids = streams(en=1000, el=300) if ids is None else ids
    return Mixture(
        parse_schedule(schedule), ids, batch_size=batch_size, context=context, steps=steps
    )


def all_batches(mixed, seed=0):
    batches = [mixed.batch(seed, step) for step in range(mixed.steps)]
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


@seeded
@given(n=st.integers(1, 2000), word=st.integers(0, 2**64 - 1))
def test_permute_is_a_permutation(n, word):
    assert sorted(permute(np.arange(n), n, word).tolist()) == list(range(n))


@pytest.mark.parametrize("n", [3, 50, 10_007])
def test_permutations_favour_no_place(n):
    """Where one index goes under 3000 keys, in at most 20 bins: chi-squared, seeded, p > 1e-4."""
    keys = mix(key("places", n), np.arange(3000))
    places = permute(np.full(3000, n // 2), n, keys)
    edges = np.linspace(0, n, min(n, 20) + 1)
    expected = np.diff(np.ceil(edges)) / n * 3000
    assert chisquare(np.histogram(places, edges)[0], expected).pvalue > 1e-4


def test_permutations_of_neighbouring_epochs_have_nothing_in_common():
    n = 10_000
    first, second = (permute(np.arange(n), n, mix(key(0), epoch)) for epoch in (0, 1))
    assert (first == second).sum() < 12  # 1 expected; Poisson reaches 12 with p < 1e-9
    assert abs(np.corrcoef(first, second)[0, 1]) < 6 / np.sqrt(n)  # 6 standard deviations
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 6 / np.sqrt(n)


def test_every_order_of_a_block_is_as_likely():
    orders = shuffles(3, mix(key("orders"), np.arange(6000)))
    _, times = np.unique(orders @ [9, 3, 1], return_counts=True)
    assert len(times) == 6
    assert chisquare(times).pvalue > 1e-4


def test_parts_of_a_key_do_not_run_together():
    assert len({key("a", "b"), key("astr b"), key("ab"), key(1), key("1"), key(-1)}) == 6


shares = st.dictionaries(
    st.sampled_from("abcdefgh"), st.fractions(0, 1, max_denominator=5000), min_size=1
).filter(lambda drawn: sum(drawn.values()) > 0)


@seeded
@given(shares)
def test_a_block_has_the_shares_and_starves_nobody(drawn):
    drawn = {name: share / sum(drawn.values()) for name, share in drawn.items()}
    block = counts(drawn)
    size = sum(block.values())
    raised = sum(0 < share * size < 1 for share in drawn.values())
    for name, share in drawn.items():
        assert (block[name] > 0) == (share > 0)
        # what the small ones are raised to is taken from the others, one sequence each
        assert abs(block[name] - share * size) <= 1 + raised
    if all(LARGEST_BLOCK % share.denominator == 0 for share in drawn.values()):
        assert all(block[name] == share * size for name, share in drawn.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("en:0.9,el:0.1", {"en": 9, "el": 1}),
        ("en,el", {"en": 1, "el": 1}),
        ("en:1,el:1,de:1", {"en": 1, "el": 1, "de": 1}),
        ("en@bible:3, en@msdocs:1", {"en@bible": 3, "en@msdocs": 1}),
        ("en:1e-6,el:1", {"en": 1, "el": 999}),
        ("en:1e-6,el:1e-6,de:1", {"en": 1, "el": 1, "de": 998}),
        ("en:0.3337,el:0.6663", {"en": 334, "el": 666}),
    ],
)
def test_counts_of_a_block(text, expected):
    assert counts(parse_schedule(text).stages[0]) == expected


def test_stages_know_every_language():
    schedule = parse_schedule("en | en:0.65,el:0.35 | el")
    assert schedule.languages == ("en", "el")
    assert [stage["el"] for stage in schedule.stages] == [0, Fraction(7, 20), 1]
    assert parse_schedule("en:3,el:1").stages == ({"en": Fraction(3, 4), "el": Fraction(1, 4)},)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("en:x,el:1", ("'x'", "en", "no number")),
        ("en:nan", ("'nan'", "no number")),
        ("en:1/0", ("'1/0'", "no number")),
        ("en:,el:1", ("''", "no number")),
        ("en:-0.1,el:1", ("-0.1", "negative")),
        ("en:0,el:0", ("all shares", "0")),
        ("en:0,el:1", ("en has no share",)),
        ("en:1 | el:0,en:1", ("el has no share",)),
        ("en:1,en:2", ("en stands twice",)),
        ("en:1,,el:1", ("a name is missing",)),
        ("", ("a name is missing",)),
        ("en:1|", ("a name is missing",)),
    ],
)
def test_bad_shares_are_refused(text, parts):
    with pytest.raises(UserError) as caught:
        parse_schedule(text)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_a_batch_is_a_function_of_seed_and_step():
    fresh, two = mixture(), mixture()
    later = fresh.batch(0, 30)
    for step in (30, 0, 30):
        tokens, languages = two.batch(0, step)
    np.testing.assert_array_equal(tokens, later[0])
    np.testing.assert_array_equal(languages, later[1])
    assert tokens.dtype == languages.dtype == np.int32
    assert (fresh.batch(0, 31)[0] != later[0]).any()


def test_a_seed_decides_the_order_of_languages_and_of_windows():
    languages = [all_batches(mixture(), seed)[1].tolist() for seed in (0, 1)]
    assert languages[0] != languages[1]
    alone = [all_batches(mixture("el"), seed)[0].tolist() for seed in (0, 1)]
    assert alone[0] != alone[1]


def test_a_sequence_is_a_window_of_its_language():
    tokens, languages = all_batches(mixture())
    assert tokens.shape == (240, 9)
    np.testing.assert_array_equal(tokens // 10_000, np.repeat(languages[:, None], 9, axis=1))
    length = np.where(languages == 0, 1000, 300)[:, None]
    np.testing.assert_array_equal(np.diff(tokens % 10_000, axis=1) % length, 1)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 20])
def test_every_block_has_exact_shares(batch_size):
    _, languages = all_batches(mixture("en:0.7,el:0.1,de:0.2", batch_size, ids=three()))
    whole = languages[: len(languages) // 10 * 10].reshape(-1, 10)
    for index, count in enumerate((7, 1, 2)):
        np.testing.assert_array_equal((whole == index).sum(axis=1), count)
    assert len({tuple(block) for block in whole.tolist()}) > len(whole) / 4  # in a random order


def three():
    return streams(en=1000, el=300, de=500)


@pytest.mark.parametrize("length", [9, 10, 16, 17, 300, 1000])
def test_an_epoch_predicts_every_token_once(length):
    """Up to a remainder shorter than a window."""
    mixed = mixture("en", 1, ids=streams(en=length), steps=5 * (length // 8))
    tokens, _ = all_batches(mixed)
    epochs = tokens[:, 1:].reshape(5, -1)
    for epoch in epochs:
        assert len(set(epoch.tolist())) == len(epoch) == length // 8 * 8
    if length > 100:  # epochs differ in their order and in where they cut windows
        assert len({tuple(epoch) for epoch in epochs.tolist()}) == 5
        starts = tokens[:, 0].reshape(5, -1)
        assert len({frozenset(epoch) for epoch in starts.tolist()}) > 1


def windows_of(mixed, language):
    tokens, languages = all_batches(mixed)
    return tokens[languages == mixed.languages.index(language)] % 10_000


def test_a_language_shows_the_same_windows_beside_others():
    """200 sequences of Greek alone, and of Greek in a mixture: the same, up to order within blocks."""
    alone = windows_of(mixture("el", 5, steps=40), "el")
    mixed = windows_of(mixture("en:0.75,el:0.25", 20, steps=40), "el")
    assert sorted(map(tuple, alone.tolist())) == sorted(map(tuple, mixed.tolist()))
    scheduled = windows_of(mixture("en:0.5,el:0.5 | el | el", 10, steps=39), "el")
    alone = windows_of(mixture("el", 5, steps=65), "el")  # 65 + 130 + 130 of them
    assert sorted(map(tuple, alone.tolist())) == sorted(map(tuple, scheduled.tolist()))


def test_clones_share_out_the_windows():
    ids = streams(en=960)["en"]
    mixed = mixture("a:0.75,b:0.25", 8, steps=15, ids={"a": ids, "b": ids})
    tokens, languages = all_batches(mixed)
    assert np.bincount(languages).tolist() == [90, 30]
    assert len(set(tokens[:, 1:].ravel().tolist())) == 960
    apart = mixture("a:0.75,b:0.25", 8, steps=15, ids={"a": ids, "b": ids.copy()})
    assert len(set(all_batches(apart)[0][:, 1:].ravel().tolist())) < 960


def test_clones_need_not_be_neighbours():
    ids = streams(en=900, el=900)
    mixed = mixture(
        "a:1,b:2,c:3", 6, steps=10, ids={"a": ids["en"], "b": ids["el"], "c": ids["en"]}
    )
    tokens, languages = all_batches(mixed)
    assert np.bincount(languages).tolist() == [10, 20, 30]
    np.testing.assert_array_equal(tokens[:, 0] // 10_000, languages == 1)
    assert list(mixed.tokens_seen(0, 10).values()) == [80, 160, 240]


def test_stages_change_the_shares_at_their_step():
    mixed = mixture("en:0.9,el:0.1 | en:0.1,el:0.9 | el", batch_size=10, steps=31)
    greek = [mixed.batch(0, step)[1].sum() for step in range(31)]
    assert greek == [1] * 10 + [9] * 10 + [10] * 11


@pytest.mark.parametrize("schedule", ["en:0.9,el:0.1", "el:1,en:2 | en:0.37,el:0.63 | en", "el"])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_tokens_seen_are_counted(schedule, batch_size):
    mixed = mixture(schedule, batch_size, steps=25)
    seen = np.zeros(len(mixed.languages), dtype=int)
    for step in range(25):
        assert list(mixed.tokens_seen(3, step).values()) == seen.tolist()
        seen += 8 * np.bincount(mixed.batch(3, step)[1], minlength=len(seen))
    assert mixed.tokens_seen(3, 25) == dict(zip(mixed.languages, seen.tolist(), strict=True))


def test_ids_above_16_bits_survive():
    ids = np.full(20, 100_000, dtype=np.uint32)
    assert mixture("en", 1, ids={"en": ids}).batch(0, 0)[0].max() == 100_000


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"schedule": "en,fr"}, ("unknown language 'fr'", "en, el")),
        ({"context": 300}, ("el has 300 training tokens", "context of 300")),
        ({"ids": streams(en=1000, el=0)}, ("el has no training text",)),
        ({"schedule": "en | el | en", "steps": 2}, ("2 steps", "3 stages")),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(change, parts):
    with pytest.raises(UserError) as caught:
        mixture(**change)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_errors_of_the_programmer():
    for step in (-1, 40):
        with pytest.raises(ValueError, match="is not in 0"):
            mixture().batch(0, step)
    for change in ({"batch_size": 0}, {"context": 0}):
        with pytest.raises(ValueError, match="must be >= 1"):
            mixture(**change)
