"""Study B22's claims on numbers without a pattern: each effect computed again from the tables, by loops."""

from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neural.dynamics.claims import claims
from neural.dynamics.effects import shared_variance
from neural.text.languages import family_distance
from tests.neural.by_hand import assert_effect, chosen, student
from tests.neural.dynamics.test_claims import BEST, GAIN, STUDY, Numbers, planted

SETTINGS = {"best": BEST, "gain": GAIN}
LAST = STUDY.optimiser.steps
DEEPEST = STUDY.model.layers
TASKS = STUDY.tasks
AXES = {"over seeds": 1, "over languages": 0}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every number that a claim reads drawn anew, so that no two effects are alike."""
    made = planted(tmp_path_factory.mktemp("b22") / "run", Numbers())
    rng = np.random.default_rng(0)
    drawn = {
        "onsets": ["log2"],
        "curves": ["score", "dev"],
        "drift": ["change", "since_last"],
        "layers": ["centre"],
        "selectivity": ["selectivity"],
        "length": ["bits"],
        "identity": ["accuracy", "without", "majority"],
        "retrieval": ["margin"],
        "alignment": ["f1", "chance"],
        "best_layer": ["accuracy"],
        "similarity": ["overlap"],
    }
    for name, columns in drawn.items():
        table = getattr(made, name).copy()
        for column in columns:
            there = table[column].notna() | (column != "dev")  # retrieval and alignment have none
            table.loc[there, column] = rng.uniform(0.1, 0.9, int(there.sum()))
        setattr(made, name, table)
    # Alignment of answers written alike is no evidence: no claim is about it.
    alike = made.alignment.assign(answers="same", f1=5.0)
    made.alignment = pd.concat([made.alignment, alike], ignore_index=True)
    return made


@pytest.fixture(scope="module")
def rows(results):
    table = claims(results)
    assert not table.duplicated(["claim", "setting", "task"]).any()
    return table.set_index(["claim", "setting", "task"])


def assert_both(rows, claim, setting, task, value, unit, expected):
    """value(seed, language): over seeds the mean over languages, and the other way round."""
    table = np.array([[value(s, name) for name in STUDY.languages] for s in STUDY.seeds])
    for over, axis in AXES.items():
        where = f"{setting}, {over}"
        assert_effect(rows.loc[claim, where, task], student(table.mean(axis=axis)), expected, unit)


@cache
def onset(results, criterion, task, seed, test, kind):
    return chosen(results.onsets, seed=seed, of=criterion, task=task, test=test, kind=kind)[
        "log2"
    ].mean()


@pytest.mark.parametrize("criterion", SETTINGS)
def test_when_skills_are_there(results, rows, criterion):
    setting = SETTINGS[criterion]
    in_language = "in-language"
    for task in (*TASKS, *(["bits per character"] if criterion == "gain" else [])):
        assert_both(
            rows,
            "in-language skill comes before half of the steps",
            setting,
            task,
            lambda s, n, t=task: (
                onset(results, criterion, t, s, n, in_language) - np.log2(LAST / 2)
            ),
            "octaves",
            -1,
        )
    for low, high in (
        ("parts-of-speech", "arcs"),
        ("parts-of-speech", "topics"),
        ("arcs", "topics"),
    ):
        assert_both(
            rows,
            "low-level skills come before complex ones",
            setting,
            f"{low} before {high}",
            lambda s, n, a=low, b=high: (
                onset(results, criterion, b, s, n, in_language)
                - onset(results, criterion, a, s, n, in_language)
            ),
            "octaves",
            1,
        )
    for task in TASKS:
        assert_both(
            rows,
            "skill within a language comes before that across languages",
            setting,
            task,
            lambda s, n, t=task: (
                onset(results, criterion, t, s, n, "cross-lingual")
                - onset(results, criterion, t, s, n, in_language)
            ),
            "octaves",
            1,
        )


@pytest.mark.parametrize("criterion", SETTINGS)
@pytest.mark.parametrize("task", ["retrieval", "argmax", "itermax"])
def test_what_has_no_probe_is_timed_against_parts_of_speech_within_languages(
    results, rows, criterion, task
):
    later = []
    for seed in STUDY.seeds:
        tested = chosen(results.onsets, of=criterion, task=task, seed=seed, kind="cross-lingual")
        across = tested.groupby("test")["log2"].mean().mean()
        within = np.mean(
            [
                onset(results, criterion, "parts-of-speech", seed, name, "in-language")
                for name in STUDY.languages
            ]
        )
        later.append(across - within)
    claim = "skill within a language comes before that across languages"
    where = (f"{SETTINGS[criterion]}, over seeds", f"parts-of-speech before {task}")
    assert_effect(rows.loc[(claim, *where)], student(later), 1, "octaves")


@pytest.mark.parametrize("criterion", SETTINGS)
def test_onsets_of_pairs_differ(results, rows, criterion):
    for task in (*TASKS, "retrieval", "argmax", "itermax"):
        table = chosen(results.onsets, of=criterion, task=task, kind="cross-lingual")
        values = table.pivot_table(index="seed", columns=["train", "test"], values="log2")
        exact = shared_variance(values.to_numpy())
        claim = "the onset of transfer depends on the pair of languages"
        row = rows.loc[claim, f"{SETTINGS[criterion]}, over pairs", task]
        assert_effect(row, (exact.value, exact.low, exact.high), 1, "share of variance")


def rank(values, others):
    return stats.spearmanr(values, others).statistic


def jackknifed(value, names):
    """A value of all languages, with Student's interval of its pseudo-values about it."""
    n, whole = len(names), value(names)
    pseudo = [n * whole - (n - 1) * value([m for m in names if m != name]) for name in names]
    half = stats.t.ppf(0.975, n - 1) * np.std(pseudo, ddof=1) / np.sqrt(n)
    return whole, whole - half, whole + half


def test_similar_languages(results, rows):
    overlap = {}
    for row in results.similarity.itertuples():
        overlap[row.one, row.other] = overlap[row.other, row.one] = row.overlap

    def against(pairs, values, measure):
        relation = family_distance if measure == "distance" else lambda *pair: overlap[pair]
        return rank(values, [relation(*pair) for pair in pairs])

    late = "transfer comes later between less similar languages"
    worse = "transfer is worse between less similar languages"
    ends = results.curves[results.curves["step"] == LAST].rename(columns={"score": "log2"})
    tables = [
        (late, SETTINGS[criterion], chosen(results.onsets, of=criterion), 1)
        for criterion in SETTINGS
    ]
    tables.append((worse, "last step", ends, -1))
    counted = 0
    for claim, setting, table, sign in tables:
        for task in (*TASKS, "retrieval"):
            own = chosen(table, task=task, kind="cross-lingual")
            means = own.groupby(["train", "test"])["log2"].mean()
            for measure, label, expected in (
                ("distance", "family distance", sign),
                ("overlap", "shared subwords", -sign),
            ):
                by_seed = []
                for seed in STUDY.seeds:
                    part = chosen(own, seed=seed)
                    pairs = list(zip(part["train"], part["test"], strict=True))
                    by_seed.append(against(pairs, part["log2"], measure))

                def whole(names, means=means, measure=measure):
                    pairs = [pair for pair in means.index if set(pair) <= set(names)]
                    return against(pairs, [means[pair] for pair in pairs], measure)

                row = rows.loc[claim, f"{setting}, {label}, over seeds", task]
                assert_effect(row, student(by_seed), expected, "rank correlation")
                row = rows.loc[claim, f"{setting}, {label}, over languages", task]
                names = sorted(STUDY.languages)
                assert_effect(row, jackknifed(whole, names), expected, "rank correlation")
                counted += 2
    assert counted == len(rows.loc[late]) + len(rows.loc[worse])


def test_no_step_is_best_for_all(results, rows):
    table = results.curves.dropna(subset=["dev"])
    cells = sorted(set(zip(table["task"], table["train"], table["test"], strict=True)))
    steps = sorted(set(table["step"]))
    keys = ["task", "train", "test", "seed", "step"]
    dev, score = (table.set_index(keys)[column] for column in ("dev", "score"))
    octaves, lost = [], []
    for seed in STUDY.seeds:
        curves = np.array([[dev[(*cell, seed, step)] for step in steps] for cell in cells])
        best = curves.argmax(axis=1)
        octaves.append([np.log2(max(steps[i], steps[1] / 2)) for i in best])
        common = steps[(curves / curves.max(axis=1, keepdims=True)).mean(axis=0).argmax()]
        lost.append(
            [
                1 - score[(*cell, seed, common)] / score[(*cell, seed, steps[i])]
                for cell, i in zip(cells, best, strict=True)
            ]
        )
    claim, everything = "no one checkpoint is best for all", f"{len(cells)} tasks and pairs"
    exact = shared_variance(np.array(octaves))
    row = rows.loc[claim, f"best steps, {everything}", "all"]
    assert_effect(row, (exact.value, exact.low, exact.high), 1, "share of variance")
    setting = f"lost at the best common step, {everything}, over seeds"
    assert_effect(rows.loc[claim, setting, "all"], student(np.mean(lost, axis=1)), 1, "share")
    for task in TASKS:
        mine = [i for i, cell in enumerate(cells) if cell[0] == task]
        values = np.array(lost)[:, mine].mean(axis=1)
        assert_effect(rows.loc[claim, setting, task], student(values), 1, "share")


@pytest.mark.parametrize("kind", ["in-language", "cross-lingual"])
def test_the_last_layer(results, rows, kind):
    for task in TASKS:
        table = chosen(results.drift, task=task, kind=kind)
        assert_both(
            rows,
            "the last layer gets worse after its best step",
            kind,
            task,
            lambda s, n, t=table: chosen(t, seed=s, test=n, layer=DEEPEST)["change"].mean(),
            "relative change",
            -1,
        )
        lower = table[table["layer"].isin(range(1, DEEPEST))]
        assert_both(
            rows,
            "lower blocks gain after the last layer's best step",
            kind,
            task,
            lambda s, n, t=lower: chosen(t, seed=s, test=n)["since_last"].mean(),
            "relative change",
            1,
        )
        curves = chosen(results.layers, task=task, kind=kind)
        curves = curves[(curves["step"] > 0) & curves["centre"].notna()]

        def slope(seed, language, curves=curves):
            parts = chosen(curves, seed=seed, test=language).groupby("train")
            return np.mean(
                [stats.linregress(part["log2_step"], part["centre"]).slope for _, part in parts]
            )

        claim = "the best readout moves to lower layers"
        assert_both(rows, claim, kind, task, slope, "layers an octave", -1)


def gained(table, column, seed, language):
    """What the last step has more than step 0; means over all else."""
    own = chosen(table, seed=seed, language=language)
    return chosen(own, step=LAST)[column].mean() - chosen(own, step=0)[column].mean()


def test_what_training_adds(results, rows):
    units = {"bits per character": "bits per character", "retrieval": "retrieved"}
    units |= {"argmax": "F1", "itermax": "F1"}
    table = results.curves.rename(columns={"test": "language"})
    claim = "training adds to the untrained model"
    kinds = sorted(set(zip(table["kind"], table["task"], strict=True)))
    for kind, task in kinds:
        own = chosen(table, kind=kind, task=task)
        names = sorted(set(own["language"]))
        values = np.array([[gained(own, "score", s, n) for n in names] for s in STUDY.seeds])
        for over, axis in AXES.items():
            row = rows.loc[claim, f"{kind}, {over}", task]
            assert_effect(row, student(values.mean(axis=axis)), 1, units.get(task, "accuracy"))
    assert len(rows.loc[claim]) == 2 * len(kinds)


def test_controls_of_probes(results, rows):
    task = "parts-of-speech"
    blocks = results.selectivity[results.selectivity["layer"] > 0]
    assert_both(
        rows,
        "probes get more right than of random labels",
        "last step, mean of blocks",
        task,
        lambda s, n: chosen(blocks, seed=s, language=n, step=LAST)["selectivity"].mean(),
        "accuracy",
        1,
    )
    assert_both(
        rows,
        "selectivity grows in training",
        "mean of blocks",
        task,
        lambda s, n: gained(blocks, "selectivity", s, n),
        "accuracy",
        1,
    )

    def shorter(seed, language):
        logs = []
        for step in (0, LAST):
            table = chosen(results.length, seed=seed, step=step)
            layer = table.groupby("layer")["bits"].mean().idxmin()
            logs.append(np.log2(chosen(table, layer=layer, language=language)["bits"].mean()))
        return logs[1] - logs[0]

    claim = "training shortens the code of labels"
    assert_both(rows, claim, "best layer", task, shorter, "log2 bits", -1)


def test_the_language_of_states(results, rows):
    table = chosen(results.identity, step=LAST)
    table = table[table["layer"] > 0]
    for column, claim, expected in (
        ("accuracy", "states tell the language", 1),
        ("without", "without the directions between means they do not", 0),
    ):
        values = [
            (chosen(table, seed=s)[column] - chosen(table, seed=s)["majority"]).mean()
            for s in STUDY.seeds
        ]
        row = rows.loc[claim, "above chance, last step, mean of blocks, over seeds", "words"]
        assert_effect(row, student(values), expected, "accuracy")
        if not expected:
            assert row["verdict"] == (
                "replicated"
                if max(-row["low"], row["high"]) <= 0.05
                else "opposite"
                if row["low"] > 0.05 or row["high"] < -0.05
                else "not replicated"
            )
    best = chosen(results.best_layer, step=LAST, task="parts-of-speech")
    best = best[best["train"] != best["test"]]
    claim = "transfer gains without the language subspace"
    assert_both(
        rows,
        claim,
        "last step",
        "parts-of-speech",
        lambda s, n: (
            chosen(best, seed=s, test=n, removed=True)["accuracy"].mean()
            - chosen(best, seed=s, test=n, removed=False)["accuracy"].mean()
        ),
        "accuracy",
        1,
    )
    assert set(rows.loc[claim].index.get_level_values("task")) == {"parts-of-speech"}
    pairs = chosen(results.retrieval, step=LAST)
    pairs = pairs[pairs["layer"] > 0]

    def of_language(seed, language, removed):
        own = chosen(pairs, seed=seed, removed=removed)
        return own.loc[(own["one"] == language) | (own["other"] == language), "margin"].mean()

    assert_both(
        rows,
        "retrieval gains without the language subspace",
        "last step, mean of blocks",
        "retrieval",
        lambda s, n: of_language(s, n, True) - of_language(s, n, False),
        "retrieved",
        1,
    )


@pytest.mark.parametrize("method", ["argmax", "itermax"])
def test_words_and_their_translations(results, rows, method):
    table = chosen(results.alignment, step=LAST, answers="differing", method=method)

    def above(seed, language):
        own = chosen(table, seed=seed)
        own = chosen(own, layer=own.groupby("layer")["f1"].mean().idxmax())
        own = own[(own["one"] == language) | (own["other"] == language)]
        return (own["f1"] - own["chance"]).mean()

    claim = "words align with their translations"
    assert_both(rows, claim, "above chance, last step", method, above, "F1", 1)


def test_pairs_are_ordered(results):
    """Else transfer from a language to another would be counted as its converse."""
    table = results.onsets[results.onsets["task"] == "arcs"]
    pairs = set(zip(table["train"], table["test"], strict=True))
    assert set(permutations(STUDY.languages, 2)) <= pairs
