"""The corpora known by name: what they are and where they come from.

Each is a folder of the layout that neural.text.sources describes, below --data-dir, in the package, or in the user's
cache. Only a corpus that can be made again, byte for byte, from files that do not change can be fetched.
"""

from dataclasses import dataclass
from pathlib import Path

from sim.runs.errors import UserError


class NotThere(UserError):
    """A corpus, treebank or labelled set, or a language of it, that is sound but not there."""


@dataclass(frozen=True)
class Named:
    """A corpus known by name. aligned: line n of a split is the same passage in every language.

    sentences: each line is a document of its own.
    """

    what: str
    licence: str
    origin: str
    aligned: bool = False
    sentences: bool = False


CORPORA = {
    "bible": Named(
        "verse-aligned Bibles: en, en_asv (a second English text), el, de, fr, es, fi, zh",
        "public domain",
        "SWORD modules of https://crosswire.org/sword/modules/, aligned by verse",
    ),
    "gutenberg": Named(
        "books: en, el, de, fr, es, fi",
        "public domain in the USA",
        "https://www.gutenberg.org, cleaned by hand",
    ),
    "msdocs": Named(
        "product documentation: en, el, de, fr, es, fi, zh, ar, hi, tr",
        "CC BY 4.0",
        "https://github.com/MicrosoftDocs, pages of several commits",
    ),
    "gnomedocs": Named(
        "desktop help, line-aligned: en, el, de, fr, es, fi, zh",
        "CC BY-SA 3.0 / 4.0",
        "https://github.com/GNOME/gnome-user-docs and two more, from .po files",
        aligned=True,
    ),
    "mozilla_www": Named(
        "web site messages, line-aligned: en, el, de, fr, es, fi, zh, ar, hi, tr",
        "MPL 2.0",
        "https://github.com/mozilla-l10n/www-l10n, from .ftl files",
        aligned=True,
    ),
    "commonvoice": Named(
        "sentences for reading aloud: en, el, de, fr, es, fi, zh, ar, hi, tr",
        "CC0 1.0",
        "https://github.com/common-voice/common-voice, split at random",
        sentences=True,
    ),
    "ntrex": Named(
        "news, line-aligned, test only: ar, de, el, en, es, fi, fr, hi, sw, tr, zh",
        "CC BY-SA 4.0",
        "https://github.com/MicrosoftTranslator/NTREX",
        aligned=True,
    ),
    "tatoeba": Named(
        "short sentence pairs with English, test only: ar, de, el, es, fi, fr, hi, sw, tr, zh",
        "CC BY 2.0 FR",
        "https://github.com/facebookresearch/LASER",
    ),
    "wikitext2": Named(
        "tokenised English Wikipedia, valid and test only",
        "CC BY-SA 3.0",
        "https://github.com/pytorch/examples",
    ),
}


ANNOTATED = {
    "ud": Named(
        "Universal Dependencies, a folder a treebank, as released: en, el, de, fr, es, fi, zh, tr",
        "CC BY-SA 4.0",
        "https://github.com/UniversalDependencies",
    ),
    "uner": Named(
        "named entities, as released: en, de, zh",
        "CC BY-SA 3.0 / 4.0",
        "https://github.com/UniversalNER",
    ),
    "sib200": Named(
        "sentences with topics, the same in every language: ar, de, el, en, es, fi, fr, hi, sw, tr, zh",
        "CC BY-SA 4.0",
        "https://github.com/dadelani/sib-200",
    ),
    "xquad": Named(
        "questions with answers, the same in every language: ar, de, el, en, es, hi, tr, zh",
        "CC BY-SA 4.0",
        "https://github.com/google-deepmind/xquad",
    ),
}
"""What is no text to train on: below --data-dir in ud, ner/uner, topic/sib200 and qa/xquad."""


PACKAGED = ("bible", "commonvoice")
"""Those that come with the package, their licence beside them."""

LAPTOP = (
    *("bible", "commonvoice", "gutenberg", "msdocs", "mozilla_www", "ntrex"),
    *("ud", "uner", "sib200", "xquad"),
)
"""What the studies' presets `laptop` read."""


def packaged(name: str) -> Path:
    """The folder of a corpus that comes with the package."""
    return Path(__file__).with_name("packaged") / name


def cache_folder() -> Path:
    """Where fetched text and token ids are kept: the user's cache."""
    import pooch

    return Path(pooch.os_cache("cognitive-reserve"))


def folder_of(name: str, data_dir: Path | None) -> Path:
    """The folder of a named corpus below data_dir, in the package or in the cache. Raises NotThere if it is in none."""
    if data_dir is not None and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder: check the path")
    places = [*([data_dir / "text", data_dir] if data_dir else []), cache_folder() / "text"]
    if name in PACKAGED:
        places.insert(-1, packaged(name).parent)
    for place in places:
        if (place / name).is_dir():
            return place / name
    raise NotThere(
        f"corpus {name} is not below {' or '.join(map(str, places))}: give --data-dir the folder that holds it, "
        "or see `python -m neural.corpus list` for what can be fetched"
    )
