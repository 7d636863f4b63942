"""The figures of study B22, from a study whose numbers are given by a formula."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.dynamics import forgetting, layer_drift, learning_progress, panels, transfer_onset
from figures.engine import page, rooms, style
from figures.engine.runs import MissingRows
from neural.dynamics.claims import claims
from neural.dynamics.plan import Name, presets
from neural.dynamics.results import CROSS, IN, OF, Results
from neural.measures.probes.onset import onset
from tests.figures.fake_dynamics import (
    CHANCE,
    MAJORITY,
    UNTRAINED,
    Numbers,
    accuracy,
    bits_per_character,
    octaves,
    retrieved,
    small,
    trained,
    write,
)

pytestmark = pytest.mark.usefixtures("read_once")

STUDY = small()
NUMBERS = Numbers(never=(("zh", "fi"),))
POS = "parts-of-speech"
LAST = STUDY.model.layers
LAYERS = range(LAST + 1)
OURS = ("learning-progress", "transfer-onset", "layer-drift", "forgetting")
T = 0.95 / np.sqrt(2 * 0.975 * 0.025)
"""Student's t of 2 degrees of freedom is t(p) = (2 p - 1) / sqrt(2 p (1 - p))."""
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
"""Sums of a few numbers round at 1e-15; scipy's quantile is good to 1e-10."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which of arcs one pair has an onset in two models of three."""
    folder = write(tmp_path_factory.mktemp("dynamics") / "out", STUDY, NUMBERS)
    for part in folder.glob("part-probes-*"):
        rows = pd.read_parquet(part)
        own = rows.eval("task == 'arcs' and train == 'fi' and test == 'en' and seed == 0")
        rows.assign(accuracy=rows["accuracy"].mask(own, UNTRAINED)).to_parquet(part)
    return folder


def ends(values: Sequence[float]) -> list[float]:
    """Mean over seeds, and the ends of its interval."""
    half = T * np.std(values, ddof=1) / np.sqrt(len(values))
    return [np.mean(values), np.mean(values) - half, np.mean(values) + half]


def by_layer(task: Name, source: str, other: str, seed: int, step: int) -> list[float]:
    return [
        accuracy(
            STUDY, NUMBERS, task, source, other, {"step": step, "seed": seed, "layer": layer}, 1
        )
        for layer in LAYERS
    ]


def curve(task: Name, source: str, other: str, seed: int) -> list[float]:
    """At the layer that is best, on dev, within the language fitted in."""
    places = [np.argmax(by_layer(task, source, source, seed, step)) for step in STUDY.steps]
    steps = zip(STUDY.steps, places, strict=True)
    return [by_layer(task, source, other, seed, step)[place] for step, place in steps]


def close(row: pd.Series, want: Sequence[float]) -> None:
    np.testing.assert_allclose(row[["value", "low", "high"]].astype(float), want, **CLOSE)


def test_names_are_those_of_the_study() -> None:
    assert panels.TASKS[: len(get_args(Name))] == get_args(Name)
    assert (panels.IN, panels.CROSS) == (IN, CROSS)
    assert learning_progress.ONSETS.keys() == OF.keys()


def test_progress_is_of_the_best_layer_beside_what_it_must_beat(run: Path) -> None:
    table = learning_progress.table(run)
    assert list(table["task"].unique()) == panels.ordered(table["task"])
    scores = table[table["what"] == "score"].set_index(["task", "line", "step"]).sort_index()
    assert not scores.index.duplicated().any()
    place = STUDY.steps.index(32)
    curves = [[curve(POS, name, name, s)[place] for name in STUDY.languages] for s in STUDY.seeds]
    close(scores.loc[(POS, IN, 32)], ends(np.mean(curves, axis=1)))
    assert scores.loc[(POS, IN, 32), "log2_step"] == 5
    assert scores.loc[(POS, IN, 0), "log2_step"] == 2  # half of step 8
    bits = [bits_per_character(STUDY, NUMBERS, seed, 64) for seed in STUDY.seeds]
    close(scores.loc[("bits per character", IN, 64)], ends(bits))
    assert scores.loc[(POS, "chance", 64), "value"] == pytest.approx(MAJORITY)
    assert scores.loc[("retrieval", "chance", 64), "value"] == pytest.approx(1 / 600)
    assert scores.loc[("argmax", "chance", 64), "value"] == pytest.approx(CHANCE)
    at_best = [
        max(
            retrieved(STUDY, NUMBERS, {"step": 8, "seed": seed, "layer": layer}, False)
            for layer in LAYERS
        )
        for seed in STUDY.seeds
    ]
    close(scores.loc[("retrieval", CROSS, 8)], ends(at_best))
    control = scores.loc[(POS, "control")]
    assert list(control.index) == list(STUDY.coarse_steps)
    gap = scores.loc[(POS, IN, 128), "value"] - control.loc[128, "value"]
    # Noise of the control is 0.002 a seed.
    assert gap == pytest.approx(0.01 + trained(STUDY, NUMBERS, 128), abs=0.01)


def test_onsets_are_of_the_languages_that_have_one_in_every_model(run: Path) -> None:
    table = learning_progress.table(run)
    onsets = table[table["what"] != "score"].set_index(["task", "line", "what"])
    assert ("bits per character", IN, "best") not in onsets.index
    scores = np.array(
        [[curve("topics", name, name, s) for name in STUDY.languages] for s in STUDY.seeds]
    )
    scores = scores.swapaxes(1, 2)
    best, gain = onset(scores, STUDY.steps), onset(scores, STUDY.steps, floor=scores[:, 0])
    close(onsets.loc[("topics", IN, "best")], ends(best.log2.mean(axis=1)))
    close(onsets.loc[("topics", IN, "gain")], ends(gain.log2.mean(axis=1)))
    pairs = [
        (source, other)
        for source in STUDY.languages
        for other in STUDY.languages
        if source != other and (source, other) not in (("zh", "fi"), ("fi", "en"))
    ]
    scores = np.array([[curve("arcs", *pair, s) for pair in pairs] for s in STUDY.seeds])
    scores = scores.swapaxes(1, 2)
    gain = onset(scores, STUDY.steps, floor=scores[:, 0])
    # The mean over draws, and what curves cross, round at 1e-16; the crossing divides by a rise of 0.1.
    row = onsets.loc[("arcs", CROSS, "gain")]
    np.testing.assert_allclose(row["value"], gain.log2.mean(), rtol=1e-9)


def test_progress_is_drawn_inside_its_panels(run: Path) -> None:
    table = learning_progress.table(run)
    with style.use():
        figure = learning_progress.draw(table)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    tasks = panels.ordered(table["task"])
    assert len(shown) == len(tasks) == 7
    for axes, task in zip(shown, tasks, strict=True):
        part = table[table["task"] == task]
        scores = part[part["what"] == "score"]
        low, high = axes.get_ylim()
        assert low < scores["value"].min()
        assert scores["value"].max() < high
        drawn = [tuple(line.get_ydata()) for line in axes.lines]
        for line in set(scores["line"]):
            own = scores[scores["line"] == line].sort_values("step")
            assert tuple(own["value"]) in drawn
            if line in (IN, CROSS):
                untrained = own["value"].iloc[0]
                assert (untrained, untrained) in drawn
        marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        assert sorted(marks) == sorted(part.loc[part["what"] != "score", "value"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"untrained", "random labels", *learning_progress.ONSETS.values()} < set(labels)


def test_pairs_have_their_onset_and_similarity(run: Path) -> None:
    table = transfer_onset.table(run)
    pairs = table[table["what"] == "pair"].set_index(["task", "of", "source", "target"])
    assert not pairs.index.duplicated().any()
    scores = np.array([[curve(POS, "de", "zh", seed)] for seed in STUDY.seeds]).swapaxes(1, 2)
    want = onset(scores, STUDY.steps, floor=scores[:, 0]).log2[:, 0]
    row = pairs.loc[(POS, "gain", "de", "zh")]
    close(row, ends(want))
    assert row["step"] == pytest.approx(2 ** np.mean(want))
    for source, other in (("de", "zh"), ("zh", "de")):
        assert pairs.loc[(POS, "gain", source, other), "distance"] == 2
    assert pairs.loc[(POS, "best", "en", "de"), "overlap"] == pytest.approx(0.5, abs=0.02)
    never = pairs.loc[(POS, "gain", "zh", "fi")]
    assert (never["seeds"], never["all_seeds"]) == (0, 3)
    assert np.isnan(never["value"])
    assert pairs.loc[("arcs", "gain", "fi", "en"), "seeds"] == 2
    undirected = table.query("task == 'retrieval' and of == 'gain' and what == 'pair'")
    assert list(zip(undirected["source"], undirected["target"], strict=True)) == list(
        combinations(STUDY.languages, 2)
    )
    by_seed = []
    across = [
        (source, other)
        for source in STUDY.languages
        for other in STUDY.languages
        if source != other
    ]
    across.remove(("zh", "fi"))
    for seed in STUDY.seeds:
        scores = np.array([[curve(POS, *pair, seed) for pair in across]]).swapaxes(1, 2)
        log2 = onset(scores, STUDY.steps, floor=scores[:, 0]).log2[0]
        overlap = [pairs.loc[(POS, "gain", *pair), "overlap"] for pair in across]
        by_seed.append(stats.spearmanr(log2, overlap).statistic)
    value, low, high = ends(by_seed)
    row = table.query(
        f"what == 'correlation' and task == '{POS}' and of == 'gain' and one == 'overlap'"
    ).iloc[0]
    close(row, [value, max(low, -1), min(high, 1)])
    assert value < -0.3  # as planted: what shares more is learnt earlier


def test_every_pair_is_a_cell_and_a_mark(run: Path) -> None:
    table = transfer_onset.table(run)
    with style.use():
        figure = transfer_onset.draw(table)
    rows = table.query("of == 'gain' and what == 'pair'")
    by_title: dict[str, list] = {}
    for axes in figure.axes:
        by_title.setdefault(axes.get_title(loc="left").partition("  ")[2], []).append(axes)
    matrix, scatter = by_title["arcs"]
    texts = [text.get_text() for text in matrix.texts]
    assert len(texts) == 16
    assert texts.count("–") == 1
    partly = rows.query("task == 'arcs' and source == 'fi' and target == 'en'").iloc[0]
    assert f"({partly['step']:.0f})" in texts
    assert sum(text.startswith("(") for text in texts) == 1
    marks = sum(len(bars.lines[0].get_xdata()) for bars in scatter.containers)
    assert marks == 4 * 3 - 1
    (said,) = [text.get_text() for text in scatter.texts]
    assert said.startswith("ρ = -")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["one genus", "two families"]


def test_layers_over_time_with_the_best_and_the_centre(run: Path) -> None:
    table = layer_drift.table(run)
    at = table.set_index(["task", "kind", "what", "layer", "step"])
    by_seed = [
        np.mean([by_layer("topics", name, name, seed, 64)[1] for name in STUDY.languages])
        for seed in STUDY.seeds
    ]
    close(at.loc[("topics", IN, "score", 1, 64)], ends(by_seed))
    centres = []
    for seed in STUDY.seeds:
        mass = [
            np.array(by_layer("topics", name, name, seed, 64)) - MAJORITY
            for name in STUDY.languages
        ]
        centres.append(np.mean([m @ np.array(LAYERS) / m.sum() for m in mass]))
    row = table.query("what == 'centre' and task == 'topics' and kind == @IN and step == 64")
    close(row.iloc[0], ends(centres))
    assert set(table.query("what == 'centre'")["task"]) == set(STUDY.tasks)
    assert {"retrieval", "argmax", "itermax"} < set(table["task"])
    with style.use():
        figure = layer_drift.draw(table)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    first = figure.axes[next(i for i, title in enumerate(titles) if "topics" in title)]
    rings = first.lines[-1].get_ydata()
    grid = table.query("task == 'topics' and kind == @IN and what == 'score'")
    best = grid.loc[grid.groupby("step")["value"].idxmax()].set_index("step")["layer"]
    assert list(rings) == [layer + 0.5 for layer in best]
    assert best[32] == LAST
    assert best[128] == LAST - 1  # as planted: the last layer forgets
    centre = first.lines[0].get_ydata()
    own = table.query("task == 'topics' and kind == @IN and what == 'centre'")
    np.testing.assert_allclose(centre, own["value"] + 0.5)
    assert centre[-1] < centre[1]


def test_forgetting_is_from_the_best_step_on_dev(tmp_path: Path) -> None:
    # Turned round, accuracy rises where that on dev falls: the change is above 0, which only dev can choose.
    turned = Numbers(sign=-1)
    study = small(tasks=(POS,), languages=("en", "de"), controls=())
    table = forgetting.table(write(tmp_path / "out", study, turned))
    at = table.set_index(["what", "kind", "layer"])
    steps, by_seed = octaves(study), []
    for seed in study.seeds:
        changes = []
        for name in study.languages:
            about = [{"step": step, "seed": seed, "layer": LAST} for step in steps]
            test, dev = (
                [accuracy(study, turned, POS, name, name, row, turn) for row in about]
                for turn in (-1, 1)
            )
            changes.append(test[-1] / test[int(np.argmax(dev))] - 1)
        by_seed.append(np.mean(changes))
    close(at.loc[("change", IN, LAST)], ends(by_seed))
    close(at.loc[("since_last", IN, LAST)], ends(by_seed))


def test_changes_are_drawn_in_percent(run: Path) -> None:
    table = forgetting.table(run)
    at = table.set_index(["task", "what", "kind", "layer"])["value"]
    assert at[POS, "change", IN, LAST] < -0.1
    assert at[POS, "since_last", IN, LAST - 1] > 0
    with style.use():
        figure = forgetting.draw(table)
    assert len(figure.axes) == 2 * len(STUDY.tasks)
    first = figure.axes[0].containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(
        first.astype(float), [100 * at[POS, "change", IN, layer] for layer in LAYERS]
    )
    low, high = figure.axes[0].get_ylim()
    values = 100 * table.loc[table["what"] == "change", "value"]
    assert low < values.min()
    assert values.max() < high


def test_one_seed_and_invented_languages_are_drawn(tmp_path: Path) -> None:
    smoke = replace(presets()["smoke"], seeds=(0,))
    run = write(tmp_path / "out", smoke, Numbers())
    for name in OURS:
        module = importlib.import_module(rooms.figures()[name])
        table = module.table(run)
        assert table[["low", "high"]].isna().all(axis=None)
        with style.use():
            figure = module.draw(table)
        if name == "transfer-onset":
            (label,) = [text.get_text() for text in figure.legends[0].get_texts()]
            assert label == "unknown families"


def test_wide_intervals_do_not_hide_the_values() -> None:
    rows = pd.DataFrame({"value": [0.0, 1.0], "low": [-0.1, -50.0], "high": [0.2, np.inf]})
    low, high = panels.limits(rows)
    assert -1 < low < -0.5
    assert 1.5 < high < 2
    alone = rows.assign(low=np.nan, high=np.nan)
    low, high = panels.limits(alone)
    assert -0.1 < low < 0
    assert 1 < high < 1.1


def test_a_study_that_is_not_done_is_missing_rows(tmp_path: Path) -> None:
    study = small(seeds=(0,), languages=("en", "de"))
    for without in ("retrieval", "probes"):
        run = write(tmp_path / without, study, NUMBERS, without=without)
        with pytest.raises(MissingRows, match=f"no .*{without}.*--resume"):
            learning_progress.table(run)
    run = write(tmp_path / "stopped", study, NUMBERS)
    (part,) = run.glob("part-probes-*-128.parquet")
    rows = pd.read_parquet(part)
    rows[rows["task"] != "topics"].to_parquet(part)
    with pytest.raises(MissingRows, match=r"no probes of topics of some steps.*--resume"):
        learning_progress.table(run)


def test_a_study_of_text_without_annotation_has_its_page(tmp_path: Path) -> None:
    """Neither tasks nor aligned sentences: what is left is how well text is predicted."""
    bare = small(tasks=(), controls=(), aligned=(), answers=0)
    lacks = "probes controls length identity retrieval alignment"
    run = write(tmp_path / "run", bare, NUMBERS, without=lacks)
    assert page.main(["dynamics", "--from", str(run), "--out", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "dynamics.md").read_text()
    assert "No task was probed" in text
    assert "## Bits per character" in text
    for heading in ("Probes", "Layers", "Sentences that find each other", "Which language it is"):
        assert f"## {heading}" not in text
    figures = {path.stem for path in (tmp_path / "page").glob("*.png")}
    assert figures == {"learning-progress"}
    verdicts = claims(Results(bare, run))
    assert set(verdicts["task"]) == {"bits per character"}


def test_a_study_of_aligned_text_alone_reads_sentences(tmp_path: Path) -> None:
    bare = small(tasks=(), controls=(), answers=0)
    run = write(tmp_path / "run", bare, NUMBERS, without="probes controls length alignment")
    assert page.main(["dynamics", "--from", str(run), "--out", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "dynamics.md").read_text()
    assert "## Sentences that find each other" in text
    assert "## Probes" not in text
