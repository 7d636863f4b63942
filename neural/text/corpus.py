"""A corpus: named languages, each with documents for train, valid and test; and `python -m neural.corpus`.

A language of a corpus is any text with a name: "en" is all English text of the sources given, "en@bible" that of one,
so that two domains are two languages where a study wants them to be. What can be given as --corpus:

    synthetic                 invented languages s1, s2, ...; with options synthetic:shared=0.3,sentences=50000
    bible, bible+gutenberg    corpora known by name: of the package, below --data-dir, or fetched
    FILE                      its language is its name up to the first dot: en.txt holds en
    FOLDER                    one file or folder a language, as neural.text.sources says
    el=PATH, el=hf:NAME       a file, a folder or a dataset as the text of one language
    hf:NAME, hf:NAME:CONFIG   a Hugging Face dataset; its language is CONFIG, or NAME

No passage of valid or test stands in the training text of its language, and a passage that is aligned between
languages is in the same split in all of them.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from neural.text.corpora import ANNOTATED, CORPORA, LAPTOP, PACKAGED, NotThere, folder_of
from neural.text.documents import SPLITS, Document, Splits, without_repeats
from neural.text.sources import Files, Folder, Hub, Source, Synthetic
from neural.text.synthetic import Grammar
from sim.runs.command import Parser, ended
from sim.runs.errors import UserError
from sim.runs.files import regular

HELD_OUT = 0.05
"""Of the documents of a text that comes undivided: the fraction for valid, and that for test."""
HUB_BYTES = 2**28
"""UTF-8 bytes read of a Hugging Face dataset."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents by language and split."""

    texts: Mapping[str, Splits]

    @property
    def languages(self) -> tuple[str, ...]:
        """Names, in the order in which they were asked for."""
        return tuple(self.texts)

    def documents(self, language: str, split: str) -> Sequence[Document]:
        """The documents of one split. Raises UserError for a language that is not there."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: choose from {', '.join(SPLITS)}")
        if language not in self.texts:
            raise UserError(
                f"unknown language {language!r}: this corpus has {', '.join(self.texts)}"
            )
        return self.texts[language][split]

    def aligned(self, split: str, *languages: str) -> dict[str, tuple[str, ...]]:
        """Passages by id in each of the languages, those that all of them have; in the order of the first."""
        passages = [
            {
                key: text
                for item in self.documents(language, split)
                for key, text in zip(item.ids, item.passages, strict=bool(item.ids))
            }
            for language in languages
        ]
        shared = set(passages[0]).intersection(*passages[1:])
        return {key: tuple(side[key] for side in passages) for key in passages[0] if key in shared}

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the text of each language: its documents, in order, by split."""
        return {language: _fingerprint(splits) for language, splits in self.texts.items()}

    @property
    def fingerprint(self) -> str:
        """sha256 of all languages and their names, whatever their order."""
        lines = sorted(f"{language} {digest}\n" for language, digest in self.fingerprints.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _fingerprint(splits: Splits) -> str:
    digest = hashlib.sha256()
    for name in SPLITS:
        for item in splits[name]:
            fields_ = (name, item.name, item.text, *item.ids)
            encoded = [field.encode() for field in fields_]
            digest.update(" ".join(str(len(field)) for field in encoded).encode() + b"\n")
            digest.update(b"".join(encoded))
    return digest.hexdigest()


def load(
    specs: Sequence[str],
    languages: Sequence[str] | None = None,
    *,
    data_dir: Path | None = None,
    held_out: float = HELD_OUT,
    hub_bytes: int = HUB_BYTES,
) -> Corpus:
    """The corpus of these sources, with the languages asked for, or all that the sources have.

    Raises UserError for an unknown source or language, and for text that cannot be read or divided.
    """
    sources = _all_sources(specs, data_dir, held_out, hub_bytes)
    _distinct(sources)
    if languages is None:
        languages = list(dict.fromkeys(name for source in sources for name in source.languages()))
    return Corpus({language: _read(language, sources) for language in languages})


def spoken(
    specs: Sequence[str], wanted: Sequence[str], *, data_dir: Path | None = None
) -> tuple[str, ...]:
    """The languages wanted, if these sources have all of them, or else all that they have. Raises as `load`."""
    sources = _all_sources(specs, data_dir, HELD_OUT, HUB_BYTES)
    if all(any(source.has(name) for source in sources) for name in wanted):
        return tuple(wanted)
    return tuple(dict.fromkeys(name for source in sources for name in source.languages()))


def _all_sources(
    specs: Sequence[str], data_dir: Path | None, held_out: float, hub_bytes: int
) -> list[Source]:
    """Those that are named; UserError for none."""
    if not specs:
        raise UserError("no source of text is named: a corpus has at least one")
    return [source for spec in specs for source in _sources(spec, data_dir, held_out, hub_bytes)]


def _read(language: str, sources: Sequence[Source]) -> Splits:
    name, _, only = language.partition("@")
    chosen = [source for source in sources if source.has(name) and only in ("", source.name)]
    if not chosen:
        known = dict.fromkeys(name for source in sources for name in source.languages())
        raise NotThere(
            f"unknown language {language!r}: {', '.join(source.name for source in sources)} has {', '.join(known)}; "
            "LANGUAGE@SOURCE takes the text of one source"
        )
    joined: dict[str, list[Document]] = {part: [] for part in SPLITS}
    for source in chosen:
        for part, documents in source.read(name).items():
            joined[part] += [item.within(source.name) for item in documents]
    return without_repeats(joined, language)


def _sources(spec: str, data_dir: Path | None, held_out: float, hub_bytes: int) -> list[Source]:
    language, rest = _labelled(spec)
    if rest.startswith("hf:"):
        dataset, _, config = rest.removeprefix("hf:").partition(":")
        if not dataset:
            raise UserError(
                f"--corpus {spec}: give the name of a dataset, hf:NAME or hf:NAME:CONFIG"
            )
        name = dataset.rpartition("/")[2]
        return [Hub(name, dataset, config or None, language or config or name, held_out, hub_bytes)]
    kind, _, options = rest.partition(":")
    if kind == "synthetic" and not language:
        return [Synthetic(_grammar(options))]
    names = rest.split("+")
    if not language and all(name in CORPORA for name in names):
        return [
            Folder(
                name,
                folder_of(name, data_dir),
                held_out,
                aligned=CORPORA[name].aligned,
                sentences=CORPORA[name].sentences,
            )
            for name in names
        ]
    path = regular(Path(rest))
    if not path.exists():
        raise UserError(
            f"--corpus {spec}: no such file or folder, and no known corpus: "
            f"give a path, synthetic, hf:NAME or some of {', '.join(CORPORA)} joined by +"
        )
    stem = path.resolve().name.split(".")[0]
    if language or path.is_file():
        return [Files(stem, language or stem, path, held_out)]
    folder = Folder(stem, path, held_out)
    if not folder.languages():
        raise UserError(f"{path} holds no text: give a folder with .txt, .gz or .xz files")
    return [folder]


def _labelled(spec: str) -> tuple[str, str]:
    """("el", "PATH") of "el=PATH", ("", spec) of anything else."""
    label = re.fullmatch(r"(\w[\w-]*)=(.+)", spec)
    return (label[1], label[2]) if label else ("", spec)


def _grammar(options: str) -> Grammar:
    types = {field.name: field.type for field in fields(Grammar)}
    values: dict[str, Any] = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        try:
            values[name] = float(value) if types[name] is float else int(value)
        except (KeyError, ValueError):
            raise UserError(
                f"synthetic option {option!r}: give NAME=NUMBER with a NAME of {', '.join(types)}"
            ) from None
    return replace(Grammar(), **values)


def _distinct(sources: Sequence[Source]) -> None:
    seen: set[tuple[str, str]] = set()
    for source in sources:
        given = {(source.name, language) for language in source.languages()}
        if twice := seen & given:
            name, language = min(twice)
            raise UserError(f"{language}@{name} is given twice: rename one of the sources")
        seen |= given


def parser() -> Parser:
    """Of the command line."""
    made = Parser(prog="python -m neural.corpus", description="The corpora known by name.")
    commands = made.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is, and where it can be had")
    fetching = commands.add_parser("fetch", help="download a corpus from its origin")
    fetching.add_argument(
        "name",
        metavar="NAME",
        help="a corpus of `list`, or laptop: what the studies' presets laptop read and can be had",
    )
    fetching.add_argument(
        "--data-dir", type=Path, help="where to put it (default: the user's cache)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return ended("neural.corpus", partial(_main, parser().parse_args(arguments)))


def _main(arguments: argparse.Namespace) -> int:
    from neural.text.fetch import fetch

    if arguments.command == "list":
        print("\n".join(_listed()))
    elif arguments.name == "laptop":
        return _fetch_laptop(arguments.data_dir)
    else:
        print(fetch(arguments.name, arguments.data_dir))
    return 0


def _listed() -> Iterator[str]:
    """A line a corpus."""
    for name, corpus in (CORPORA | ANNOTATED).items():
        yield f"{name:12} {corpus.what}; {corpus.licence}; {_how(name)}; {corpus.origin}"


def _how(name: str) -> str:
    """Where a corpus can be had."""
    from neural.text.origins import ORIGINS

    if name in PACKAGED:
        return "in the package"
    return "can be fetched" if name in ORIGINS else "not distributed"


def _fetch_laptop(data_dir: Path | None) -> int:
    """Fetch what there is of LAPTOP and name the rest; the exit code is 2 if what could be had was not."""
    from neural.text.fetch import fetch_all

    lacking = [name for name in LAPTOP if _how(name) == "not distributed"]
    code = 0
    for name, result in fetch_all([name for name in LAPTOP if name not in lacking], data_dir):
        if isinstance(result, UserError):
            print(f"neural.corpus: {name}: {result}", file=sys.stderr)
            code = 2
        else:
            print(result)
    for name in lacking:
        print(f"{name}: not distributed; {CORPORA[name].origin}")
    return code
