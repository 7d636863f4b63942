"""Invented languages: the default corpus, which needs no download and whose sentences have exact translations.

A sentence says something: who does what to whom, with what adjectives, in which tense and number, and where. What it
says is drawn once, as numbers; each language then spells it with words, endings and an order of its own. Words follow
Zipf's law; a verb takes objects of its class alone and agrees with its subject in number; and a document keeps to a
few nouns, so that a model gains from words near and far.

Languages are called s1, s2, and so on. Each has its own training text; the sentences of valid and test are the same
in every language, translated.
"""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neural.text.documents import SPLITS, Document, Splits
from sim.runs.errors import UserError

Ints = NDArray[np.int64]

ORDERS = ("SVO", "SOV", "VSO", "VOS")
"""Of subject, verb and object; languages take them in turn."""
ALPHABETS = (
    ("bdfgklmnprstvz", "aeiou"),
    ("βγδζθκλμνπρστφχ", "αειου"),
    ("бвгджзклмнпрстф", "аеиоу"),
)
"""Consonants and vowels; languages take them in turn: Latin, Greek, Cyrillic."""
MOST = 10_000_000
"""Of anything that a family of languages has, its seed included."""
SENTENCES = 12
"""Sentences a document."""
TOPIC = 8
"""Nouns that a document prefers."""
NUMBERS = ("singular", "plural")
TENSES = ("present", "past")


@dataclass(frozen=True)
class Grammar:
    """What every language of a family shares: how many things there are to speak of, and how often each is.

    shared: the fraction of stems that all languages spell as s1 does. sentences: training sentences a language.
    """

    nouns: int = 240
    verbs: int = 80
    adjectives: int = 40
    classes: int = 8
    shared: float = 0.0
    sentences: int = 120_000
    held_out: int = 1_200
    seed: int = 0

    def check(self) -> None:
        """Raise UserError, in one line, for a family that cannot be spoken."""
        for name in ("nouns", "verbs", "adjectives", "classes", "sentences", "held_out", "seed"):
            if getattr(self, name) > MOST:
                raise UserError(
                    f"synthetic: {name} is {getattr(self, name)}: give a whole number <= {MOST}"
                )
        for name, least in {
            "verbs": 1,
            "adjectives": 1,
            "classes": 1,
            "sentences": SENTENCES,
            "held_out": SENTENCES,
            "seed": 0,
        }.items():
            if getattr(self, name) < least:
                raise UserError(
                    f"synthetic: {name} is {getattr(self, name)}: give a whole number >= {least}"
                )
        if self.nouns < 2 * self.classes:
            raise UserError(
                f"synthetic: {self.nouns} nouns for {self.classes} classes: give two nouns a class at least"
            )
        if not 0 <= self.shared <= 1:
            raise UserError(f"synthetic: shared is {self.shared}: give a fraction between 0 and 1")


@dataclass(frozen=True)
class Meanings:
    """n sentences; each array (n,) is of indices, -1 where the part is absent."""

    subject: Ints
    subject_number: Ints
    subject_adjective: Ints
    verb: Ints
    tense: Ints
    object: Ints
    object_number: Ints
    object_adjective: Ints
    place: Ints


def meanings(grammar: Grammar, n: int, key: Iterable[int]) -> Meanings:
    """n sentences, a function of the grammar's seed and the key; SENTENCES successive ones share a topic."""
    rng = np.random.default_rng([grammar.seed, *key])
    documents = -(-n // SENTENCES)
    topics = _zipf(rng, grammar.nouns, (documents, TOPIC)).repeat(SENTENCES, axis=0)[:n]
    on_topic = topics[np.arange(n), rng.integers(TOPIC, size=n)]
    verb = _zipf(rng, grammar.verbs, n)
    per_class = grammar.nouns // grammar.classes
    objects = _zipf(rng, per_class, n) * grammar.classes + verb % grammar.classes

    def sometimes(values: Ints, probability: float) -> Ints:
        return np.where(rng.random(n) < probability, values, -1)

    return Meanings(
        subject=np.where(rng.random(n) < 0.7, on_topic, _zipf(rng, grammar.nouns, n)),
        subject_number=(rng.random(n) < 0.3).astype(np.int64),
        subject_adjective=sometimes(_zipf(rng, grammar.adjectives, n), 0.3),
        verb=verb,
        tense=(rng.random(n) < 0.4).astype(np.int64),
        object=sometimes(objects, 0.8),
        object_number=(rng.random(n) < 0.3).astype(np.int64),
        object_adjective=sometimes(_zipf(rng, grammar.adjectives, n), 0.2),
        place=sometimes(topics[:, 0], 0.25),
    )


def _zipf(rng: np.random.Generator, size: int, shape: int | tuple[int, ...]) -> Ints:
    """Indices below size, the i-th with probability proportional to 1 / (i + 2)."""
    weights = 1 / np.arange(2, size + 2)
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(shape), side="right")


@dataclass(frozen=True, eq=False)
class Language:
    """Spelling and order. Word forms are one list; nouns, verbs and adjectives are indices into it."""

    order: str
    adjective_first: bool
    forms: tuple[str, ...]
    nouns: Ints  # (nouns, 2): by number
    verbs: Ints  # (verbs, 2, 2): by tense and number
    adjectives: Ints  # (adjectives,)
    at: int  # the word before a place

    def sentences(self, said: Meanings) -> list[str]:
        """What is said, in this language, each sentence ending in a full stop."""
        subject = self._phrase(said.subject, said.subject_number, said.subject_adjective)
        verb = self.verbs[said.verb, said.tense, said.subject_number][:, None]
        object_ = self._phrase(said.object, said.object_number, said.object_adjective)
        parts = {"S": subject, "V": verb, "O": object_}
        place = np.stack(
            [
                np.where(said.place < 0, -1, self.at),
                np.where(said.place < 0, -1, self.nouns[said.place, 0]),
            ],
            axis=1,
        )
        words = np.concatenate([*(parts[part] for part in self.order), place], axis=1)
        forms = self.forms
        return [
            " ".join([forms[word] for word in row if word >= 0]) + "." for row in words.tolist()
        ]

    def _phrase(self, noun: Ints, number: Ints, adjective: Ints) -> Ints:
        """(n, 2) noun and adjective in the order of the language."""
        there = noun >= 0
        nouns = np.where(there, self.nouns[noun, number], -1)
        adjectives = np.where(there & (adjective >= 0), self.adjectives[adjective], -1)
        pair = (adjectives, nouns) if self.adjective_first else (nouns, adjectives)
        return np.stack(pair, axis=1)


@lru_cache(maxsize=16)
def language(grammar: Grammar, name: str) -> Language:
    """The language of that name in a family. Raises UserError for a name other than s1, s2, ..."""
    number = number_of(name)
    if not number:
        raise UserError(
            f"unknown language {name!r} of synthetic: its languages are s1, s2, s3, ..."
        )
    letters = ALPHABETS[(number - 1) % len(ALPHABETS)]
    rng = np.random.default_rng([grammar.seed, 1, number])
    count = grammar.nouns + grammar.verbs + grammar.adjectives + 1
    stems = _stems(rng, count, letters)
    if number > 1:
        first = _stems(np.random.default_rng([grammar.seed, 1, 1]), count, ALPHABETS[0])
        is_shared = np.random.default_rng([grammar.seed, 2]).random(count) < grammar.shared
        stems = [
            a if same else b for a, b, same in zip(first, stems, is_shared.tolist(), strict=True)
        ]
    endings = ["", *_endings(rng, letters, 4)]
    nouns, verbs = stems[: grammar.nouns], stems[grammar.nouns : grammar.nouns + grammar.verbs]
    rest = stems[grammar.nouns + grammar.verbs :]
    forms = [noun + ending for noun in nouns for ending in endings[:2]]
    first_verb = len(forms)
    forms += [verb + ending for verb in verbs for ending in endings[1:]]
    first_adjective = len(forms)
    forms += rest
    return Language(
        order=ORDERS[(number - 1) % len(ORDERS)],
        adjective_first=bool(rng.random() < 0.5),
        forms=tuple(forms),
        nouns=np.arange(first_verb).reshape(-1, len(NUMBERS)),
        verbs=np.arange(first_verb, first_adjective).reshape(-1, len(TENSES), len(NUMBERS)),
        adjectives=np.arange(first_adjective, len(forms) - 1),
        at=len(forms) - 1,
    )


def number_of(name: str) -> int:
    """1 for s1, and so on; 0 for what is no language here."""
    match = re.fullmatch(r"s([1-9][0-9]*)", name)
    return int(match[1]) if match else 0


def _stems(rng: np.random.Generator, count: int, letters: tuple[str, str]) -> list[str]:
    """Different stems of two syllables and a consonant."""
    stems: dict[str, None] = {}
    while len(stems) < count:
        drawn = [rng.choice(list(letters[part]), count) for part in (0, 1, 0, 1, 0)]
        stems |= dict.fromkeys("".join(letter) for letter in zip(*drawn, strict=True))
    return list(stems)[:count]


def _endings(rng: np.random.Generator, letters: tuple[str, str], count: int) -> list[str]:
    """Different endings of a vowel and a consonant."""
    endings = [vowel + consonant for vowel in letters[1] for consonant in letters[0]]
    return [endings[index] for index in rng.choice(len(endings), count, replace=False)]


def read(grammar: Grammar, name: str) -> Splits:
    """The documents of one language. The passages of valid and test have ids; equal ids are translations."""
    grammar.check()
    spoken = language(grammar, name)
    splits = {}
    for index, part in enumerate(SPLITS):
        aligned = part != "train"
        n = grammar.held_out if aligned else grammar.sentences
        key = (3 + index,) if aligned else (3 + index, zlib.crc32(name.encode()))
        sentences = spoken.sentences(meanings(grammar, n, key))
        splits[part] = [
            Document(
                f"{part} {start // SENTENCES}",
                tuple(sentences[start : start + SENTENCES]),
                tuple(f"{part}:{i}" for i in range(start, min(start + SENTENCES, n)))
                if aligned
                else (),
                separator=" ",
            )
            for start in range(0, n, SENTENCES)
        ]
    return splits
