"""Downloads of named corpora from their origins: `python -m neural.corpus fetch NAME`.

An origin is files of a repository at one commit. They are brought into the form of the other corpora (Unicode normal
form C, no control characters, white space folded, a passage a line) and the result is held against a pinned sha256, so
what is fetched is the corpus, byte for byte, or is refused. A download that broke off goes on where it stopped.

The other corpora have no such origin: their text was cleaned, aligned or divided by hand or at random from files that
no longer stand together, so no address could give it.
"""

import hashlib
import logging
import lzma
import shutil
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from neural.corpora import CORPORA, cache_folder
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


@dataclass(frozen=True)
class Origin:
    """A file of a corpus: the addresses whose lines are its columns, and the sha256 of the unpacked result."""

    file: str
    urls: tuple[str, ...]
    sha256: str


RAW = "https://raw.githubusercontent.com"
NTREX = f"{RAW}/MicrosoftTranslator/NTREX"
NTREX_TEXT = f"{NTREX}/c9f006f2c132c932b83ccd7aaa6a35930dd9c370/NTREX-128/newstest2019"
NTREX_DOCUMENTS = f"{NTREX}/fa9e8c9e3bb875a39b0d3f36394c54e2d0f67cc7/DOCUMENT_IDS.tsv"
TATOEBA = f"{RAW}/facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0/data/tatoeba/v1"
WIKITEXT = f"{RAW}/pytorch/examples"
WIKITEXT_PATH = "word_language_model/data/wikitext-2"


def _ntrex(language: str, file: str, sha256: str) -> Origin:
    return Origin(f"{language}.test.txt.xz", (f"{NTREX_TEXT}-{file}.txt",), sha256)


def _tatoeba(language: str, code: str, sha256: str) -> Origin:
    pair = f"{TATOEBA}/tatoeba.{code}-eng"
    return Origin(f"{language}-en.tsv.xz", (f"{pair}.{code}", f"{pair}.eng"), sha256)


def _wikitext(part: str, commit: str, sha256: str) -> Origin:
    url = f"{WIKITEXT}/{commit}/{WIKITEXT_PATH}/{part}.txt"
    return Origin(f"en.{part}.txt.xz", (url,), sha256)


ORIGINS: dict[str, tuple[Origin, ...]] = {
    "ntrex": (
        _ntrex("ar", "ref.arb", "9fd9c1c7905b74cd0b6dbb1c2b10f4b66c1289a220b05d55f54218122c806586"),
        _ntrex("de", "ref.deu", "5001e808911bbc27617501b2ecfc6e3621efc8ce92914f53e518b2653e090929"),
        Origin(
            "documents.txt.xz",
            (NTREX_DOCUMENTS,),
            "88a8b0ff1eae47e83f60dcde01075b8c87d75ced59ca09e0af1eb539958e05d5",
        ),
        _ntrex("el", "ref.ell", "9b7a8483753d9a5be79e1cf7b33682882fe17eaf1a4a41dc50f7815081f54e9f"),
        _ntrex("en", "src.eng", "3a62f94f5c42a395d4452ec890ca45afc75866b5b4b1d493429433cfe8469fe9"),
        _ntrex("es", "ref.spa", "290b3e767990877e679592624f24a750699c9734b44f8b7ddda04200354a5346"),
        _ntrex("fi", "ref.fin", "08c4df301002e8ba666a3b2964269bd48eeff47a5cbe91f3624f9cf1782abd92"),
        _ntrex("fr", "ref.fra", "158094972308ae8a6bbd6b9e41bc51124aa307d16fcac290330f60e8e5c0c529"),
        _ntrex("hi", "ref.hin", "ac3c525af45ada548f49c76cd2e7f1922b3108b0073f570b89fb569edf0e1a15"),
        _ntrex("sw", "ref.swa", "12ca8592d5a5209607a0ff3d4b818b5e96ba9afd367e3a5bdf9d753a14c29936"),
        _ntrex("tr", "ref.tur", "3f5e364a1ba973c21a5909b7100484235b4fdcfb3730a56ef6e32d46f7db5c2e"),
        _ntrex(
            "zh", "ref.zho-CN", "2e20a88b5674ec41ef5d14a6ac84e5ba90ba167fff1fb247b839025c5b077d9d"
        ),
    ),
    "tatoeba": (
        _tatoeba("ar", "ara", "72ad7f163394131e7e8682156ef05afc7772dd87f5c5d427ce03078eb6b68bd2"),
        _tatoeba("de", "deu", "03b171ebaf5806703d5cf990ba5097b223875e5b592558be6d80b124e7e95a55"),
        _tatoeba("el", "ell", "13a24fbf1d177a6d1a728cb822b38125de9df1f13fdd8634d1623e3e8a372999"),
        _tatoeba("es", "spa", "38b58f878aebe2d61088a56f57f7a5ceb614dc5e5b959e5d1033ee72c4e81cf1"),
        _tatoeba("fi", "fin", "411730cccd12620da95718cb1fc6d37f81708bcaf613575375b73b4cf707a54f"),
        _tatoeba("fr", "fra", "511b1bbae05870c3929339c4708f77ea998a82eb63ee7ecbcb0c5d02d1b9f274"),
        _tatoeba("hi", "hin", "1e1fe60f8ad0b5e2521d106069cfaaf53bf2390a40442d269a82490067db85b0"),
        _tatoeba("sw", "swh", "275480a8041972fa87e08087942fa2d2b1d0a42f5d31c2e1da530cac78180e0d"),
        _tatoeba("tr", "tur", "c781e989d48c41135554a75519f32eb80aa5395152ef64b189c8bdbf6d3b8c4b"),
        _tatoeba("zh", "cmn", "0679df399a687bb724f13b084409ef8c0a024f54734319291f3f9f74d23f4254"),
    ),
    "wikitext2": (
        _wikitext(
            "test",
            "cada773327ba94a5970e0d57c17c847d69dbbb8f",
            "9c068e2fd7937b38b734ed5fe0439c5265f39091bce7c214f8a76e08026051ae",
        ),
        _wikitext(
            "valid",
            "37ce9402ff0cae48d764d7788810fd2ed8238b25",
            "6494b600c71f9fb83b4eb389b661035f7ff67d1c628bfb17119300576cfcaa67",
        ),
    ),
}


def fetch(name: str, data_dir: Path | None = None) -> Path:
    """The folder of a corpus below data_dir (default: the user's cache), downloaded if it is not there.

    It appears when it is whole. Raises UserError for a corpus that is unknown or cannot be fetched, for an origin that
    cannot be reached, and for one that no longer holds what was pinned.
    """
    if name not in CORPORA:
        raise UserError(f"unknown corpus {name!r}: choose from {', '.join(CORPORA)}")
    if name not in ORIGINS:
        raise UserError(
            f"{name} cannot be fetched: no address gives it as it is ({CORPORA[name].origin}): "
            f"give --data-dir a folder that holds it, or choose from {', '.join(ORIGINS)}"
        )
    folder = (cache_folder() if data_dir is None else data_dir) / "text" / name
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
        content = _table(raw)
    except UserError:  # empty, or not UTF-8
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


def _table(columns: list[Path]) -> bytes:
    """The lines of files side by side, normalised, without those that are empty in all of them."""
    rows = zip_longest(
        *([normalise(line) for line in lines(path)] for path in columns), fillvalue=""
    )
    return "".join("\t".join(row) + "\n" for row in rows if any(row)).encode()


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
