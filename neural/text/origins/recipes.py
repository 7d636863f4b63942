"""What each corpus that can be fetched is made of. Every address names a commit, so that it does not change."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neural.text.origins import fluent
from neural.text.origins.forms import (
    Form,
    entities,
    first_tenths,
    last_tenth,
    listed,
    paragraphs,
    pooled,
    table,
    topics,
    treebank,
)
from neural.text.treebank import PARALLEL, POOLED, TREEBANKS


@dataclass(frozen=True)
class Origin:
    """A file: the addresses that it is made of, the sha256 of the unpacked result, and how it is made."""

    file: str
    urls: tuple[str, ...]
    sha256: str
    form: Form = table


FOLDERS = {"sib200": "topic/sib200", "xquad": "qa/xquad", "ud": "ud", "uner": "ner/uner"}
"""Where what is no text goes, below the folder of all; a corpus of text goes to text/NAME."""

PINS = {
    path: sha256
    for sha256, path in (
        line.split() for line in Path(__file__).with_name("fetched.sha256").read_text().splitlines()
    )
}
"""sha256 of every file that can be fetched or comes with the package, unpacked, by its path."""

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
XQUAD = f"{RAW}/google-deepmind/xquad/7d30520c717524000f0d9d2f9c10a069acd9d285"
XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "tr", "zh")

MOZILLA = (
    "https://codeload.github.com/mozilla-l10n/www-l10n/zip/442e139499cbf67e31cf7155ea4bdd4a69cfd87e"
)

UD_COMMITS = {
    "UD_Arabic-PUD": "be733f45d21f42d506c62930f806ed2182a5ee3d",
    "UD_Chinese-GSDSimp": "eb3aed31ebb170897405ee5cd1db83a1a0b11864",
    "UD_Chinese-PUD": "2849afd946a8c01b3e9acdf3e7afa8670cf2777d",
    "UD_English-EWT": "15d613d8447b3478787d4c278730a1e48a945efb",
    "UD_English-PUD": "f16eba4ae7f3d161870ed320676c5088b8fa476c",
    "UD_Finnish-PUD": "fa2c5ad1df6b18333b29fe87d093051097f36365",
    "UD_Finnish-TDT": "5e3a88a671ea673fa330e10cc59f54da587a95a7",
    "UD_French-GSD": "830e2782304af08b3cc1c9250475343e04274d81",
    "UD_French-PUD": "c245786cfb3020d43bcfc96215ae531a1b07bcbc",
    "UD_German-GSD": "297fcf350481058d0737a27f0f8fd03b2eadd67a",
    "UD_German-PUD": "ff80846ae60a0a70fc4d6251ef73e6a483a620ee",
    "UD_Greek-GUD": "e014415b034f6263ab634fafd1e9df8fef5d87aa",
    "UD_Hindi-PUD": "8bc630f73e0737ce5ed9eaa97abf11f172ecc9bd",
    "UD_Spanish-GSD": "57c045644664e5c1e169263cc4e3b95e40c078ba",
    "UD_Spanish-PUD": "818a82b8628c9cbec78750c7e83ccba34b9ce22b",
    "UD_Turkish-BOUN": "f828b02872123a8dfb336584eab0767c4e55c5f9",
    "UD_Turkish-PUD": "63a134a087c8475ea832713b960baba8ff2f9401",
}
DOCUMENTS = {"UD_Spanish-GSD": "-", "UD_Finnish-TDT": "."}
"""Behind the document's in a sentence's identifier, of treebanks that were divided by document."""

UNER_FILES = {
    "de_pud": ("UNER_German-PUD/47eb039b6d80079b280ba70efe4136413fb7af9c", "test"),
    "en_ewt.dev": ("UNER_English-EWT/8ed072de2fd24022cc62458997fe96a8fe191ea4", "dev"),
    "en_ewt.test": ("UNER_English-EWT/8ed072de2fd24022cc62458997fe96a8fe191ea4", "test"),
    "en_pud": ("UNER_English-PUD/07ea0553144e3fcf3d6633efe2a075b725a0d262", "test"),
    "zh_gsdsimp.dev": ("UNER_Chinese-GSDSIMP/1f0307599dece7b83f4cba90ce9b63ef37a7b162", "dev"),
    "zh_gsdsimp.test": ("UNER_Chinese-GSDSIMP/1f0307599dece7b83f4cba90ce9b63ef37a7b162", "test"),
    "zh_gsdsimp.train": ("UNER_Chinese-GSDSIMP/1f0307599dece7b83f4cba90ce9b63ef37a7b162", "train"),
    "zh_pud": ("UNER_Chinese-PUD/647ba53747e1aa1818541965db99a0196440b7d2", "test"),
}
"""Of each file the repository with its commit, and the part of the treebank."""


def place(name: str) -> str:
    """The folder of a corpus, below that of all."""
    return FOLDERS.get(name, f"text/{name}")


def _origin(name: str, file: str, *urls: str, form: Form = table) -> Origin:
    return Origin(f"{file}.xz", urls, PINS[f"{place(name)}/{file}"], form)


def _tatoeba(language: str, code: str) -> Origin:
    pair = f"{TATOEBA}/tatoeba.{code}-eng"
    return _origin("tatoeba", f"{language}-en.tsv", f"{pair}.{code}", f"{pair}.eng")


def _treebanks() -> Iterator[Origin]:
    """The parts of every treebank: official ones, and those of pooled dev and test parts."""
    for language, bank in [*TREEBANKS.items(), *PARALLEL.items()]:
        stem = f"{RAW}/UniversalDependencies/{bank}/{UD_COMMITS[bank]}/"
        stem += f"{language}_{bank.partition('-')[2].lower()}-ud"
        train, dev, test = (f"{stem}-{part}.conllu" for part in ("train", "dev", "test"))
        if bank in PARALLEL.values():
            yield _origin("ud", f"{bank}/test.conllu", test, form=treebank)
        elif bank == "UD_English-EWT":
            for part, url in (("train", train), ("dev", dev), ("test", test)):
                yield _origin("ud", f"{bank}/{part}.conllu", url, form=treebank)
        elif bank == "UD_Greek-GUD":
            yield _origin("ud", f"{bank}/train.conllu", train, form=first_tenths)
            yield _origin("ud", f"{bank}/dev.conllu", train, form=last_tenth)
            yield _origin("ud", f"{bank}/test.conllu", test, form=treebank)
        else:
            yield from _pooled(bank, dev, test)


def _pooled(bank: str, dev: str, test: str) -> Iterator[Origin]:
    for part in ("train", "dev", "test"):
        form = pooled(bank, part, DOCUMENTS.get(bank, ""))
        if bank == "UD_Chinese-GSDSimp":
            form = listed(part)
        yield _origin("ud", f"{bank}{POOLED}/{part}.conllu", dev, test, form=form)


def _entities(file: str) -> Origin:
    repository, part = UNER_FILES[file]
    url = f"{RAW}/UniversalNER/{repository}/{file.partition('.')[0]}-ud-{part}.iob2"
    return _origin("uner", f"{file}.iob2", url, form=entities)


ORIGINS: dict[str, tuple[Origin, ...]] = {
    "mozilla_www": tuple(
        _origin(
            "mozilla_www",
            f"{language}.{part}.txt",
            MOZILLA,
            form=fluent.messages(language, part),
        )
        for language in fluent.LOCALES
        for part in ("train", "valid", "test")
    ),
    "ntrex": (
        *(
            _origin("ntrex", f"{language}.test.txt", f"{NTREX_TEXT}-{file}.txt")
            for language, file in NTREX_FILES.items()
        ),
        _origin("ntrex", "documents.txt", NTREX_DOCUMENTS),
    ),
    "tatoeba": tuple(_tatoeba(*codes) for codes in TATOEBA_CODES.items()),
    "wikitext2": tuple(
        _origin(
            "wikitext2",
            f"en.{part}.txt",
            f"{WIKITEXT}/{commit}/word_language_model/data/wikitext-2/{part}.txt",
        )
        for part, commit in WIKITEXT_COMMITS.items()
    ),
    "ud": tuple(_treebanks()),
    "uner": tuple(map(_entities, UNER_FILES)),
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
