"""Study F22's claims on numbers without a pattern: each effect computed again from the tables, by loops."""

from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neural.subnetworks.claims import NULLS, Results, claims
from neural.subnetworks.plan import presets
from tests.figures.fake_subnetworks import LM, Numbers, small, write
from tests.neural.by_hand import assert_effect, student

STUDY = small(tasks=presets()["laptop"].tasks)
UNITS = {LM: "nats", "entities": "F1"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every number drawn anew, between 0.1 and 0.9, so that no two effects are alike."""
    made = Results(STUDY, write(tmp_path_factory.mktemp("f22") / "run", STUDY, Numbers()))
    rng = np.random.default_rng(0)
    for name in ("overlap", "transfer", "ablation", "retrieval"):
        table = getattr(made, name).copy()
        for column in {"jaccard", "expected", "score", "nats", "margin"} & set(table):
            table[column] = rng.uniform(0.1, 0.9, len(table))
        # What no claim is about must not be mixed in: another order of tuning.
        if name == "overlap":
            table = pd.concat([table, table.assign(order=1, jaccard=5.0)], ignore_index=True)
        setattr(made, name, table)
    return made


@pytest.fixture(scope="module")
def rows(results):
    table = claims(results)
    assert not table.duplicated(["claim", "setting", "task"]).any()
    return table.set_index(["claim", "setting", "task"])


def seeds_of(table, column, **where):
    """The mean of a column for each seed, of the rows that have these values or one of them."""
    chosen = table
    for name, value in where.items():
        chosen = chosen[chosen[name].isin(value if isinstance(value, (list, set)) else [value])]
    return np.array([chosen.loc[chosen["seed"] == seed, column].mean() for seed in STUDY.seeds])


def paid(results):
    """What each mask costs."""
    lost = [r.score if r.task == LM else 1 - r.score for r in results.transfer.itertuples()]
    return results.transfer.assign(cost=lost)


@pytest.mark.parametrize("task", STUDY.tasks, ids=lambda task: task.name)
def test_what_tickets_cost(results, rows, task):
    table = paid(results)
    for density in task.densities:
        setting, unit = f"{density:.0%} kept", UNITS.get(task.name, "accuracy")
        where = {"task": task.name, "density": density}

        def cost(source):
            return seeds_of(table, "cost", **where, source=source)  # noqa: B023

        tickets = table[table["source"].isin(task.languages)]
        own = seeds_of(tickets[tickets["source"] == tickets["target"]], "cost", **where)
        other = seeds_of(tickets[tickets["source"] != tickets["target"]], "cost", **where)
        row = rows.loc["a ticket costs no more than the whole model", setting, task.name]
        assert_effect(row, student(own - cost("full")), 0, unit)
        margin = cost("full").std(ddof=1)
        assert row["verdict"] == (
            "replicated"
            if row["high"] <= margin
            else "opposite"
            if row["low"] > margin
            else "not replicated"
        )
        there = set(
            table.loc[(table["task"] == task.name) & (table["density"] == density), "source"]
        )
        for control, null in NULLS.items():
            claim = null.says
            assert (control in there) == ((claim, setting, task.name) in rows.index)
            if control in there:
                assert_effect(
                    rows.loc[claim, setting, task.name], student(cost(control) - own), 1, unit
                )
        claim = "another language's ticket costs more"
        assert_effect(rows.loc[claim, setting, task.name], student(other - own), 1, unit)
        claim = "another language's ticket costs less than a random mask"
        assert_effect(
            rows.loc[claim, setting, task.name], student(other - cost("random")), -1, unit
        )
        claim = "a ticket of all languages costs less than one of another"
        assert ("mixed" in there) == ((claim, setting, task.name) in rows.index)
        if "mixed" in there:
            assert_effect(
                rows.loc[claim, setting, task.name], student(cost("mixed") - other), -1, unit
            )
        claim = "a ticket rewound to an earlier step costs no more than the whole model there"
        assert ("rewound" in there) == ((claim, setting, task.name) in rows.index)
        if "rewound" in there:
            row = rows.loc[claim, setting, task.name]
            assert_effect(row, student(cost("rewound") - cost("full, rewound")), 0, unit)
            margin = cost("full, rewound").std(ddof=1)
            replicated = row["high"] <= margin
            assert (row["verdict"] == "replicated") == replicated


@pytest.mark.parametrize("task", STUDY.tasks, ids=lambda task: task.name)
def test_how_much_tickets_overlap(results, rows, task):
    table = results.overlap[results.overlap["order"] == 0].copy()
    table["above"] = table["jaccard"] - table["expected"]
    for density in task.densities:
        number = {0.5: 5, 0.2: 8}[density]
        where = {"task": task.name, "scope": "total", "round": number}
        setting = f"{density:.0%} kept"
        for kind, claim in (
            ("languages", "tickets of two languages overlap more than chance"),
            ("theta0", "a ticket overlaps with the largest weights before tuning more than chance"),
            ("shuffled", "a ticket overlaps with that of shuffled labels more than chance"),
            ("early", "a ticket overlaps with that of an earlier checkpoint more than chance"),
        ):
            values = seeds_of(table, "above", **where, kind=kind)
            assert np.isnan(values).all() == ((claim, setting, task.name) not in rows.index)
            if not np.isnan(values).all():
                assert_effect(rows.loc[claim, setting, task.name], student(values), 1, "Jaccard")
        languages = seeds_of(table, "jaccard", **where, kind="languages")
        claim = "tickets of two languages overlap more than with the largest weights before tuning"
        untuned = seeds_of(table, "jaccard", **where, kind="theta0")
        assert_effect(
            rows.loc[claim, setting, task.name], student(languages - untuned), 1, "Jaccard"
        )
        claim = "tickets of two languages overlap less than two of one"
        again = seeds_of(table, "jaccard", **where, kind="seeds")
        assert_effect(
            rows.loc[claim, setting, task.name], student(languages - again), -1, "Jaccard"
        )


def test_how_overlap_differs_between_tasks_and_layers(results, rows):
    table = results.overlap[(results.overlap["order"] == 0) & (results.overlap["round"] == 5)]
    table = table[table["kind"] == "languages"]
    tasks = {task.name: task for task in STUDY.tasks}
    pairs = (("entities", "topics"), ("topics", LM), ("entities", LM))
    for more, less in pairs:
        common = set(tasks[more].languages) & set(tasks[less].languages)
        jaccards = [
            seeds_of(table, "jaccard", task=name, scope="total", language=common, other=common)
            for name in (more, less)
        ]
        row = rows.loc["overlap differs between tasks", f"{more} less {less}", more]
        assert_effect(row, student(jaccards[0] - jaccards[1]), 1, "Jaccard")
    assert len(rows.loc["overlap differs between tasks"]) == len(pairs)
    for task in STUDY.tasks:
        first, middle, last = (
            seeds_of(table, "jaccard", task=task.name, scope=f"layer {layer}") for layer in range(3)
        )
        if task.name == LM:
            row = rows.loc["overlap is greatest in the middle", "inner less outer", LM]
            assert_effect(row, student(middle - (first + last) / 2), 1, "Jaccard")
        else:
            row = rows.loc["overlap rises with depth", "last less first", task.name]
            assert_effect(row, student(last - first), 1, "Jaccard")
    assert len(rows.loc["overlap rises with depth"]) == len(tasks) - 1
    assert len(rows.loc["overlap is greatest in the middle"]) == 1


def more_than_own(results):
    """What a source's ticket costs a target more than its own, by task, density, seed, source and target."""
    keys = ["task", "density", "seed", "source", "target"]
    cost = paid(results).set_index(keys)["cost"].to_dict()
    return {
        (*where, source, target): value - cost[(*where, target, target)]
        for (*where, source, target), value in cost.items()
        if "rewound" not in source
    }


def test_sparser_tickets_and_pairs(results, rows):
    task, more = STUDY.tasks[0], more_than_own(results)
    pairs = list(permutations(task.languages, 2))
    costs = [
        [np.mean([more[LM, density, seed, *pair] for pair in pairs]) for seed in STUDY.seeds]
        for density in (0.5, 0.2)
    ]
    claim = "sparser tickets transfer worse"
    assert_effect(
        rows.loc[claim, "20% less 50% kept", LM], student(np.subtract(*costs[::-1])), 1, "nats"
    )
    assert len(rows.loc[claim]) == 1
    claim = "pairs that overlap more transfer better"
    assert set(rows.loc[claim].index.get_level_values("task")) == {
        task.name for task in STUDY.tasks if len(task.languages) > 3
    }
    table = results.overlap[(results.overlap["order"] == 0) & (results.overlap["round"] == 5)]
    table = table[(table["kind"] == "languages") & (table["scope"] == "total")]
    for task in STUDY.tasks:
        if len(task.languages) < 4:
            continue
        by_seed = []
        for seed in STUDY.seeds:
            own = table[(table["task"] == task.name) & (table["seed"] == seed)]
            jaccard = own.set_index(["language", "other"])["jaccard"]
            shared = [jaccard[tuple(sorted(pair))] for pair in permutations(task.languages, 2)]
            costs = [more[task.name, 0.5, seed, *pair] for pair in permutations(task.languages, 2)]
            by_seed.append(stats.spearmanr(shared, costs).statistic)
        row = rows.loc[claim, "50% kept", task.name]
        values = np.array(by_seed)
        half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
        ends = np.clip([values.mean() - half, values.mean() + half], -1, 1)
        assert row["effect"] == pytest.approx(values.mean())
        assert (row["low"], row["high"]) == pytest.approx(tuple(ends))
        assert (row["unit"], row["expected"]) == ("rank correlation", -1)


def test_weights_of_one_ticket_alone(results, rows):
    table = results.ablation
    languages = STUDY.tasks[0].languages

    def nats(density, seed, language, removed, how):
        chosen = table[(table["density"] == density) & (table["seed"] == seed)]
        chosen = chosen[(chosen["language"] == language) & (chosen["removed"] == removed)]
        return chosen.loc[chosen["how"] == how, "nats"].item()

    for density in (0.5, 0.2):
        own, others = [], []
        for seed in STUDY.seeds:
            beyond = {
                (language, removed): nats(density, seed, language, removed, "only this ticket's")
                - nats(density, seed, language, removed, "random")
                for language in languages
                for removed in languages
            }
            own.append(np.mean([beyond[a, a] for a in languages]))
            others.append(np.mean([beyond[pair] for pair in permutations(languages, 2)]))
        setting = f"{density:.0%} kept"
        claim = "weights of one language's ticket alone matter to it more than random ones"
        assert_effect(rows.loc[claim, setting, LM], student(np.array(own)), 1, "nats")
        claim = "weights of one language's ticket alone matter to it more than to others"
        assert_effect(rows.loc[claim, setting, LM], student(np.subtract(own, others)), 1, "nats")


def test_retrieval_under_tickets(results, rows):
    table = results.retrieval
    last = table[table["step"] == STUDY.optimiser.steps]
    tickets = seeds_of(last, "margin", ticket=list(STUDY.tasks[0].languages))
    whole = seeds_of(last, "margin", ticket="")
    claim = "under tickets sentences find each other no worse than in the whole model"
    row = rows.loc[claim, "all layers", LM]
    assert_effect(row, student(whole - tickets), 0, "accuracy")
    margin = whole.std(ddof=1)
    right = (
        "replicated"
        if row["high"] <= margin
        else "opposite"
        if row["low"] > margin
        else "not replicated"
    )
    assert row["verdict"] == right


def test_shared_is_between_chance_and_one_language(results):
    """0 where two tickets overlap as their densities give, 1 where as two tunings of one language, their mean."""
    table = results.overlap[results.overlap["order"] == 0]
    room = results.shared["ceiling"] > results.shared["expected"]
    assert results.shared.loc[~room, "corrected"].isna().all()
    row = results.shared[room].iloc[7]
    where = (table["task"] == row["task"]) & (table["round"] == row["round"])
    where &= (table["scope"] == row["scope"]) & (table["seed"] == row["seed"])
    again = table[where & (table["kind"] == "seeds")].set_index("language")["jaccard"]
    ceiling = (again[row["language"]] + again[row["other"]]) / 2
    assert row["ceiling"] == pytest.approx(ceiling)
    part = (row["jaccard"] - row["expected"]) / (ceiling - row["expected"])
    assert row["corrected"] == pytest.approx(part)
    languages = {task.name: len(list(combinations(task.languages, 2))) for task in STUDY.tasks}
    scopes, rounds = 1 + 3 + 6, {task.name: task.rounds for task in STUDY.tasks}
    assert len(results.shared) == sum(
        languages[name] * scopes * rounds[name] * len(STUDY.seeds) for name in languages
    )


def test_one_seed_has_margins_and_verdicts_of_none(tmp_path):
    single = replace(STUDY, seeds=(0,))
    table = claims(Results(single, write(tmp_path / "run", single, Numbers())))
    assert set(table["verdict"]) == {"one seed"}
    assert table["low"].isna().all()


@pytest.mark.parametrize("there", [("entities",), ("topics",), (LM,), ("topics", LM)])
def test_tasks_are_compared_that_the_study_has(tmp_path, there):
    study = small(tasks=tuple(task for task in STUDY.tasks if task.name in there))
    table = claims(Results(study, write(tmp_path / "run", study, Numbers())))
    settings = table.loc[table["claim"] == "overlap differs between tasks", "setting"].tolist()
    assert settings == ([f"topics less {LM}"] if len(there) == 2 else [])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_depth_is_claimed_of_models_that_have_it(tmp_path, layers):
    study = small(model=replace(STUDY.model, layers=layers))
    table = claims(Results(study, write(tmp_path / "run", study, Numbers())))
    claimed = set(table["claim"])
    assert ("overlap rises with depth" in claimed) == (layers > 1)
    assert ("overlap is greatest in the middle" in claimed) == (layers > 2)
