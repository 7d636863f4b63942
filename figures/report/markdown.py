"""Markdown to the HTML of a report: headings in its outline, images inside, no link to another file."""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from markdown_it import MarkdownIt
from markdown_it.token import Token


class Resolve(Protocol):
    """Where in the report that is which a page links to and shows."""

    def __call__(self, target: str) -> str | None:
        """Of a link, None where the report has none."""

    def image(self, source: str) -> str:
        """Of an image."""


BOX = '<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
"""Around what may be wider than the page."""


class Heading(NamedTuple):
    """Its level in the report, its id there, and its words."""

    level: int
    id: str
    title: str


class Section(NamedTuple):
    """A part of the report, and its headings in their order."""

    html: str
    headings: list[Heading]


def parse(text: str) -> list[Token]:
    """CommonMark with tables; HTML is text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)


def page(text: str, name: str, resolve: Resolve) -> Section:
    """A page as a section of the report, its headings one level down, with ids that begin with its name."""
    tokens = parse(text)
    headings = _outline(tokens, name)
    return Section(_html(tokens, resolve, name, {heading.id for heading in headings}), headings)


def targets(text: str) -> Iterator[str]:
    """Of its links and images, in their order."""
    for token in parse(text):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                yield str(target)


def tables(text: str, heading: str, resolve: Resolve) -> str:
    """Those below a heading of level 2, up to the next."""
    tokens = parse(text)
    marks = [i for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag <= "h2"]
    chosen: list[Token] = []
    for start, end in zip(marks, [*marks[1:], len(tokens)], strict=True):
        if tokens[start + 1].content == heading:
            chosen += _tables(tokens[start:end])
    return _html(chosen, resolve) if chosen else ""


def column(text: str, name: str) -> list[str]:
    """The cells of the columns of this name in the tables of a page, without their marks."""
    entries: list[str] = []
    rows = _rows(parse(text))
    head: list[str] = []
    for is_head, cells in rows:
        if is_head:
            head = cells
        elif name in head:
            entries.append(cells[head.index(name)])
    return entries


def slug(title: str) -> str:
    """Letters, digits and single dashes."""
    return re.sub(r"[\W_]+", "-", title.lower()).strip("-")


def _outline(tokens: Sequence[Token], name: str) -> list[Heading]:
    """Shift the headings, and give each its id: the page's name, -- and its words."""
    headings: list[Heading] = []
    for i, token in enumerate(tokens):
        if token.type not in ("heading_open", "heading_close"):
            continue
        level = min(int(token.tag[1:]) + 1, 6)
        token.tag = f"h{level}"
        if token.type == "heading_close":
            continue
        title = _words(tokens[i + 1])
        place = base = f"{name}--{slug(title)}" if level > 2 else name
        taken = {heading.id for heading in headings}
        copy = 1
        while place in taken:
            copy += 1
            place = f"{base}-{copy}"
        token.attrSet("id", place)
        headings.append(Heading(level, place, title))
    return headings


def _words(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if not child.nesting)


def _tables(tokens: Sequence[Token]) -> list[Token]:
    inside, chosen = False, []
    for token in tokens:
        inside |= token.type == "table_open"
        if inside:
            chosen.append(token)
        inside &= token.type != "table_close"
    return chosen


def _rows(tokens: Sequence[Token]) -> Iterator[tuple[bool, list[str]]]:
    cells: list[str] = []
    head = False
    for before, token in pairwise(tokens):
        if token.type == "tr_open":
            cells = []
        elif before.type in ("th_open", "td_open"):
            head = before.type == "th_open"
            cells.append(_words(token))
        elif token.type == "tr_close":
            yield head, cells


def _html(
    tokens: Sequence[Token], resolve: Resolve, name: str = "", ids: Collection[str] = ()
) -> str:
    for token in tokens:
        if token.children:
            token.children = list(_resolved(token.children, resolve, name, ids))
    renderer = MarkdownIt("commonmark")
    html: str = renderer.renderer.render(_boxed(_figures(tokens)), renderer.options, {})
    return html


def _resolved(
    children: Sequence[Token], resolve: Resolve, name: str, ids: Collection[str]
) -> Iterator[Token]:
    """With the targets of the report; a link that has none there is its text."""
    dropped: list[bool] = []
    for child in children:
        if child.type == "link_close" and dropped.pop():
            continue
        if child.type == "link_open":
            given = str(child.attrGet("href"))
            own = f"{name}--{given[1:]}"
            inside = f"#{own}" if own in ids else None
            target = inside if given.startswith("#") else resolve(given)
            dropped.append(target is None)
            if target is None:
                continue
            child.attrSet("href", target)
        elif child.type == "image":
            child.attrSet("src", resolve.image(str(child.attrGet("src"))))
        yield child


def _figures(tokens: Sequence[Token]) -> list[Token]:
    """An image that is a paragraph becomes a figure, and a paragraph in italics after it its caption."""
    captioned = list(tokens)
    for i in range(len(captioned) - 2):
        if captioned[i].type != "paragraph_open" or _types(captioned[i + 1]) != ["image"]:
            continue
        captioned[i].tag = captioned[i + 2].tag = "figure"
        after = _types(captioned[i + 4]) if i + 5 < len(captioned) else []
        whole = after[:1] == ["em_open"] and after.count("em_open") == 1 and after[-1] == "em_close"
        if whole and captioned[i + 3].type == "paragraph_open":
            captioned[i + 3].tag = captioned[i + 5].tag = "figcaption"
            captioned.insert(i + 5, captioned.pop(i + 2))
    return captioned


def _types(token: Token) -> list[str]:
    return [child.type for child in token.children or ()]


def _boxed(tokens: Sequence[Token]) -> list[Token]:
    """Tables inside boxes that scroll."""
    boxed: list[Token] = []
    for token in tokens:
        if token.type == "table_open":
            token.attrSet("class", "sortable")
            boxed.append(Token("html_block", "", 0, content=BOX.format(label="table")))
        boxed.append(token)
        if token.type == "table_close":
            boxed.append(Token("html_block", "", 0, content="</div>\n"))
    return boxed
