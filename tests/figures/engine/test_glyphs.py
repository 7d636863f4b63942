"""Names in scripts that the figures' font lacks: no box without a word, and one line for all."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from figures.engine import glyphs, page, render, style
from tests.figures.fake_dynamics import Numbers, small, write

FAMILY = style.RC["font.family"]
HINDI, CHINESE = "\u0939\u093f\u0928\u094d\u0926\u0940", "\u4e2d\u6587"


def drawn(*texts: str) -> Figure:
    figure = style.figure(2, 2)
    axes = figure.subplots()
    axes.set_xticks(range(len(texts)), texts)
    return figure


def test_texts_with_letters_that_the_font_lacks_are_known() -> None:
    there = (
        "English",
        "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac",
        "\u0420\u0443\u0441",
        "\u03c1 \u2265 0.5",
        "a\nb",
    )
    with style.use():
        assert glyphs.boxed(drawn(*there, HINDI, f"in {CHINESE}"), FAMILY) == {
            HINDI,
            f"in {CHINESE}",
        }


def test_the_line_names_texts_scripts_and_the_remedy() -> None:
    said = glyphs.remark({HINDI, f"in {CHINESE}"}, FAMILY)
    assert "\n" not in said
    for part in (HINDI, CHINESE, "Cjk, Devanagari", FAMILY, "--corpus NAME=FILE"):
        assert part in said
    assert glyphs.remark(set(), FAMILY) == ""
    long_remark = glyphs.remark({f"{CHINESE}{number}" for number in range(9)}, FAMILY)
    assert "and 4 more" in long_remark


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = small(languages=("en", HINDI), tasks=("topics",), controls=(), seeds=(0, 1))
    return write(tmp_path_factory.mktemp("named") / "run", named, Numbers())


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("figures.render", lambda run, out: render.main(["--from", run, "--out", out])),
        ("figures.page", lambda run, out: page.main(["dynamics", "--from", run, "--out", out])),
    ],
)
def test_a_run_is_told_once_of_all_its_figures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, command
) -> None:
    assert command(str(run), str(tmp_path / "out")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "boxes" in line]
    (said,) = lines
    assert said.startswith(f"{program}: boxes stand for letters")
    assert HINDI in said
    assert len(list((tmp_path / "out").glob("*.png"))) >= 2
