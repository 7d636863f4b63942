"""Downloads of named corpora and annotated sentences from their origins: `python -m neural.corpus fetch NAME`.

An origin is files of a repository. They are brought into the form of the other corpora (Unicode normal form C, no
control characters, white space folded, a passage a line) and the result is held against a pinned sha256
(fetched.sha256), so what is fetched is the corpus, byte for byte, or is refused. A download that broke off goes on
where it stopped.

The other corpora have no such origin: their text was cleaned, aligned or divided by hand or at random from files that
no longer stand together, so no address could give it.
"""

import hashlib
import json
import logging
import lzma
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from neural.corpora import ANNOTATED, CORPORA, cache_folder
from neural.text import lines, normalise
from sim.runs.errors import UserError

ATTEMPTS = 4
"""How often a connection that breaks is made again."""
CHUNK = 2**12
"""Bytes written at once; a connection that breaks loses less than this."""
RAW_FOLDER = ".origin"
"""Where downloads lie, below the half-made corpus."""
TIMEOUT = 30
"""Seconds without an answer after which a connection counts as broken."""


Form = Callable[[Sequence[Path]], bytes]


def table(columns: Sequence[Path]) -> bytes:
    """The lines of files side by side, normalised, without those that are empty in all of them."""
    rows = zip_longest(
        *([normalise(line) for line in lines(path)] for path in columns), fillvalue=""
    )
    return "".join("\t".join(row) + "\n" for row in rows if any(row)).encode()


def topics(files: Sequence[Path]) -> bytes:
    """The lines of one table without its head, its cells normalised."""
    (path,) = files
    rows = [map(normalise, line.split("\t")) for line in lines(path)[1:]]
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def paragraphs(files: Sequence[Path]) -> bytes:
    """Of one file in SQuAD's form a line a paragraph, each question with its one answer and where that starts."""
    (path,) = files
    found = []
    for document in json.loads(path.read_bytes())["data"]:
        for item in document["paragraphs"]:
            questions = [
                {
                    "id": one["id"],
                    "question": one["question"],
                    "answer": one["answers"][0]["text"],
                    "start": one["answers"][0]["answer_start"],
                }
                for one in item["qas"]
            ]
            row = {"context": item["context"], "qas": questions}
            found.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(found).encode()


@dataclass(frozen=True)
class Origin:
    """A file: the addresses that it is made of, the sha256 of the unpacked result, and how it is made."""

    file: str
    urls: tuple[str, ...]
    sha256: str
    form: Form = table


FOLDERS = {"sib200": "topic/sib200", "xquad": "qa/xquad"}
"""Where what is no text goes, below the folder of all; a corpus of text goes to text/NAME."""

PINS = {
    path: sha256
    for sha256, path in (
        line.split() for line in Path(__file__).with_name("fetched.sha256").read_text().splitlines()
    )
}
"""sha256 of every file that can be fetched, unpacked, by its path."""

RAW = "https://raw.githubusercontent.com"
NTREX = f"{RAW}/MicrosoftTranslator/NTREX"
NTREX_TEXT = f"{NTREX}/c9f006f2c132c932b83ccd7aaa6a35930dd9c370/NTREX-128/newstest2019"
NTREX_FILES = {
    "ar": "ref.arb",
    "de": "ref.deu",
    "el": "ref.ell",
    "en": "src.eng",
    "es": "ref.spa",
    "fi": "ref.fin",
    "fr": "ref.fra",
    "hi": "ref.hin",
    "sw": "ref.swa",
    "tr": "ref.tur",
    "zh": "ref.zho-CN",
}
NTREX_DOCUMENTS = f"{NTREX}/fa9e8c9e3bb875a39b0d3f36394c54e2d0f67cc7/DOCUMENT_IDS.tsv"
TATOEBA = f"{RAW}/facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0/data/tatoeba/v1"
TATOEBA_CODES = {
    "ar": "ara",
    "de": "deu",
    "el": "ell",
    "es": "spa",
    "fi": "fin",
    "fr": "fra",
    "hi": "hin",
    "sw": "swh",
    "tr": "tur",
    "zh": "cmn",
}
WIKITEXT = f"{RAW}/pytorch/examples"
WIKITEXT_COMMITS = {
    "test": "cada773327ba94a5970e0d57c17c847d69dbbb8f",
    "valid": "37ce9402ff0cae48d764d7788810fd2ed8238b25",
}
SIB200 = f"{RAW}/dadelani/sib-200/e7a172159963fd28c65f1ea53a0cea931bd08719/data/annotated"
SIB200_CODES = {
    "ar": "arb_Arab",
    "de": "deu_Latn",
    "el": "ell_Grek",
    "en": "eng_Latn",
    "es": "spa_Latn",
    "fi": "fin_Latn",
    "fr": "fra_Latn",
    "hi": "hin_Deva",
    "sw": "swh_Latn",
    "tr": "tur_Latn",
    "zh": "zho_Hans",
}
XQUAD = f"{RAW}/google-deepmind/xquad/master"
XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "tr", "zh")


def _origin(name: str, file: str, *urls: str, form: Form = table) -> Origin:
    return Origin(f"{file}.xz", urls, PINS[f"{_place(name)}/{file}"], form)


def _place(name: str) -> str:
    return FOLDERS.get(name, f"text/{name}")


def _tatoeba(language: str, code: str) -> Origin:
    pair = f"{TATOEBA}/tatoeba.{code}-eng"
    return _origin("tatoeba", f"{language}-en.tsv", f"{pair}.{code}", f"{pair}.eng")


ORIGINS: dict[str, tuple[Origin, ...]] = {
    "ntrex": (
        *(
            _origin("ntrex", f"{language}.test.txt", f"{NTREX_TEXT}-{file}.txt")
            for language, file in NTREX_FILES.items()
        ),
        _origin("ntrex", "documents.txt", NTREX_DOCUMENTS),
    ),
    "tatoeba": tuple(_tatoeba(*both) for both in TATOEBA_CODES.items()),
    "wikitext2": tuple(
        _origin(
            "wikitext2",
            f"en.{part}.txt",
            f"{WIKITEXT}/{commit}/word_language_model/data/wikitext-2/{part}.txt",
        )
        for part, commit in WIKITEXT_COMMITS.items()
    ),
    "sib200": tuple(
        _origin("sib200", f"{language}.{part}.tsv", f"{SIB200}/{code}/{part}.tsv", form=topics)
        for language, code in SIB200_CODES.items()
        for part in ("train", "dev", "test")
    ),
    "xquad": tuple(
        _origin("xquad", f"{name}.jsonl", f"{XQUAD}/xquad.{name}.json", form=paragraphs)
        for name in XQUAD_LANGUAGES
    ),
}


def fetch(name: str, data_dir: Path | None = None) -> Path:
    """The folder of a corpus below data_dir (default: the user's cache), downloaded if it is not there.

    It appears when it is whole. Raises UserError for a corpus that is unknown or cannot be fetched, for an origin that
    cannot be reached, and for one that no longer holds what was pinned.
    """
    known = CORPORA | ANNOTATED
    if name not in known:
        raise UserError(f"unknown corpus {name!r}: choose from {', '.join(known)}")
    if name not in ORIGINS:
        raise UserError(
            f"{name} cannot be fetched: no address gives it as it is ({known[name].origin}): "
            f"give --data-dir a folder that holds it, or choose from {', '.join(ORIGINS)}"
        )
    folder = (cache_folder() if data_dir is None else data_dir) / _place(name)
    if folder.is_dir():
        return folder
    half = folder.with_name(f".{name}.fetching")
    try:
        (half / RAW_FOLDER).mkdir(parents=True, exist_ok=True)
        for origin in ORIGINS[name]:
            _make(half, origin)
        shutil.rmtree(half / RAW_FOLDER)
        half.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}): free space there, or give another --data-dir"
        ) from None
    return folder


def _make(folder: Path, origin: Origin) -> None:
    """One file of a corpus."""
    raw = [_download(url, folder / RAW_FOLDER) for url in origin.urls]
    try:
        content = origin.form(raw)
    except (UserError, ValueError, LookupError, TypeError):  # empty, not UTF-8, or of another form
        content = b""
    found = hashlib.sha256(content).hexdigest()
    if found != origin.sha256:
        for path in raw:
            path.unlink()
        raise UserError(
            f"{' and '.join(origin.urls)} gave another {origin.file} than expected "
            f"(sha256 {found[:16]}, not {origin.sha256[:16]}): try again; if it stays so, the origin has changed"
        )
    (folder / origin.file).write_bytes(lzma.compress(content))


def _download(url: str, folder: Path) -> Path:
    """The file of an address, in a folder that keeps what an earlier attempt got of it."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # else it advises to pin the raw file
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    part = folder / f"{name}.part"
    broken = requests.exceptions.ChunkedEncodingError

    def download(url: str, output_file: str, _: Any) -> None:
        for attempt in range(ATTEMPTS):
            try:
                _continue(url, part)
                break
            except (requests.ConnectionError, requests.Timeout, broken):
                if attempt == ATTEMPTS - 1:
                    raise
        part.replace(output_file)

    try:
        found = pooch.retrieve(url, known_hash=None, fname=name, path=folder, downloader=download)
    except requests.RequestException as error:
        answer = error.response
        reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
        raise UserError(
            f"cannot fetch {url} ({reason}): check the connection; the same command goes on where it stopped"
        ) from None
    return Path(found)


def _continue(url: str, part: Path) -> None:
    """Download the rest of a file, all of it if there is no part yet or the server does not give rests.

    Raises requests.RequestException; part then holds what came.
    """
    import requests
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was whole already
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("the part kept is not of this file")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        have = have if resumed else 0
        size = int(response.headers.get("Content-Length", 0)) + have
        with (
            part.open("ab" if resumed else "wb") as stream,
            tqdm(total=size or None, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
        if part.stat().st_size < size:
            raise requests.ConnectionError(f"{part.stat().st_size} of {size} bytes came")
