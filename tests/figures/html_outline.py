"""What a test asks of an HTML file: its elements with their attributes and text, by Python's own parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, *tags: str) -> list["Element"]:
        """Those inside with one of these tags, or any, in their order."""
        elements = []
        for child in self.children:
            elements += [child] if not tags or child.tag in tags else []
            elements += child.all(*tags)
        return elements

    def at(self, place: str) -> "Element":
        """The one with an id."""
        (target,) = [element for element in self.all() if element.attributes.get("id") == place]
        return target


class _Parser(HTMLParser):
    """Every element that is opened has to be closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.words.append(data)


def parse(text: str) -> Element:
    """The root of a document. Asserts that it is well formed."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    (root,) = parser.open
    return root
