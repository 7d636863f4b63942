"""The report as HTML: verdicts, the studies' pages, figures without a page, the theory's statements."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from figures.engine import rooms
from figures.report import files
from figures.report.files import Folder, ordered
from figures.report.markdown import Heading, Section, column, page, slug, tables, targets
from figures.report.numbers import Links, anchors, details, page_id
from figures.report.verdicts import effects, tally
from sim.runs.errors import UserError

HERE = Path(__file__).parent
TITLE = "Cognitive reserve: what was found"
ANSWERS = ("What became of the claims", "What the controls say")
"""The sections of a page whose tables are shown among the verdicts."""
THEOREMS = "theorems"


class Source(NamedTuple):
    """A folder, and where what it holds is in the report."""

    folder: Folder
    links: Links


def document(paths: Sequence[Path], theorems: Path) -> str:
    """The report of folders of pages and figures, and of the table of the theory's statements.

    Raises UserError where one holds none, and where a file is missing or unreadable.
    """
    folders = [files.read(path) for path in dict.fromkeys(paths)]
    sources = [
        Source(folder, Links(folder, ids))
        for folder, ids in zip(folders, anchors(folders), strict=True)
    ]
    pages = _pages(sources)
    shown: set[str] = set()
    studies = {name: _study(name, source, shown) for name, source in pages.items()}
    statements = page(files.text(theorems), THEOREMS, Links(Folder(theorems.parent, {}, {}), {}))
    sections = [
        _verdicts(pages, studies, sources, files.text(theorems)),
        *studies.values(),
        *_others(sources, shown),
        statements,
    ]
    template = Template(files.text(HERE / "report.html"))
    return template.substitute(
        title=escape(TITLE),
        style=files.text(HERE / "report.css"),
        script=files.text(HERE / "report.js"),
        contents=_contents([heading for section in sections for heading in section.headings]),
        body="\n".join(f"<section>\n{section.html}</section>" for section in sections),
    )


def _pages(sources: Sequence[Source]) -> dict[str, Source]:
    """The source of every page, in the order of the report."""
    by_page: dict[str, Source] = {}
    for source in sources:
        for name in source.folder.pages:
            if name in by_page:
                folders = f"{by_page[name].folder.path} and {source.folder.path}"
                raise UserError(f"{folders} both have a page {name}.md: leave one out of --from")
            by_page[name] = source
    return {name: by_page[name] for name in ordered(by_page)}


def _study(name: str, source: Source, shown: set[str]) -> Section:
    """A page, and below it the numbers that it links to and none before it did, which are added to those shown."""
    text = source.folder.pages[name]
    place = page_id(name)
    html, headings = page(text, place, source.links)
    if [heading.id for heading in headings[:1]] != [place]:
        raise UserError(f"{source.folder.path / name}.md has no title: {files.REMEDY}")
    linked = dict.fromkeys(map(source.links.numbers, targets(text)))
    own = [key for key in linked if key is not None and source.links.ids[key] not in shown]
    if own:
        heading = Heading(3, f"{place}--numbers-and-provenance-", "Numbers and provenance")
        headings = [*headings, heading]
        html += _heading(heading) + "".join(
            details(source.folder.numbers[key], source.links.ids[key]) for key in own
        )
    shown |= {source.links.ids[key] for key in own}
    return Section(html, headings)


def _verdicts(
    pages: dict[str, Source],
    studies: dict[str, Section],
    sources: Sequence[Source],
    theorems: str,
) -> Section:
    """The claims of every study, all their effects, and a count of the statements' verdicts."""
    headings = [Heading(2, "verdicts", "Verdicts")]
    parts = [_heading(headings[0])]

    def add(place: str, title: str, html: str) -> None:
        headings.append(Heading(3, f"verdicts--{place}", title))
        parts.append(_heading(headings[-1]) + html)

    for name, source in pages.items():
        text = source.folder.pages[name]
        if fragment := "".join(tables(text, section, source.links) for section in ANSWERS):
            title = studies[name].headings[0].title
            add(slug(name), title, f'{fragment}<p><a href="#{page_id(name)}">The study</a></p>\n')
    claims = {study: numbers for s in sources for study, numbers in s.folder.claims.items()}
    if fragment := effects({study: claims[study] for study in ordered(claims)}):
        add("effects-", "Every effect", fragment)
    graded = [cell.split("(")[0].split(" at ")[0].strip() for cell in column(theorems, "verdict")]
    said = f"{len(graded)} statements: {tally(graded)}."
    add("theorems-", "Theory", f'<p>{said} <a href="#{THEOREMS}">The statements</a></p>\n')
    return Section("".join(parts), headings)


def _others(sources: Sequence[Source], shown: set[str]) -> list[Section]:
    """The figures and tables that no page shows, if any; figures in the order of figures.render."""
    headings = [Heading(2, "figures", "Theory, simulation and other figures")]
    parts = [_heading(headings[0])]
    order = {name: place for place, name in enumerate(rooms.figures())}
    for source in sources:
        rest = [name for name, place in source.links.ids.items() if place not in shown]
        for name in sorted(rest, key=lambda name: (order.get(name, len(order)), name)):
            numbers, place = source.folder.numbers[name], source.links.ids[name]
            headings.append(Heading(3, f"figures--{place}", name.replace("-", " ").capitalize()))
            said = escape(numbers.description)
            image = ""
            if numbers.image is not None:
                uri = source.links.image(f"{name}.png")
                image = f'<figure><img src="{uri}" alt="{said}" /><figcaption>{said}</figcaption></figure>\n'
            parts.append(_heading(headings[-1]) + image + details(numbers, place))
    return [Section("".join(parts), headings)] if len(headings) > 1 else []


def _heading(heading: Heading) -> str:
    return f'<h{heading.level} id="{heading.id}">{escape(heading.title)}</h{heading.level}>\n'


def _contents(headings: Sequence[Heading]) -> str:
    """Of levels 2 and 3, as a list in a list."""
    lines: list[str] = []
    for i, (level, place, title) in enumerate(headings):
        if level > 3:
            continue
        after = next((heading.level for heading in headings[i + 1 :] if heading.level < 4), 2)
        end = {(2, 3): "\n<ul>\n", (3, 2): "</li>\n</ul></li>\n"}.get((level, after), "</li>\n")
        lines.append(f'<li><a href="#{place}">{escape(title)}</a>{end}')
    return f"<ul>\n{''.join(lines)}</ul>\n"
