"""Study D22's claims on numbers without a pattern: each effect computed again from the tables, by loops."""

from itertools import pairwise

import numpy as np
import pytest

from neural.measures.degradation import crossover
from neural.robustness.claims import Results, claims, crossed
from neural.robustness.plan import Comparison
from neural.study.results import read
from tests.figures.fake_study import Numbers, small, write
from tests.neural.by_hand import assert_effect, chosen, redraw, single, student

BASE = small()
STUDY = small(
    comparisons=(*BASE.comparisons, Comparison("language", ("el@bible", "de@bible")))
)  # which begins with another text than the domains
LAST = STUDY.optimiser.steps
FAILURES = [(hit.group, failure) for hit in STUDY.measures.hits for failure, _ in hit.failures]
NATS = "nats_per_token"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("d22") / "run", STUDY, Numbers())
    redraw(folder, "clean", NATS)
    redraw(folder, "curves", NATS)
    redraw(folder, "classification", "accuracy")
    return Results(STUDY, folder)


@pytest.fixture(scope="module")
def rows(results):
    return claims(results)


def strength(failure, x):
    return 1 / (2 ** (x - 1) - 1) if failure.startswith("quantisation") else x


def area(table, failure, column, *, degraded, only=None):
    """By seed: the mean over strengths of the mean over draws, by trapezoids; degraded: less that of strength 0."""
    areas = []
    for seed in STUDY.seeds:
        own = chosen(table, seed=seed)
        points = sorted(
            (strength(failure, part["strength"].iat[0]), part[column].mean())
            for _, part in own.groupby("level")
            if only is None or part["strength"].iat[0] in only
        )
        below = points[0][1] if degraded else 0.0
        whole = sum((b[0] - a[0]) * ((a[1] + b[1]) / 2 - below) for a, b in pairwise(points))
        areas.append(whole / (points[-1][0] - points[0][0]))
    return np.array(areas)


def curve(results, model, text, group, failure, matched="", step=LAST):
    table = chosen(results.curves, model=model, text=text, group=group, failure=failure)
    table = chosen(table, matched=matched)
    return table if matched else chosen(table, step=step)


def effect_of(comparison, claim, **more):
    return {"claim": claim, "one": comparison.first, "several": comparison.several, **more}


def test_clean_losses(results, rows):
    for comparison in STUDY.comparisons:
        table = chosen(results.clean, text=comparison.first, step=LAST)
        alone, several = (
            table[table["model"] == model].sort_values("seed")[NATS].to_numpy()
            for model in (comparison.first, comparison.several)
        )
        row = single(rows, **effect_of(comparison, "clean loss"))
        assert row["kind"] == comparison.kind
        assert_effect(row, student(several - alone), 1)


@pytest.mark.parametrize(("group", "failure"), FAILURES)
def test_degradation_and_crossovers(results, rows, group, failure):
    for comparison in STUDY.comparisons:
        tables = [
            curve(results, model, comparison.first, group, failure)
            for model in (comparison.first, comparison.several)
        ]
        alone, several = (area(table, failure, NATS, degraded=True) for table in tables)
        what = {"group": group, "failure": failure}
        assert_effect(
            single(rows, **effect_of(comparison, "degradation", **what)),
            student(several - alone),
            -1,
        )
        keys = ["seed", "level", "draw"]
        seeds, levels, draws = (tables[0][key].nunique() for key in keys)
        losses = [
            table.sort_values(keys)[NATS].to_numpy().reshape(seeds, levels, draws)
            for table in tables
        ]
        x = tables[0].groupby("level")["strength"].first().map(lambda s: strength(failure, s))
        exact = crossover(x.to_numpy(), *losses)
        row = single(rows, **effect_of(comparison, "crossover", **what))
        values = [np.nan if v is None else v for v in (exact.value, exact.low, exact.high)]
        np.testing.assert_array_equal(row[["effect", "low", "high"]].to_numpy(float), values)
        assert row["crossing"] == exact.crossing
        assert (row["expected"], row["verdict"], row["kind"]) == (
            -1,
            crossed(exact),
            comparison.kind,
        )


def test_longer_training(results, rows):
    comparison = STUDY.comparisons[0]
    counted = 0
    for hit in STUDY.hits_in_training:
        for failure, _ in hit.failures:
            tables = [
                curve(results, comparison.several, comparison.first, hit.group, failure, step=step)
                for step in (STUDY.early[0], LAST)
            ]
            shared = set(tables[0]["strength"]) & set(tables[1]["strength"])
            for claim, degraded in (
                ("degradation after longer training", True),
                ("loss under failure after longer training", False),
            ):
                early, last = (
                    area(table, failure, NATS, degraded=degraded, only=shared) for table in tables
                )
                row = single(rows, **effect_of(comparison, claim, group=hit.group, failure=failure))
                assert_effect(row, student(last - early), -1)
                counted += 1
    assert counted == rows["claim"].str.endswith("after longer training").sum() > 0


def test_equal_clean_losses(results, rows):
    counted = 0
    for comparison in STUDY.comparisons:
        for hit in STUDY.hits_matched:
            for failure, _ in hit.failures:
                text, several = comparison.first, comparison.several
                stopped = curve(results, text, text, hit.group, failure, matched=several)
                whole = curve(results, several, text, hit.group, failure)
                stopped_area, other = (
                    area(table, failure, NATS, degraded=True) for table in (stopped, whole)
                )
                claim = "degradation at equal clean loss"
                row = single(rows, **effect_of(comparison, claim, group=hit.group, failure=failure))
                assert_effect(row, student(other - stopped_area), -1)
                counted += 1
    assert counted == (rows["claim"] == "degradation at equal clean loss").sum()


def test_languages_against_domains(results, rows):
    kinds = {comparison.kind for comparison in STUDY.comparisons}
    assert {"language", "domain", "near-clone"} <= kinds
    counted = 0
    for domain in STUDY.comparisons:
        for language in STUDY.comparisons:
            if domain.kind not in ("domain", "near-clone") or language.kind != "language":
                continue
            if domain.first != language.first:
                continue
            claim = f"degradation, language less {domain.kind} {domain.texts[1]}"
            for group, failure in FAILURES:
                domain_area, other = (
                    area(
                        curve(results, c.several, c.first, group, failure),
                        failure,
                        NATS,
                        degraded=True,
                    )
                    for c in (domain, language)
                )
                row = single(rows, **effect_of(language, claim, group=group, failure=failure))
                assert_effect(row, student(other - domain_area), -1)
                counted += 1
    assert counted == rows["claim"].str.startswith("degradation, language less").sum() > 0


def test_classifiers(results, rows):
    table = read(results.out, "classification")
    plan = STUDY.classification
    counted = 0
    for comparison in STUDY.comparisons:
        if comparison.kind not in plan.kinds:
            continue
        own = chosen(table, several=comparison.several)
        for task in plan.tasks:
            for at in ("best", "equal"):
                for place, (failure, _) in enumerate(plan.hit.failures):
                    part = chosen(own, task=task, at=at, failure=failure)
                    sides = [
                        chosen(part, model=model)
                        for model in (comparison.first, comparison.several)
                    ]
                    alone, several = (
                        area(side, failure, "accuracy", degraded=True) for side in sides
                    )
                    claim = f"accuracy kept under failure, {task} ({at})"
                    row = single(
                        rows, **effect_of(comparison, claim, group=plan.hit.group, failure=failure)
                    )
                    assert_effect(row, student(several - alone), 1)
                    counted += 1
                    if not place:
                        alone, several = (
                            chosen(side, level=0).groupby("seed")["accuracy"].mean().to_numpy()
                            for side in sides
                        )
                        claim = f"accuracy, {task} ({at})"
                        row = single(rows, **effect_of(comparison, claim, failure="none"))
                        assert_effect(row, student(several - alone), 1)
                        counted += 1
    assert counted == rows["claim"].str.startswith("accuracy").sum() > 0
