"""The figures of study F22, from a study whose numbers are given by a formula."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from figures.engine import page, rooms, style
from figures.engine.runs import MissingRows
from figures.subnetworks import ablation_matrix, overlap_layers, overlap_vs_transfer, tables
from figures.subnetworks import transfer_matrix as matrix
from figures.subnetworks.read import subnetworks
from neural.masks.mask import COMPONENTS, size
from neural.subnetworks.plan import presets
from tests.figures.fake_study import z
from tests.figures.fake_subnetworks import CONTROLS, LM, Numbers, cost, own_score, small, write

pytestmark = pytest.mark.usefixtures("read_once")

STUDY = small()
NUMBERS = Numbers()
TASKS = {task.name: task for task in STUDY.tasks}
POS = "parts-of-speech"
OURS = ("overlap-layers", "transfer-matrix", "ablation-matrix", "overlap-vs-transfer")
T = 0.95 / np.sqrt(2 * 0.975 * 0.025)
"""Student's t of 2 degrees of freedom is t(p) = (2 p - 1) / sqrt(2 p (1 - p))."""
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
"""Sums of a few numbers round at 1e-15; scipy's quantile is good to 1e-10."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("subnetworks") / "out", STUDY, NUMBERS)


def ends(values: Sequence[float]) -> list[float]:
    """Mean over seeds, and the ends of its interval."""
    half = T * np.std(values, ddof=1) / np.sqrt(len(values))
    return [np.mean(values), np.mean(values) - half, np.mean(values) + half]


def costs(task: str, density: float, source: str, target: str) -> np.ndarray:
    """More than with the own ticket, by seed."""
    more = cost(NUMBERS, TASKS[task], density, source, target)
    scatter = [NUMBERS.scatter * z("a", seed, task, source, target) for seed in STUDY.seeds]
    return more * (1 + np.array(scatter))


def scores(task: str, density: float, source: str, target: str) -> np.ndarray:
    shift = np.array([0.01 * z("own", seed, task) for seed in STUDY.seeds])
    sign = 1 if task == LM else -1
    return own_score(TASKS[task], target) + shift + sign * costs(task, density, source, target)


def test_overlap_is_of_tickets_at_the_densities_compared(run: Path) -> None:
    overlaps = overlap_layers.table(run)
    at = overlaps.set_index(["task", "density", "kind", "scope"]).sort_index()
    assert set(overlaps["density"]) == {0.5, 0.2}
    assert set(overlaps.query("density == 0.2")["task"]) == {LM}
    assert set(overlaps["kind"]) == {*overlap_layers.LOOKS, "corrected"}
    assert not at.index.duplicated().any()
    null = 1 / 3 + 0.01
    ceiling = (1 + null) / 2
    for task, density in ((LM, 0.5), (POS, 0.5)):
        assert at.loc[(task, density, "chance", "layer 2"), "value"] == pytest.approx(1 / 3)
        by_matrix = at.loc[(task, density, "expected", "mlp-in")]
        np.testing.assert_allclose(by_matrix["value"], null, **CLOSE)
        scatter = [
            NUMBERS.scatter
            * np.mean(
                [
                    z("J", s, task, "theta0", language, language)
                    for language in TASKS[task].languages
                ]
            )
            for s in STUDY.seeds
        ]
        want = ends(null + NUMBERS.theta0 * (ceiling - null) + np.array(scatter))
        row = at.loc[(task, density, "theta0", "query")]
        np.testing.assert_allclose(row[["value", "low", "high"]].astype(float), want, **CLOSE)
    pos = at.loc[(POS, 0.5, "languages")]["value"]
    rise = pos["layer 2"] - pos["layer 0"]
    np.testing.assert_allclose(rise, NUMBERS.deeper * (ceiling - null), **CLOSE)
    assert list(overlaps.query("by == 'component'")["scope"].unique()) == list(COMPONENTS)
    assert overlaps.loc[overlaps["scope"] == "layer 2", "position"].eq(2).all()


def test_overlap_is_corrected_between_the_nulls_of_matrices_and_the_ceiling(
    tmp_path: Path,
) -> None:
    exact = write(tmp_path / "out", STUDY, Numbers(scatter=0.0, akin=0.0))
    overlaps = overlap_layers.table(exact).query(f"kind == 'corrected' and task == '{POS}'")
    by = overlaps.set_index("scope")["value"]
    pairs = [("de", "en"), ("de", "fi"), ("de", "zh"), ("en", "fi"), ("en", "zh"), ("fi", "zh")]
    shared = 0.4 + 0.05 * np.mean([np.tanh(z("affinity", POS, *pair)) for pair in pairs])
    want = [shared - 0.05, shared, shared + 0.05]  # deeper 0.1
    np.testing.assert_allclose(by[[f"layer {i}" for i in range(3)]], want, **CLOSE)


def test_overlaps_are_drawn_inside_their_panels(run: Path) -> None:
    overlaps = overlap_layers.table(run)
    with style.use():
        figure = overlap_layers.draw(overlaps)
    assert len(figure.axes) == 3 * 4
    for line, (_, part) in enumerate(overlaps.groupby(["task", "density"], sort=False)):
        layers, components, corrected = figure.axes[3 * line : 3 * line + 3]
        for axes, by in ((layers, "layer"), (components, "component")):
            values = part[(part["by"] == by) & (part["kind"] != "corrected")]["value"]
            drawn = np.concatenate([drawn.get_ydata() for drawn in axes.lines])
            assert sorted(drawn) == sorted(values)
            low, high = axes.get_ylim()
            assert low < values.min()
            assert values.max() < high
        own = part[(part["by"] == "layer") & (part["kind"] == "corrected")]["value"]
        assert list(corrected.lines[-1].get_ydata()) == list(own)
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert labels == {look["label"] for look in overlap_layers.LOOKS.values()}


def test_drops_are_relative_to_the_own_ticket_seed_by_seed(run: Path) -> None:
    transfers = matrix.table(run)
    at = transfers.set_index(["task", "density", "source", "target"]).sort_index()
    assert not at.index.duplicated().any()
    modelled = at.loc[(LM, 0.2, "de", "zh")]
    want = ends(scores(LM, 0.2, "de", "zh"))
    np.testing.assert_allclose(
        modelled[["value", "low", "high"]].astype(float), np.exp(want), **CLOSE
    )
    drop = ends(np.expm1(costs(LM, 0.2, "de", "zh")))
    columns = ["drop", "drop_low", "drop_high"]
    np.testing.assert_allclose(modelled[columns].astype(float), drop, **CLOSE)
    tagged = at.loc[(POS, 0.5, "random", "fi")]
    want = ends(scores(POS, 0.5, "random", "fi"))
    np.testing.assert_allclose(tagged[["value", "low", "high"]].astype(float), want, **CLOSE)
    drop = ends(costs(POS, 0.5, "random", "fi") / scores(POS, 0.5, "fi", "fi"))
    np.testing.assert_allclose(tagged[columns].astype(float), drop, **CLOSE)
    own = transfers[transfers["source"] == transfers["target"]]
    assert own["drop"].eq(0).all()
    assert set(at.loc[(LM, 0.2)].index.get_level_values(0)) == {
        *TASKS[LM].languages,
        "full",
        "random",
    }
    assert set(at.loc[("entities", 0.5)].index.get_level_values(1)) == {"en", "de", "zh"}


def test_every_mask_is_a_cell_and_sure_drops_are_framed(run: Path) -> None:
    transfers = matrix.table(run)
    with style.use():
        figure = matrix.draw(transfers)
    shown = [axes for axes in figure.axes[:-1] if axes.get_visible()]
    parts = [part for _, part in transfers.groupby(["task", "density"], sort=False)]
    assert len(shown) == len(parts) == 4
    for axes, part in zip(shown, parts, strict=True):
        assert len(axes.texts) == len(part)
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert len(frames) == ((part["drop_low"] > 0) | (part["drop_high"] < 0)).sum()
        names = [text.get_text() for text in axes.get_xticklabels()]
        assert names == list(dict.fromkeys(part["target"]))
    lines = [text.get_text() for text in shown[0].get_yticklabels()]
    assert lines[:5] == ["en", "de", "fi", "zh", "full"]
    assert set(lines[4:]) == set(CONTROLS)
    place = {(text.get_position()): text.get_text() for text in shown[0].texts}
    row = transfers.query(
        f"task == '{LM}' and density == 0.5 and source == 'wanda' and target == 'de'"
    )
    value = row["value"].item()
    assert place[1.5, lines.index("wanda") + 0.5] == f"{value:.1f}"


@pytest.mark.parametrize(
    ("task", "value", "said"),
    [
        (LM, 4.654, "4.65"),
        (LM, 20.21, "20.2"),
        (LM, 421.2, "421"),
        (LM, 12345.0, "12345"),
        (POS, 0.7991, "79.9"),
        (POS, np.nan, "–"),
    ],
)
def test_numbers_of_cells_are_short(task: str, value: float, said: str) -> None:
    assert matrix._number(pd.Series({"task": task, "value": value})) == said


def test_ablation_is_beyond_that_of_random_weights(run: Path) -> None:
    ablations = ablation_matrix.table(run)
    assert list(dict.fromkeys(ablations["density"])) == [0.5, 0.2]
    assert list(dict.fromkeys(ablations["removed"])) == ["en", "de", "fi", "zh"]
    at = ablations.set_index(["density", "removed", "language"])
    for removed, language, lost in (("en", "en", 0.02), ("fi", "de", 0.004)):
        scatter = [10 * NUMBERS.scatter * z("ablated", s, removed, language) for s in STUDY.seeds]
        row = at.loc[(0.2, removed, language)]
        want = ends(lost * (1 + np.array(scatter)))
        # Differences of losses of about 3.
        values = row[["value", "low", "high"]].astype(float)
        np.testing.assert_allclose(values, want, rtol=0, atol=1e-12)
        np.testing.assert_allclose(row["random"], 0.01, rtol=1e-12, atol=1e-12)
    weights = at.loc[(0.5, "zh", "en"), "weights"]
    assert weights == 1003
    assert at.loc[(0.5, "zh", "en"), "part"] == pytest.approx(1003 / size(STUDY.model))
    with style.use():
        figure = ablation_matrix.draw(ablations)
    first = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in first.texts}
    assert texts[1.5, 2.5] == f"{at.loc[(0.5, 'fi', 'de'), 'value']:+.3f}"
    assert [text.get_text() for text in first.get_yticklabels()][3].startswith("zh: 1,003 = ")


def test_pairs_rank_as_by_hand(run: Path) -> None:
    table = overlap_vs_transfer.table(run)
    pairs = table.query(f"kind == 'pair' and task == '{POS}'").set_index(["source", "target"])
    assert len(pairs) == 4 * 3
    assert pairs.loc[("en", "de"), "distance"] == 0
    assert pairs.loc[("en", "zh"), "distance"] == 2
    assert pairs.loc[("en", "zh"), "jaccard"] == pairs.loc[("zh", "en"), "jaccard"]
    want = ends(costs(POS, 0.5, "zh", "en"))
    row = pairs.loc[("zh", "en")]
    np.testing.assert_allclose(row[["cost", "cost_low", "cost_high"]].astype(float), want, **CLOSE)
    rows = overlap_vs_transfer._pairs(subnetworks(run), POS)
    by_seed = []
    for _, part in rows.groupby("seed"):
        ranks = part[["corrected", "cost"]].rank()
        by_seed.append(np.corrcoef(ranks["corrected"], ranks["cost"])[0, 1])
    value, low, high = ends(by_seed)
    row = table.query(
        f"kind == 'correlation' and task == '{POS}' and one == 'corrected' and other == 'cost'"
    ).iloc[0]
    want = [value, max(low, -1), min(high, 1)]
    np.testing.assert_allclose(row[["value", "low", "high"]].astype(float), want, **CLOSE)
    assert value < -0.5  # as planted: what is akin shares more and costs less
    with style.use():
        figure = overlap_vs_transfer.draw(table)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    drawn = sum(len(bars.lines[0].get_xdata()) for axes in shown for bars in axes.containers)
    assert drawn == (table["kind"] == "pair").sum()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "de–en, one genus",
        *(f"{pair}, two families" for pair in ("de–fi", "de–zh", "en–fi", "en–zh", "fi–zh")),
    ]
    faces = [bars.lines[0].get_markerfacecolor() for axes in shown for bars in axes.containers]
    assert faces.count("white") == len(faces) / 2


def test_one_seed_and_invented_languages_are_drawn(tmp_path: Path) -> None:
    smoke = replace(presets()["smoke"], seeds=(0,))
    run = write(tmp_path / "out", smoke, NUMBERS)
    for name in OURS:
        module = importlib.import_module(rooms.figures()[name])
        table = module.table(run)
        assert table[["low", "high"]].isna().all(axis=None)
        with style.use():
            figure = module.draw(table)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["s1–s2, unknown families"]
    assert set(table["kind"]) == {"pair"}  # of two languages nothing ranks


def test_a_study_without_language_modelling_has_no_ablation(tmp_path: Path) -> None:
    run = write(tmp_path / "out", small(tasks=(TASKS[POS],)), NUMBERS)
    with pytest.raises(MissingRows, match="ablation"):
        ablation_matrix.table(run)
    for name in ("overlap-layers", "transfer-matrix", "overlap-vs-transfer"):
        module = importlib.import_module(rooms.figures()[name])
        table = module.table(run)
        assert set(table["task"]) == {POS}
        with style.use():
            assert module.draw(table).axes[-1] is not None


def test_what_scores_nothing_has_no_relative_drop(tmp_path: Path) -> None:
    run = write(tmp_path / "out", small(seeds=(0, 1)), NUMBERS)
    part = run / "part-transfer-all.parquet"
    rows = pd.read_parquet(part)
    own = (rows["task"] == "entities") & (rows["source"] == "zh") & (rows["target"] == "zh")
    rows.assign(score=rows["score"].mask(own, 0.0)).to_parquet(part)
    at = matrix.table(run).set_index(["task", "source", "target"])
    assert np.isnan(at.loc[("entities", "en", "zh"), "drop"])
    assert np.isfinite(at.loc[("entities", "en", "de"), "drop"])
    with style.use():
        matrix.draw(matrix.table(run))


def test_tickets_of_the_pair_are_told_from_others(run: Path) -> None:
    retrievals = tables.retrieval(subnetworks(run))
    last = retrievals[retrievals["step"] == STUDY.optimiser.steps].set_index(["read_by", "layer"])
    np.testing.assert_allclose(last.loc[(tables.OF_PAIR, 2), "change"], -0.01, **CLOSE)
    np.testing.assert_allclose(last.loc[(tables.OF_OTHER, 0), "change"], -0.03, **CLOSE)
    assert last.loc[(tables.WHOLE, 1), "change"] == 0
    np.testing.assert_allclose(
        2 * last["cosine"][tables.WHOLE], last["value"][tables.WHOLE], **CLOSE
    )
    assert set(retrievals[retrievals["step"] < STUDY.optimiser.steps]["read_by"]) == {tables.WHOLE}


def test_what_is_kept_is_weighed_by_the_size_of_matrices(run: Path) -> None:
    shares = tables.kept(subnetworks(run)).set_index(["task", "variant", "density", "scope"])
    assert shares.loc[(LM, "tickets", 0.2, "mlp-in"), "value"] == pytest.approx(0.25)
    # A block has 4 d^2 weights of attention, of which 0.1 fewer are kept, and 8 d^2 of the MLP, of which 0.05 more are.
    want = (4 * 0.4 + 8 * 0.55) / 12
    assert shares.loc[(LM, "mixed", 0.5, "layer 1"), "value"] == pytest.approx(want)
    assert (LM, "mixed", 0.2, "layer 1") not in shares.index


def test_rewound_tickets_are_held_against_the_whole_model_there(run: Path) -> None:
    (row,) = tables.rewound(subnetworks(run)).itertuples()
    assert (row.task, row.density) == (LM, 0.5)
    early = np.array([NUMBERS.scatter * z("rewound", seed) for seed in STUDY.seeds])
    np.testing.assert_allclose(
        [row.drop, row.drop_low, row.drop_high], ends(np.expm1(0.05 + early)), **CLOSE
    )


def test_a_study_that_is_not_done_is_missing_rows(tmp_path: Path) -> None:
    for without in ("costs", "transfer"):
        run = write(tmp_path / without, small(seeds=(0,)), NUMBERS, without=without)
        with pytest.raises(MissingRows, match=f"no table {without}.*--resume"):
            matrix.table(run)


@pytest.mark.parametrize("task", [LM, POS])
def test_a_rewound_ticket_drops_where_it_is_worse_than_the_whole_model(
    tmp_path: Path, task: str
) -> None:
    """Its perplexity above that of the whole model, or what it gets right below."""
    tasks = tuple(
        replace(t, languages=("en", "de"), variants=("tickets", "rewound"))
        for t in STUDY.tasks
        if t.name in (LM, POS)
    )
    study = replace(STUDY, tasks=tasks)
    rewound = tables.rewound(subnetworks(write(tmp_path / "out", study, NUMBERS))).set_index("task")
    tested = {t.name: t for t in tasks}[task]
    drops = []
    for seed in study.seeds:
        more = 0.65 + NUMBERS.scatter * z("rewound", seed)
        shift = 0.01 * z("own", seed, task)
        of_language = []
        for name in tested.languages:
            own = own_score(tested, name) + shift
            worse = np.expm1(more - 0.6) if task == LM else (more - 0.6) / (own - 0.6)
            of_language.append(worse)
        drops.append(np.mean(of_language))
    row = rewound.loc[task]
    np.testing.assert_allclose(row[["drop", "drop_low", "drop_high"]].astype(float), ends(drops))
    assert row["drop"] > 0


def test_a_study_of_text_that_is_not_aligned_has_its_page(tmp_path: Path) -> None:
    text_alone = small(aligned=(), tasks=STUDY.tasks[:1], seeds=(0, 1))
    run = write(tmp_path / "run", text_alone, NUMBERS, without="retrieval")
    assert page.main(["subnetworks", "--from", str(run), "--out", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "subnetworks.md").read_text()
    assert "## Sentences that find each other" not in text
    assert "## What tickets are worth" in text
