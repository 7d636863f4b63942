"""The report: one file that holds every page, figure, number and verdict, and points to nothing beside it."""

import base64
import csv
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

from figures.engine import rooms
from figures.report import __main__ as report
from figures.report.__main__ import DEFAULT, HERE, THEOREMS
from figures.report.markdown import column
from tests.figures.html_outline import Element, parse

ROOT = HERE.parent
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CLAIMS = """claim,setting,effect,low,high,unit,expected,verdict
"it's <shared>",share 0.1,0.25,0.125,inf,nats,1,replicated
"it's <shared>",0.5,,,,nats,-1.0,one seed
"""


def cli(*arguments: object) -> int:
    return report.main([str(argument) for argument in arguments])


def numbers(folder: Path, name: str, kind: str = "table", table: str = "a,b\n1,2\n") -> None:
    """The files of a table or a figure."""
    folder.mkdir(exist_ok=True)
    said = {kind: name, "description": f"what {name} shows", "run": {"identity": "abc"}}
    (folder / f"{name}.csv").write_text(table)
    (folder / f"{name}.json").write_text(json.dumps(said))
    if kind == "figure":
        (folder / f"{name}.png").write_bytes(PNG)


def small(folder: Path, name: str = "dynamics", more: str = "") -> Path:
    """A folder with a page, its figure and its claims."""
    numbers(folder, f"{name}-curve", "figure")
    numbers(folder, f"{name}-claims", table=CLAIMS)
    text = f"""# Of {name}

## What became of the claims

| claim | here |
| --- | --- |
| it is shared | **replicated** |

## Curve

![A curve.]({name}-curve.png)

*A curve. ([numbers]({name}-curve.csv), [provenance]({name}-curve.json))*

- [{name}-claims.csv]({name}-claims.csv): claims ([provenance]({name}-claims.json))

{more}
"""
    (folder / f"{name}.md").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("dynamics-curve", "", "dynamics-curve.csv is empty or no table"),
        ("dynamics-curve", "a,b\n", "dynamics-curve.csv has no rows"),
        ("dynamics-claims", CLAIMS.splitlines()[0] + "\n", "dynamics-claims.csv has no rows"),
        ("dynamics-curve", "a,b\n1,2\n3\n", "dynamics-curve.csv, line 3: 1 columns, not 2"),
    ],
)
def test_an_empty_table_is_refused(
    name: str, table: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "page")
    (folder / f"{name}.csv").write_text(table)
    assert cli("--out", tmp_path / "out", "--from", folder) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def made(out: Path, *folders: Path) -> Element:
    """The report of folders."""
    assert cli("--out", out, "--from", *folders) == 0
    return parse((out / "report.html").read_text())


def sections(root: Element) -> list[str]:
    return [heading.attributes["id"] for heading in root.all("h2")]


def rows(root: Element) -> list[list[str]]:
    """The cells of the table of every effect."""
    (table,) = [t for t in root.all("table") if "filtered" in t.attributes["class"]]
    return [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Element:
    """The report of this project's results."""
    out = tmp_path_factory.mktemp("report")
    assert cli("--out", out) == 0
    return parse((out / "report.html").read_text())


def files(end: str) -> dict[str, Path]:
    return {path.stem: path for folder in DEFAULT for path in sorted(folder.glob(f"*.{end}"))}


def test_every_figure_is_inside_with_words_for_it(whole: Element) -> None:
    images = whole.all("img")
    embedded = []
    for image in images:
        kind, content = image.attributes["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        embedded.append(base64.b64decode(content))
        assert image.attributes["alt"].strip()
    assert sorted(embedded) == sorted(path.read_bytes() for path in files("png").values())


def test_nothing_points_outside(whole: Element) -> None:
    ids = [element.attributes["id"] for element in whole.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    links = [e for e in whole.all() if "href" in e.attributes]
    assert len(links) > 50
    for element in links:
        target = element.attributes["href"]
        if target.startswith("#"):
            assert target[1:] in ids
        elif not target.startswith("data:"):
            assert element.tag == "a"
            assert target.startswith(("http://", "https://"))
    for element in whole.all():
        assert not {"srcset", "action", "data", "poster", "background"} & element.attributes.keys()
        assert element.attributes.get("src", "data:").startswith("data:")
    assert not whole.all("iframe", "object", "embed", "base")
    for element in whole.all("style", "script"):
        assert not any(said in element.text for said in ("url(", "@import", "http", "fetch("))


def test_numbers_and_provenance_are_those_of_the_files(whole: Element) -> None:
    tables, sources = files("csv"), files("json")
    links = {a.attributes["download"]: a for a in whole.all("a") if "download" in a.attributes}
    assert sorted(links) == sorted(path.name for path in tables.values())
    for name, path in tables.items():
        kind, content = links[path.name].attributes["href"].split(",", 1)
        assert kind == "data:text/csv;charset=utf-8"
        assert unquote(content) == path.read_text()
        count = len(path.read_text().splitlines()) - 1
        rows = f"{count:,} row{'s' * (count != 1)}"
        assert whole.at(f"numbers-{name}").all("summary")[0].text == f"{name}: {rows}"
        said = whole.at(f"provenance-{name}")
        assert said.all("pre")[0].text == sources[name].read_text()
        summary, source = said.all("summary")[0].text, json.loads(sources[name].read_text())
        if "runs" in source:  # of the benchmarks, whose page tells the run of every line
            assert summary == f"{name}: provenance"
            continue
        run = source["run"]
        assert f"run {run['identity']}, commit {run['commit'][:10]}" in summary
        assert summary.count("resumed with") == len(run.get("resumed", ()))


def test_what_provenance_says_is_text(tmp_path: Path) -> None:
    """Whatever stands in a record that someone wrote by hand."""
    small(tmp_path)
    path = tmp_path / "dynamics-curve.json"
    record = json.loads(path.read_text())
    record["run"] = {"identity": "<i>1", "commit": "<b>2"}
    record["rendered"] = {"command": "<u>3"}
    path.write_text(json.dumps(record))
    summary = made(tmp_path / "out", tmp_path).at("provenance-dynamics-curve").all("summary")[0]
    assert not summary.all("i", "b", "u")
    assert all(said in summary.text for said in ("<i>1", "<b>2", "<u>3"))


def test_every_effect_has_a_row(whole: Element) -> None:
    table_rows, sources = rows(whole), files("csv")
    studies = [name.removesuffix("-claims") for name in sources if name.endswith("-claims")]
    expected = []
    for study in sorted(studies, key=list(rooms.pages()).index):
        with sources[f"{study}-claims"].open(newline="") as file:
            expected += [
                (study, row["claim"], row["effect"], row["verdict"]) for row in csv.DictReader(file)
            ]
    assert len(table_rows) == len(expected) > 500
    for cells, (study, claim, effect, verdict) in zip(table_rows, expected, strict=True):
        assert (cells[0], cells[1], cells[6]) == (study, claim, verdict)
        assert cells[3].split()[0] == (f"{float(effect):.3g}" if effect else "–")
    assert "[0.265, 0.491]" in table_rows[0]


def test_the_statements_are_counted(whole: Element) -> None:
    verdicts = column(THEOREMS.read_text(), "verdict")
    assert (
        len(verdicts)
        == sum(line.startswith("| ") for line in THEOREMS.read_text().splitlines()) - 1
    )
    checked, refuted = (
        sum(v.startswith(grade) for v in verdicts) for grade in ("Steps checked (", "Refuted")
    )
    said = f"{len(verdicts)} statements: {checked} Steps checked, {refuted} Refuted"
    assert said in whole.all("main")[0].text
    names = [code.text for code in whole.all("code")]
    assert {"leave-one-out", "d22-theorem-2-7"} <= set(names)


def test_the_outline_has_no_gaps(whole: Element) -> None:
    headings = whole.all("h1", "h2", "h3", "h4", "h5", "h6")
    levels = [int(heading.tag[1:]) for heading in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    contents = [a.attributes["href"][1:] for a in whole.all("nav")[0].all("a")]
    assert contents == [h.attributes["id"] for h in headings if h.tag in ("h2", "h3")]


def test_tables_scroll_in_boxes(whole: Element) -> None:
    boxes = [div for div in whole.all("div") if "scroll" in div.attributes["class"]]
    assert sum(len(box.all("table")) for box in boxes) == len(whole.all("table")) > 5


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    """In other processes."""
    contents = []
    for hashing in ("1", "2"):
        out = tmp_path / hashing
        command = [sys.executable, "-m", "figures.report", "--out", str(out)]
        environment = os.environ | {"PYTHONHASHSEED": hashing}
        done = subprocess.run(
            command,
            check=True,
            timeout=600,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"{out / 'report.html'}\n"
        contents.append((out / "report.html").read_bytes())
    assert contents[0] == contents[1]


def test_studies_come_in_their_order_and_figures_after_them(tmp_path: Path) -> None:
    names = ["zeta", "across", "alpha", "dynamics", "subnetworks", "imbalance", "robustness"]
    for name in names:
        small(tmp_path / "pages", name)
    numbers(tmp_path / "pages", "spectra", "figure")
    numbers(tmp_path / "gallery", "noisy-risk", "figure")
    root = made(tmp_path / "out", tmp_path / "gallery", tmp_path / "pages")
    ordered = ["robustness", "imbalance", "subnetworks", "dynamics", "across", "alpha", "zeta"]
    pages = [f"page-{name}" for name in ordered]
    assert sections(root) == ["verdicts", *pages, "figures", "theorems"]
    assert [row[0] for row in rows(root)] == [name for name in ordered for _ in range(2)]
    shown = [h.attributes["id"] for h in root.all("h3") if "figures--" in h.attributes["id"]]
    assert shown == ["figures--noisy-risk", "figures--spectra"]
    verdicts = root.at("verdicts--across")
    assert verdicts.text == "Of across"


def test_effects_say_where_they_are_of_and_how_sure(tmp_path: Path) -> None:
    first, second = rows(made(tmp_path / "out", small(tmp_path / "pages")))
    assert first == [
        *("dynamics", "it's <shared>", "share 0.1"),
        *("0.25 nats", "[0.125, ∞]", "> 0", "replicated"),
    ]
    assert second[2:] == ["setting 0.5", "–", "–", "< 0", "one seed"]


def test_links_lead_into_the_report_or_to_the_web(tmp_path: Path) -> None:
    more = """[the other](imbalance.md) [source](https://arxiv.org/abs/2210.11618) [code](../plan.py)
[above](#curve) [nowhere](#none) [odd](javascript:alert) <b>no tag</b> [mail](mailto:a@b.c)"""
    folder = small(tmp_path / "pages", more=more)
    small(folder, "imbalance")
    root = made(tmp_path / "out", folder)
    (paragraph,) = [p for p in root.all("p") if "the other" in p.text]
    links = {a.text: a.attributes["href"] for a in paragraph.all("a")}
    assert links == {
        "the other": "#page-imbalance",
        "source": "https://arxiv.org/abs/2210.11618",
        "above": "#page-dynamics--curve",
    }
    assert "code" in paragraph.text
    assert "<b>no tag</b>" in paragraph.text
    numbers_of = [a.attributes["href"] for a in root.all("figcaption")[1].all("a")]
    assert numbers_of == ["#numbers-dynamics-curve", "#provenance-dynamics-curve"]
    (figure, _) = [f for f in root.all("figure") if f.all("img")]
    assert [child.tag for child in figure.children] == ["img", "figcaption"]


def test_numbers_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        numbers(tmp_path / folder, "spectra", "figure", table=f"a\n{folder}\n")
    root = made(tmp_path / "out", tmp_path / "one", tmp_path / "two", tmp_path / "two")
    for place, words in (("spectra", "one"), ("spectra-1", "two")):
        (link,) = root.at(f"numbers-{place}").all("a")
        assert unquote(link.attributes["href"]).endswith(f",a\n{words}\n")
    assert len(root.all("img")) == 2


def broken(case: str, folder: Path) -> None:
    """Break a small folder."""
    page, claims = folder / "dynamics.md", folder / "dynamics-claims.csv"
    match case:
        case "empty":
            for file in folder.iterdir():
                file.unlink()
        case "no csv":
            (folder / "dynamics-curve.csv").unlink()
        case "no json":
            (folder / "dynamics-claims.json").unlink()
        case "no png":
            (folder / "dynamics-curve.png").unlink()
        case "no figure at all":
            page.write_text("# A page\n\n![Far](https://example.org/a.png)\n")
        case "not linked":
            page.write_text("# A page\n\n[numbers](other.csv)\n")
        case "no png inside":
            (folder / "dynamics-curve.png").write_bytes(b"GIF89a")
        case "no json inside":
            (folder / "dynamics-curve.json").write_text("{")
        case "no provenance inside":
            (folder / "dynamics-curve.json").write_text('{"run": {}}')
        case "latin":
            page.write_bytes("# Prüfung".encode("latin-1"))
        case "no title":
            page.write_text("Words.\n")
        case "no verdicts":
            claims.write_text("claim,effect,low,high\na,1,2,3\n")
        case "words for numbers":
            claims.write_text("claim,effect,low,high,verdict\na,much,2,3,replicated\n")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no folder", "is no folder"),
        ("empty", "has no page and no figure"),
        ("no csv", "dynamics-curve.csv is missing"),
        ("no json", "dynamics-claims.json is missing"),
        ("no png", "dynamics-curve.png is no figure"),
        ("no figure at all", "https:/example.org/a.png is no figure"),
        ("not linked", "other.csv is missing"),
        ("no png inside", "is no PNG"),
        ("no json inside", "says of no figure or table"),
        ("no provenance inside", "says of no figure or table"),
        ("latin", "is not in UTF-8"),
        ("no title", "has no title"),
        ("no verdicts", "has no column verdict"),
        ("words for numbers", "has 'much' for a number"),
        ("twice", "both have a page dynamics.md"),
        ("out is a file", "is a file"),
        ("no out", "--out"),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    case: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = small(tmp_path / "pages"), tmp_path / "out"
    broken(case, folder)
    given = [folder / "none" if case == "no folder" else folder]
    given += [small(tmp_path / "more")] if case == "twice" else []
    if case == "out is a file":
        out.write_text("mine")
    try:
        code = cli("--from", *given, *([] if case == "no out" else ["--out", out]))
    except SystemExit as exit_:
        code = exit_.code  # type: ignore[assignment]
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not out.is_dir()


def test_what_to_install_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("figures.report.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    assert cli("--out", tmp_path / "out") == 2
    assert "pip install 'cognitive-reserve[report]'" in capsys.readouterr().err
