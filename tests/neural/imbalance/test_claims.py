"""Study S24's claims on numbers without a pattern: each effect computed again from the tables, by loops."""

import numpy as np
import pytest

from neural.imbalance.claims import Results, aligned, claims, worse
from neural.measures.efficiency import fit, interpolated
from tests.figures.fake_imbalance import Numbers, small, write
from tests.neural.by_hand import assert_effect, chosen, redraw, single, student

STUDY = small(shares=(0.5, 0.1, 0.0))
WIDTH, MOST = STUDY.model.width, max(STUDY.budgets)
NATS = "nats_per_token"
ENDINGS = {"": "", "_interpolated": ", interpolated"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Cosines and accuracies drawn anew; losses scattered, as a curve has to be fitted to those of one language."""
    numbers = Numbers(scatter=0.15, changing=1.1)
    folder = write(tmp_path_factory.mktemp("s24") / "run", STUDY, numbers)
    redraw(folder, "alignment", "value")
    redraw(folder, "embedding", "value", "unrelated")
    redraw(folder, "transfer", "accuracy")
    return Results(STUDY, folder)


@pytest.fixture(scope="module")
def rows(results):
    return claims(results)


def loss(results, **where):
    """By seed: the mean over languages of the loss at the end."""
    table = chosen(results.perplexity, last=True, **where)
    return np.array([chosen(table, seed=seed)[NATS].mean() for seed in STUDY.seeds])


def slopes(values):
    """By seed: the slope over doublings of the budget."""
    return [
        np.polyfit(np.log2(sorted(STUDY.budgets)), column, 1)[0] for column in np.transpose(values)
    ]


def grid(results, share, budget, width=WIDTH, **where):
    return loss(results, experiment="grid", share=share, budget=budget, width=width, **where)


def tokens_worth(results, seed, language, key, **where):
    """TEff of a run: fitted and interpolated, and on which side of the monolingual budgets each lies."""
    row = single(results.perplexity, last=True, seed=seed, language=language, **where)
    alone = chosen(results.perplexity, last=True, seed=seed, width=row["width"], share=0.0)
    alone = chosen(alone, schedule="", **key)
    runs = alone["seen"].to_numpy(float), np.exp(alone[NATS].to_numpy())
    curve, perplexity = fit(*runs), float(np.exp(row[NATS]))
    estimate = curve.tokens(perplexity)
    fitted = np.clip(estimate.value, *curve.budgets) / row["seen"]
    between, beyond = interpolated(*runs, perplexity)
    return {"": (fitted, estimate.beyond), "_interpolated": (between / row["seen"], beyond)}


C0 = {"pair": "c0-c1", "language": "c0", "vocabulary": "cloned"}
"""Whose monolingual runs both clones are held against."""


@pytest.mark.parametrize(
    ("claim", "share", "language", "expected"),
    [
        ("balanced languages gain less than their tokens", 0.5, "c0", -1),
        ("balanced languages gain less than their tokens", 0.5, "c1", -1),
        ("a minority gains more than its tokens", 0.1, "c1", 1),
        ("a majority loses nothing", 0.1, "c0", 0),
    ],
)
def test_what_tokens_are_worth(results, rows, claim, share, language, expected):
    where = {"experiment": "grid", "width": WIDTH, "share": share}
    for how, ending in ENDINGS.items():
        logs = []
        sides = set()
        for budget in sorted(STUDY.budgets):
            worths = [
                tokens_worth(results, seed, language, C0, budget=budget, **where)[how]
                for seed in STUDY.seeds
            ]
            values, beyond = np.log([value for value, _ in worths]), {side for _, side in worths}
            row = single(rows, claim=claim, setting=f"{budget:g}x{ending}", language=language)
            assert (row["unit"], row["expected"]) == ("log TEff", expected)
            assert row["effect"] == pytest.approx(values.mean())
            said = " and ".join(sorted(beyond - {""}))
            if said:
                assert row["verdict"] == f"{said} the fitted budgets"
                assert np.isnan(row["low"])
            else:
                assert_effect(row, student(values), expected)
                margin = np.log(1.1)
                if not expected:
                    within = max(-row["low"], row["high"]) <= margin
                    outside = row["low"] > margin or row["high"] < -margin
                    assert row["verdict"] == (
                        "replicated" if within else "opposite" if outside else "not replicated"
                    )
            logs.append(values)
            sides |= beyond - {""}
        falls = {"claim": "the gain of balanced languages falls with the budget"}
        falls |= {"setting": f"per doubling{ending}", "language": language}
        if share == 0.5:
            row = single(rows, **falls)
            trend = slopes(logs)
            assert row["effect"] == pytest.approx(np.mean(trend))
            assert (row["unit"], row["expected"]) == ("log TEff", -1)
            if not sides:
                assert_effect(row, student(trend), -1)
            else:
                assert row["verdict"].endswith("the fitted budgets")


def cost(results, width, budget, share=0.1):
    """Of the language that loses more on average, against equal shares."""
    costs = [
        grid(results, share, budget, width, language=name)
        - grid(results, 0.5, budget, width, language=name)
        for name in ("c0", "c1")
    ]
    return max(costs, key=np.mean)


def test_both_languages_at_once(results, rows):
    claim = "90/10 beats 50/50 in both languages"
    shrinks = "what 90/10 costs the worse language shrinks with the"
    for width in STUDY.widths:
        assert_effect(
            single(rows, claim=claim, setting=f"{MOST:g}x, width {width}"),
            student(cost(results, width, MOST)),
            -1,
            "nats",
        )
        row = single(rows, claim=f"{shrinks} budget", setting=f"per doubling, width {width}")
        values = [cost(results, width, budget) for budget in sorted(STUDY.budgets)]
        assert_effect(row, student(slopes(values)), -1, "nats")
        for budget in STUDY.budgets:
            np.testing.assert_allclose(
                worse(results, width, budget, 0.1), cost(results, width, budget)
            )
    low, high = min(STUDY.widths), max(STUDY.widths)
    row = single(rows, claim=f"{shrinks} width")
    assert row["setting"] == f"{MOST:g}x, width {high} less {low}"
    assert_effect(row, student(cost(results, high, MOST) - cost(results, low, MOST)), -1, "nats")
    assert (rows["claim"] == claim).sum() == len(STUDY.widths)


def alike(table, **where):
    """By seed: the mean of a measure less that of unrelated text, where there is one."""
    values = []
    for seed in STUDY.seeds:
        own = chosen(table, seed=seed, last=True, **where)
        if "place" in own and (own["measure"] == "state cosine").any():
            own = own[own["place"] != "0"]
        values.append(np.mean(own["value"] - np.nan_to_num(own["unrelated"])))
    return np.array(values)


MEASURES = {"state cosine": "cosine", "gradient cosine": "cosine", "context kept": "share"}
MEASURES |= {"embedding cosine": "cosine"}


def measured(results, measure, **where):
    if measure == "embedding cosine":
        return alike(results.embedding, **where)
    return alike(results.alignment, measure=measure, **where)


@pytest.mark.parametrize("measure", MEASURES)
def test_alignment_of_clones(results, rows, measure):
    where = {"experiment": "grid", "width": WIDTH, "budget": MOST, "language": "c1"}
    row = single(rows, claim=f"90/10 aligns more: {measure}")
    balanced, imbalanced = (measured(results, measure, share=s, **where) for s in (0.5, 0.1))
    assert_effect(row, student(imbalanced - balanced), 1, MEASURES[measure])
    assert (row["setting"], row["language"]) == (f"{MOST:g}x", "c1")


def test_alignment_leaves_out_embeddings(results):
    table = chosen(results.alignment, measure="state cosine", seed=0, share=0.5, last=True)
    table = chosen(table, experiment="grid", budget=MOST, width=WIDTH)
    deeper = table[table["place"] != "0"]
    assert len(deeper) == len(table) - 1
    assert aligned(table) == pytest.approx([(deeper["value"] - deeper["unrelated"]).mean()])


def test_transfer_between_clones(results, rows):
    for task in STUDY.measures.tasks:
        of_share = []
        for share in (0.5, 0.1):
            table = chosen(results.transfer, experiment="grid", source="c0", target="c1", last=True)
            table = chosen(table, share=share, task=task).sort_values("seed")
            of_share.append(table["accuracy"].to_numpy())
        row = single(rows, claim="90/10 transfers more", setting=task)
        assert_effect(row, student(of_share[1] - of_share[0]), 1, "accuracy")


def test_anchors_schedules_and_several_languages(results, rows):
    balanced = grid(results, 0.5, STUDY.further)
    for anchors in STUDY.anchors:
        row = single(rows, claim="anchors help", setting=f"{anchors:.0%} of the ids")
        with_anchors = loss(results, experiment="anchors", anchors=anchors)
        assert_effect(row, student(with_anchors - balanced), -1, "nats")
    schedules = set(chosen(results.perplexity, experiment="schedules")["schedule"])
    assert "0 > 1" in schedules
    for schedule in schedules:
        if schedule == "0 > 1":
            row = single(rows, claim="the first language is forgotten", setting=schedule)
            first = loss(results, experiment="schedules", schedule=schedule, language="c0")
            alone = grid(results, 0.5, STUDY.further, language="c0")
            assert_effect(row, student(first - alone), 1, "nats")
        else:
            row = single(rows, claim="imbalance first beats 50/50", setting=schedule)
            whole = loss(results, experiment="schedules", schedule=schedule)
            assert_effect(row, student(whole - balanced), -1, "nats")
    table = chosen(results.perplexity, experiment="languages", last=True)
    unequal, equal = sorted(set(table["share"]))
    for said, names in (
        ("mean", set(table["language"])),
        ("mean of the others", set(table["language"]) - {"c0"}),
    ):
        sides = [
            np.array(
                [
                    np.mean(
                        [
                            single(table, seed=seed, share=share, language=name)[NATS]
                            for name in names
                        ]
                    )
                    for seed in STUDY.seeds
                ]
            )
            for share in (equal, unequal)
        ]
        row = single(rows, claim="a majority beats equal shares", language=said)
        assert row["setting"] == f"{STUDY.many} languages"
        assert_effect(row, student(sides[1] - sides[0]), -1, "nats")


def test_real_languages(results, rows):
    table = chosen(results.perplexity, experiment="real", last=True, share=0.1)
    runs = set(zip(table["pair"], table["vocabulary"], table["budget"], strict=True))
    assert {vocabulary for _, vocabulary, _ in runs} == {"shared", "disjoint"}
    assert rows["claim"].str.startswith("a real minority").sum() == len(runs) * len(ENDINGS)
    for pair, vocabulary, budget in runs:
        other = pair.split("-")[1]
        setting = f"{pair}, {vocabulary}, {budget:g}x"
        shared = vocabulary == "shared"
        gains = "more than its tokens" if shared else "nothing"
        for ending in ENDINGS.values():
            row = single(rows, claim=f"a real minority gains {gains}", setting=setting + ending)
            assert (row["language"], row["expected"]) == (other, int(shared))
        for measure in ("state cosine", "gradient cosine", "embedding cosine"):
            where = {"pair": pair, "vocabulary": vocabulary, "budget": budget}
            balanced, imbalanced = (
                measured(results, measure, share=s, **where) for s in (0.5, 0.1)
            )
            row = single(
                rows,
                claim=f"alignment of real languages hardly moves: {measure}",
                setting=setting,
            )
            assert_effect(row, student(imbalanced - balanced), 0, "cosine")
            within = max(-row["low"], row["high"]) <= 0.05
            outside = row["low"] > 0.05 or row["high"] < -0.05
            assert row["verdict"] == (
                "replicated" if within else "opposite" if outside else "not replicated"
            )
