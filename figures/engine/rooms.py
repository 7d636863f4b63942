"""The rooms of figures and what they hold, found by looking: a study brings its own, and no list names it.

A room is a package in figures. Its PLACE orders it among the others, and a study's CALLED says what messages call it.
A figure is a module with NAME, DESCRIPTION, table(run) and draw(table), and table_of(config) too where a run's
configuration is all that it needs. A study's page is its module `page`, with TABLES, which describes its tables by
name, and FIGURES, names of figures with their captions; tables(run) -> DataFrames by name; page(run, tables, figures)
-> Markdown. Nothing is imported to list them but the rooms themselves.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import figures as package

WITHOUT_STUDY = ("engine", "report", "sweep")
LAST = 1000
NAME = re.compile(r'^NAME = "(.+)"$', re.MULTILINE)


def places() -> dict[str, Path]:
    """The folders of the rooms by name, in their order."""
    return _places(tuple(package.__path__))


@cache
def _places(folders: tuple[str, ...]) -> dict[str, Path]:
    rooms = {
        path.parent.name: path.parent for at in folders for path in Path(at).glob("*/__init__.py")
    }
    order = {name: getattr(import_module(f"figures.{name}"), "PLACE", LAST) for name in rooms}
    return {name: rooms[name] for name in sorted(rooms, key=lambda name: (order[name], name))}


def figures() -> dict[str, str]:
    """The module of each figure by its name."""
    return _figures(tuple(package.__path__))


@cache
def _figures(folders: tuple[str, ...]) -> dict[str, str]:
    modules = {}
    for room, folder in _places(folders).items():
        for path in sorted(folder.glob("*.py")):
            source = path.read_text()
            if "\ndef draw(" in source and (named := NAME.search(source)):
                modules[named[1]] = f"figures.{room}.{path.stem}"
    return modules


def pages() -> dict[str, str]:
    """The module of each study's page, by the study's name."""
    return {
        room: f"figures.{room}.page"
        for room, folder in places().items()
        if room not in WITHOUT_STUDY and (folder / "page.py").is_file()
    }


def called(study: str) -> str:
    """What messages call the runs of a study."""
    return str(import_module(f"figures.{study}").CALLED)
