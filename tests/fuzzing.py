"""What the fuzz test puts into commands: their options, read off the parsers, values for each, and damages of files."""

import argparse
import dataclasses
import importlib
import inspect
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.places import ROOT

PACKAGES = ("theory", "sim", "neural", "figures")
INTERNAL = ("theory.claim_file.child",)
"""Started by commands, never by people."""


class Option(NamedTuple):
    """words: those that stand before a value, the option's name or, of what is given by place, none."""

    words: tuple[str, ...]
    kind: str
    """int, float, bool or str, as the parser says."""


def commands() -> list[str]:
    """Every module that is a command, by what `python -m` calls it."""
    names = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if '\nif __name__ == "__main__":' in path.read_text():
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                names.append(name.removesuffix(".__main__"))
    return [name for name in names if name not in INTERNAL]


def module(command: str) -> Any:
    """The module that a command's main is of."""
    folder = ROOT / command.replace(".", "/")
    entry = importlib.import_module(f"{command}.__main__" if folder.is_dir() else command)
    return importlib.import_module(entry.main.__module__)


def options(command: str) -> dict[tuple[str, ...], list[Option]]:
    """The options of a command, by the words that choose a command of it; read off its parser."""
    its = module(command)
    if hasattr(its, "Arguments"):
        by_place = "positional=True" in inspect.getsource(its.main)
        return {(): [_of_field(field, by_place) for field in dataclasses.fields(its.Arguments)]}
    parser = its.parser() if hasattr(its, "parser") else its._parser()
    return dict(_of_parser(parser, ()))


def _of_field(field: "dataclasses.Field[Any]", by_place: bool) -> Option:
    kind = str(field.type)
    if by_place and field.default is dataclasses.MISSING:
        return Option((), "str")
    name = f"--{field.name.replace('_', '-')}"
    if "bool" in kind:
        return Option((name,), "bool")
    numbers = () if "Literal" in kind else ("float", "int")
    return Option((name,), next((number for number in numbers if number in kind), "str"))


def _of_parser(
    parser: argparse.ArgumentParser, chosen: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[Option]]]:
    own_options = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _of_parser(below, (*chosen, name))
        elif action.dest != "help":
            kind = (
                "bool" if action.nargs == 0 else "int" if action.type not in (None, Path) else "str"
            )
            own_options.append(Option(tuple(action.option_strings[-1:]), kind))
    yield chosen, own_options


WHOLE = (
    *("0", "-1", "1", "2", "3", "17", "1000", "+1", " 1", "1_0", "٣", "1.5", "1e3", "0x10", "1e400", "nan"),
    *(str(2**n + change) for n in (31, 32, 53, 63, 64) for change in (-1, 0)),
    *("9" * 20, "9" * 400, "-" + "9" * 20, "", "x", "None", "True", "--", "1 2", "1,2", "\udcff"),
)  # fmt: skip
NUMBERS = (
    *("0", "-0.0", "1", "-1", "0.5", "0.1", "1e-320", "1e308", "-1e308", "1e309", "inf", "-inf", "nan"),
    *(*WHOLE[6:16], "9" * 400, "0.1.2", "1/3", "", "x", "None", "٣.٥", "1e", "%", "1 2"),
)  # fmt: skip
WORDS = (
    *("", " ", "x", "X" * 300, "y" * 5000, ".", "..", "/", "../../etc", "/dev/null", "/dev/zero", "/proc/self/mem"),
    *("no/such/file.txt", "a b", "a\nb", "ä→😀", "\udcff", "--", "-1", "=", "a=b", ":", ",", "|", "@", "+", "*"),
    *("s1", "s1,s2", "s1:0.5,s2:0.5", "s1:1e999999999", "s1:nan", "s1:1/0", "s1 | s2", "s1@synthetic", "s99999999"),
    *("synthetic", "synthetic:sentences=99999999999", "synthetic:shared=nan", "synthetic:x=1", "hf:", "gutenberg"),
    *("0,1,2", "log", "0,99999999999999999999", "bytes", "bpe", "float32", "attention", "layer-99", "None"),
    *("s3://", "file://", "tcp://127.0.0.1:1", "127.0.0.1:1", "foo:99999", "png", "png,pdf,", "1e9", "digits", "none"),
)  # fmt: skip


def values(kind: str, seed: int, least: int = 30) -> list[str]:
    """Values for an option of a kind: the awkward ones, in an order by seed, and random ones."""
    rng = random.Random(seed)
    fixed = {"int": WHOLE, "float": NUMBERS, "str": WORDS, "bool": ("",)}[kind]
    chosen = rng.sample(fixed, len(fixed))
    letters = "aZ09 _-.,:/=+|@%\\'\"\t\u00e9\u4e2d\u200b"
    while kind != "bool" and len(chosen) < max(least, len(fixed) + 4):
        if kind == "str":
            chosen.append("".join(rng.choices(letters, k=rng.randint(1, 40))))
        else:
            chosen.append(f"{rng.uniform(-1, 1) * 10 ** rng.randint(0, 25):.{rng.randint(0, 6)}f}")
    return chosen


Damage = Callable[[Path, random.Random], None]


def _content(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    def damage(path: Path, rng: random.Random) -> None:
        path.write_bytes(change(path.read_bytes(), rng))

    return damage


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _huge(content: bytes, rng: random.Random) -> bytes:
    """Some numbers of a text replaced by large ones."""
    text = content.decode("utf-8", errors="surrogateescape")
    digits = [place for place, letter in enumerate(text) if letter.isdigit()]
    for place in sorted(rng.sample(digits, min(3, len(digits))), reverse=True):
        text = text[:place] + rng.choice(("9" * 30, "1e999", "-1", "9" * 5000)) + text[place + 1 :]
    return text.encode("utf-8", errors="surrogateescape")


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _gone(path: Path, rng: random.Random) -> None:
    path.unlink()


DAMAGES: dict[str, Damage] = {
    "empty": _content(lambda content, rng: b""),
    "cut": _content(lambda content, rng: content[: rng.randrange(max(len(content), 1))]),
    "cut at its end": _content(lambda content, rng: content[:-1]),
    "flipped": _content(_flipped),
    "flipped again": _content(_flipped),
    "doubled": _content(lambda content, rng: content + content),
    "deep": _content(lambda content, rng: b"[" * 100_000),
    "deep objects": _content(lambda content, rng: b'{"a":' * 100_000),
    "huge": _content(_huge),
    "other JSON": _content(lambda content, rng: rng.choice((b"3", b"null", b"[]", b"{}", b'"x"', b"[1, 2]"))),
    "random": _content(lambda content, rng: rng.randbytes(200)),
    "zip": _content(lambda content, rng: b"PK\x03\x04" + content[4:]),
    "pickle": _content(lambda content, rng: b"\x80\x04K\x01."),
    "UTF-16": _content(lambda content, rng: "label\ttext\n".encode("utf-16")),
    "folder": _folder,
    "pipe": _pipe,
    "gone": _gone,
}  # fmt: skip
