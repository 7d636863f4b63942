"""Treebanks of invented languages, so that the study runs without data: their grammar says what each word is.

A sentence of neural.text.synthetic is parsed by its word forms and the order of its language; its languages are those
of the default grammar, with any number of sentences.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from neural.text.synthetic import Grammar, language, number_of
from neural.text.treebank import Sentence
from neural.text.xquad import Answer, Side
from sim.runs.errors import UserError

ROLES = ("nsubj", "root", "obj")
"""Of the words that stand for each other in translations, taken in turn; of what a sentence lacks, its root."""


def invented(name: str) -> bool:
    """Whether a language is one of neural.text.synthetic's."""
    return bool(number_of(name))


def parsed(texts: Sequence[str], name: str) -> list[Sentence]:
    """The sentences of a language, with parts of speech, heads and relations.

    Raises UserError for words that the default grammar has not.
    """
    return [_sentence(text, name, f"{name} {number}") for number, text in enumerate(texts)]


def answers(texts: Mapping[str, Sequence[str]]) -> list[Side]:
    """Of sentences that are translations, row by row, a word that stands for the same in all."""
    trees = {name: parsed(rows, name) for name, rows in texts.items()}
    sides: list[Side] = []
    for row, sentences in enumerate(zip(*trees.values(), strict=True)):
        role = ROLES[row % len(ROLES)]
        sides.append(
            {name: _answer(item, role) for name, item in zip(trees, sentences, strict=True)}
        )
    return sides


def _answer(item: Sentence, role: str) -> Answer:
    place = item.relations.index(role) if role in item.relations else item.root
    return Answer(item.text, item.spans, (place, place + 1))


@lru_cache(maxsize=16)
def _classes(name: str) -> dict[str, str]:
    """The part of speech of every form."""
    spoken = language(Grammar(), name)
    kinds = (("NOUN", spoken.nouns), ("VERB", spoken.verbs), ("ADJ", spoken.adjectives))
    classes = {spoken.forms[index]: kind for kind, places in kinds for index in places.flat}
    return classes | {spoken.forms[spoken.at]: "ADP", ".": "PUNCT"}


def _sentence(text: str, name: str, called: str) -> Sentence:
    words = [*text.removesuffix(".").split(" "), "."]
    known = _classes(name)
    if unknown := [word for word in words if word not in known]:
        raise UserError(
            f"{unknown[0]!r} is no word of {name}: give --corpus synthetic with no option but sentences"
        )
    upos = [known[word] for word in words]
    links = dict(_links(upos, name))
    starts = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
    starts[-1] -= 1  # no space before the full stop
    return Sentence(
        called,
        text,
        tuple(words),
        tuple((start, start + len(word)) for start, word in zip(starts, words, strict=True)),
        tuple(upos),
        tuple(links[place][0] + 1 for place in range(len(words))),
        tuple(links[place][1] for place in range(len(words))),
        ({},) * len(words),
    )


def _links(upos: Sequence[str], name: str) -> Iterator[tuple[int, tuple[int, str]]]:
    """Of each word the place of its head, -1 for the root's, and its relation."""
    spoken = language(Grammar(), name)
    verb = upos.index("VERB")
    core = []
    for place, kind in enumerate(upos):
        if kind == "VERB":
            yield place, (-1, "root")
        elif kind == "PUNCT":
            yield place, (verb, "punct")
        elif kind == "ADJ":
            yield place, (place + (1 if spoken.adjective_first else -1), "amod")
        elif kind == "ADP":
            yield place, (place + 1, "case")
        elif place and upos[place - 1] == "ADP":
            yield place, (verb, "obl")
        else:
            core.append(place)
    subject_first = spoken.order.index("S") < spoken.order.index("O")
    subject = core[0] if subject_first or len(core) == 1 else core[1]
    for place in core:
        yield place, (verb, "nsubj" if place == subject else "obj")
