"""Letters that the figures' font lacks, in whose place it draws boxes: they are told of in one line."""

import sys
import unicodedata
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.figure import Figure
from matplotlib.text import Text

MOST = 5
"""Names that the line tells."""


@cache
def _lacks(character: str, family: str) -> bool:
    from matplotlib.font_manager import findfont, get_font

    return not character.isspace() and not get_font(findfont(family)).get_char_index(ord(character))


def boxed(figure: Figure, family: str) -> set[str]:
    """The texts of a figure with letters that the font of this family lacks."""
    texts = {item.get_text() for item in figure.findobj(Text)}
    return {text for text in texts if any(_lacks(letter, family) for letter in text)}


@contextmanager
def quiet() -> Iterator[None]:
    """Without matplotlib's own warnings, one for each letter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def remark(texts: Collection[str], family: str) -> str:
    """The line about boxed texts; "" where there is none."""
    if not texts:
        return ""
    lacking = {letter for text in texts for letter in text if _lacks(letter, family)}
    scripts = sorted({unicodedata.name(letter, "unnamed").split()[0].title() for letter in lacking})
    names = sorted(texts)
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return (
        f"boxes stand for letters that the figures' font, {family}, lacks ({', '.join(scripts)}) in "
        f"{', '.join(map(repr, names[:MOST]))}{more}: name languages and texts in Latin, Greek or Cyrillic letters, "
        "as by --corpus NAME=FILE; the numbers (.csv) have the names as they are"
    )


def tell(program: str, texts: Collection[str], family: str) -> None:
    """Write the line to stderr, if there is one."""
    if said := remark(texts, family):
        print(f"{program}: {said}", file=sys.stderr)
