"""What studies can measure on a user's own text: tasks that need annotation are left out where there is none."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neural.text import labelled, ner, treebank
from neural.text.corpora import NotThere
from neural.text.treebank import PARTS

FIND: dict[str, Callable[[str, str, Path], Path]] = {
    "parts-of-speech": treebank.find,
    "relations": treebank.find,
    "arcs": treebank.find,
    "entities": ner.find,
    "topics": labelled.find_sib200,
}
"""Of each task that needs annotation, what finds the file of a language's part. Raises NotThere."""


def lacking(task: str, languages: Sequence[str], data_dir: Path | None) -> str:
    """Why a task cannot be measured in these languages: what is annotated for it is not there; "" where it can."""
    if task not in FIND:
        return ""
    if data_dir is None:
        return "it needs annotation: give its folder by --data-dir"
    try:
        for language in languages:
            for part in PARTS:
                FIND[task](language, part, data_dir)
    except NotThere as error:
        return str(error)
    return ""


def aligned_sources(
    place: Callable[[tuple[str, ...]], Any], wanted: int, given: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """The first of these sources of text with so many sentences that are the same in all languages; () for none.

    place(sources) is a study's neural.study.pretrained.Pretrained with these.
    """
    for sources in given:
        try:
            place(sources).translations(wanted)
        except NotThere:
            continue
        return sources
    return ()


def no_translations(wanted: int) -> str:
    """Why what needs aligned sentences is left out."""
    return f"fewer than {wanted} sentences are the same in all languages: give text with them by --aligned"


def left_out(program: str, what: str, why: str) -> None:
    """Say on stderr what a study will not measure."""
    print(f"{program}: {what} left out: {why}", file=sys.stderr)
