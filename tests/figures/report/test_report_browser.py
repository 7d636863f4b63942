"""The report in a headless Chromium: it loads without a complaint, fits its window, and its tables and colours work."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from figures.report import __main__ as report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (400, 1400)
COLOURS = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: extra `browser`")
    installed = [path for name in BROWSERS if (path := shutil.which(name))]
    if not installed:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=installed[0])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report")
    assert report.main(["--out", str(out)]) == 0
    return (out / "report.html").as_uri()


def visit(browser: "Browser", address: str, width: int, colours: str) -> tuple["Page", list[str]]:
    """The page at an address, and a list that collects whatever goes wrong."""
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=colours,  # type: ignore[arg-type]
    )
    wrong: list[str] = []
    file = address.partition("#")[0]
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url[:100]))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("data:", file)) else wrong.append(r.url),
    )
    page.goto(address)
    return page, wrong


def fits(page: "Page") -> bool:
    fitting: bool = page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    return fitting


def luminance(colour: str) -> float:
    """Relative, of a colour rgb(r, g, b) (WCAG 2.2)."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def style(page: "Page", selector: str, what: str) -> str:
    computed: str = page.eval_on_selector(selector, f"e => getComputedStyle(e)['{what}']")
    return computed


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colours", COLOURS)
def test_it_loads_and_fits(browser: "Browser", address: str, width: int, colours: str) -> None:
    page, wrong = visit(browser, address, width, colours)
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 5
    assert all(width > 0 for width in widths)
    assert fits(page)
    page.evaluate("document.querySelectorAll('details.provenance').forEach(d => d.open = true)")
    page.evaluate("location.hash = 'numbers-crossover'")
    page.wait_for_selector("#numbers-crossover table")
    assert fits(page)
    paper = luminance(style(page, "body", "backgroundColor"))
    assert (paper > 0.5) == (colours == "light")
    for selector in ("body", "main a", "figcaption", "tr.replicated > :last-child", "summary"):
        ink = luminance(style(page, selector, "color"))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, selector  # WCAG 2.2, level AA
    assert luminance(style(page, "img", "backgroundColor")) == pytest.approx(1)
    assert wrong == []
    page.close()


def test_colours_can_be_chosen_and_are_kept(browser: "Browser", address: str) -> None:
    page, wrong = visit(browser, address, 1400, "light")
    for chosen, dark in (("dark", True), ("light", False), ("", False), ("dark", True)):
        page.select_option("#theme", chosen)
        assert (luminance(style(page, "body", "backgroundColor")) < 0.5) == dark
    page.reload()
    assert luminance(style(page, "body", "backgroundColor")) < 0.5
    assert page.input_value("#theme") == "dark"
    assert wrong == []
    page.close()


def test_numbers_unfold_sort_and_are_saved(
    browser: "Browser", address: str, tmp_path: Path
) -> None:
    file = report.HERE / "results" / "crossover.csv"
    page, wrong = visit(browser, f"{address}#numbers-crossover", 1400, "light")
    table = "#numbers-crossover table"
    page.wait_for_selector(table)
    lines = file.read_text().splitlines()
    assert page.eval_on_selector(table, "t => t.rows.length") == len(lines)
    head = lines[0].split(",")
    assert page.eval_on_selector_all(f"{table} th", "e => e.map(c => c.textContent)") == head
    place = head.index("effect") if "effect" in head else head.index("low")
    button = page.locator(f"{table} th button").nth(place)
    numbers = f"t => [...t.tBodies[0].rows].map(r => r.cells[{place}].textContent)"
    before = page.eval_on_selector(table, numbers)
    for down in (False, True):
        button.click()
        column = [float(cell) for cell in page.eval_on_selector(table, numbers) if cell]
        assert column == sorted(column, reverse=down)
        assert len(column) == sum(bool(cell) for cell in before) > 2
    with page.expect_download() as download:
        page.click("#numbers-crossover a.csv")
    download.value.save_as(tmp_path / "saved.csv")
    assert (tmp_path / "saved.csv").read_bytes() == file.read_bytes()
    assert wrong == []
    page.close()


def test_effects_are_found_by_their_words(browser: "Browser", address: str) -> None:
    page, wrong = visit(browser, address, 1400, "light")
    words = "table.filtered tbody tr:not([hidden])"
    every = page.locator(words).all_text_contents()
    page.fill("input[type=search]", "THREE  clean")
    shown = page.locator(words).all_text_contents()
    assert shown == [text for text in every if "three" in text and "clean" in text]
    assert 0 < len(shown) < len(every)
    page.fill("input[type=search]", "")
    assert page.locator(words).all_text_contents() == every
    assert wrong == []
    page.close()
