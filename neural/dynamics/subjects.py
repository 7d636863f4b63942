"""What the study reads, before anything is trained: text, tokenizer, and the examples of each task; and its models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from neural.dynamics import examples
from neural.dynamics.examples import Examples, Ints, Words
from neural.dynamics.plan import OF_WORDS, PARTS, Name, Part, Study
from neural.dynamics.xnli import LABELS, Inferences, inferences
from neural.measures.words import Encoded, WordExamples, encoded, encoded_words
from neural.study.pretrained import TEST, Pretrained
from neural.text import xquad
from neural.text.invented import answers as invented_answers
from neural.text.invented import invented, parsed
from neural.text.labelled import TOPICS, Labelled, sib200
from neural.text.treebank import Sentence, treebank
from neural.text.xquad import Side
from sim.runs.errors import UserError

SPLITS: dict[Part, str] = {"train": "train", "dev": "valid", "test": "test"}
"""Of the text of invented languages."""

MORE = 1.25
"""Sentences are read for so many times the words wanted, since some are lost beyond the context."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """N sentences in every language, and which of them are of each part: runs of neighbours, so that few documents are
    in two.
    """

    texts: Mapping[str, Encoded]
    rows: Mapping[Part, Ints]


@dataclass(frozen=True, eq=False)
class Answers:
    """N sentences with an answer in every language, their words as the models read them, and the words that answer."""

    words: Mapping[str, WordExamples]
    sides: Sequence[Side]


@dataclass(frozen=True)
class Subjects(Pretrained):
    """A study in its folder, with what its measures read."""

    study: Study

    def read(self) -> None:
        """Read all that can be read before the tokenizer. Raises UserError for what cannot."""
        _ = self.corpus, self.sentences, self.aligned_texts, self.answer_sides
        _ = self.labelled, self.inferences

    @cached_property
    def bytes_per_character(self) -> dict[str, float]:
        """Of the test text of every language."""
        ratios = {}
        for name in self.study.languages:
            texts = [item.text for item in self.corpus.documents(name, TEST)]
            ratios[name] = sum(len(text.encode()) for text in texts) / sum(map(len, texts))
        return ratios

    def _folder(self, what: str) -> Path:
        folder = self.study.data_dir
        if folder is None:
            raise UserError(f"{what} are read from a folder: give it by --data-dir")
        return folder

    @cached_property
    def sentences(self) -> dict[tuple[str, Part], list[Sentence]]:
        """Of treebanks, evenly spaced: some more than hold the words wanted."""
        study = self.study
        if not set(study.tasks) & set(OF_WORDS):
            return {}
        sentences_by_part = {}
        for language in study.languages:
            for part in PARTS:
                items = self._treebank(language, part)
                words = sum(map(len, items))
                most = int(MORE * study.words.size(part) * len(items) / max(words, 1)) + 1
                sentences_by_part[language, part] = [
                    items[i] for i in examples.spaced(len(items), most)
                ]
        return sentences_by_part

    def _treebank(self, language: str, part: Part) -> list[Sentence]:
        if not invented(language):
            return treebank(language, part, self._folder("treebanks"))
        documents = self.corpus.documents(language, SPLITS[part])
        most = self.study.words.size(part)  # each has a word at least
        texts = [text for item in documents for text in item.passages][:most]
        return parsed(texts, language)

    @cached_property
    def words(self) -> dict[tuple[str, Part], Words]:
        """Of the sentences; all with room for equally many words a sentence, so that one program reads them."""
        context, wide = self.study.model.context, self._most_words
        words_by_part = {}
        for key, items in self.sentences.items():
            read = encoded_words(items, self.tokenizer, context).padded(wide)
            words_by_part[key] = examples.words(read, items)
        return words_by_part

    @cached_property
    def _most_words(self) -> int:
        """Of a sentence of treebanks or answers."""
        of_answers = [len(answer.spans) for side in self.answer_sides for answer in side.values()]
        return max([len(item) for items in self.sentences.values() for item in items] + of_answers)

    def examples(self, task: Name, language: str, part: Part, draw: int = 0) -> Examples:
        """Of a task in a language; `draw` of those whose wrong ones are drawn."""
        study = self.study
        key = [draw, PARTS.index(part), study.languages.index(language)]
        if task == "parts-of-speech":
            return examples.tagged(self.words[language, part], study.words.size(part))
        if task == "arcs":
            return examples.arcs(self.words[language, part], study.arcs.size(part), key)
        if task == "relations":
            return examples.related(self.words[language, part], study.arcs.size(part))
        if task == "topics":
            return examples.labelled(self.labelled[language, part].labels, len(TOPICS))
        if task == "pairing":
            return examples.paired(self.aligned.rows[part], key[:2])
        if task == "xnli":
            return examples.inferred(self.inferences[language, part].labels, len(LABELS))
        raise ValueError(f"unknown task {task!r}")

    @cached_property
    def labelled(self) -> dict[tuple[str, Part], Labelled]:
        """Sentences with their topics."""
        if "topics" not in self.study.tasks:
            return {}
        folder = self._folder("topics")
        return {
            (language, part): sib200(language, part, folder)
            for language in self.study.languages
            for part in PARTS
        }

    @cached_property
    def inferences(self) -> dict[tuple[str, Part], Inferences]:
        """Pairs of sentences of XNLI."""
        study = self.study
        if "xnli" not in study.tasks:
            return {}
        return {
            (language, part): inferences(language, part, study.inferences.size(part))
            for language in study.xnli
            for part in PARTS
        }

    def texts(self, task: Name, language: str, part: Part) -> Encoded:
        """The sentences whose states a task of sentences reads."""
        if task == "pairing":
            return self.aligned.texts[language]
        if task == "topics":
            sentences: Sequence[str] = self.labelled[language, part].sentences
        else:
            pairs = self.inferences[language, part]
            sentences = (*pairs.premises, *pairs.hypotheses)
        return encoded(sentences, self.tokenizer, self.study.model.context)

    @cached_property
    def aligned_texts(self) -> list[tuple[str, ...]]:
        """The same sentences in every language; none where the study has no sources. Raises NotThere for too few."""
        if not self.study.aligned:
            return []
        wanted = sum(self.study.sentences.size(part) for part in PARTS)
        return self.translations(wanted)[:wanted]

    @cached_property
    def aligned(self) -> Aligned:
        study = self.study
        sides = zip(study.languages, zip(*self.aligned_texts, strict=True), strict=True)
        texts = {
            language: encoded(side, self.tokenizer, study.model.context) for language, side in sides
        }
        ends = np.cumsum([study.sentences.size(part) for part in PARTS])
        rows = np.split(np.arange(ends[-1]), ends[:-1])
        return Aligned(texts, dict(zip(PARTS, rows, strict=True)))

    @cached_property
    def answer_languages(self) -> tuple[str, ...]:
        """Those that have answers: invented ones, or those of XQuAD; none where fewer than two."""
        study = self.study
        if not study.answers:
            return ()
        if all(map(invented, study.languages)):
            return study.languages if study.aligned else ()
        if study.data_dir is None:
            return ()
        known = xquad.languages(study.data_dir)
        names = tuple(name for name in study.languages if name in known)
        return names if len(names) > 1 else ()

    @cached_property
    def answer_sides(self) -> list[Side]:
        """All answers."""
        names = self.answer_languages
        if not names:
            return []
        if all(map(invented, names)):
            sides = zip(*self.aligned_texts, strict=True)
            return invented_answers(dict(zip(names, sides, strict=True)))
        return xquad.answers(names, self._folder("answers"))

    @cached_property
    def answers(self) -> Answers:
        """Those whose sentences the models read whole in every language, evenly spaced. Raises UserError for none."""
        study, context = self.study, self.study.model.context
        names = self.answer_languages
        read = {
            name: encoded_words([side[name] for side in self.answer_sides], self.tokenizer, context)
            for name in names
        }
        whole = np.all(
            [
                item.there.sum(axis=1) == [len(side[name].spans) for side in self.answer_sides]
                for name, item in read.items()
            ],
            axis=0,
        )
        kept = np.flatnonzero(whole)
        if not len(kept):
            raise UserError(
                f"no sentence with an answer fits into a context of {context} in all of {', '.join(names)}: "
                "give a longer one"
            )
        sides = [self.answer_sides[row] for row in kept[examples.spaced(len(kept), study.answers)]]
        words = {
            name: encoded_words([side[name] for side in sides], self.tokenizer, context).padded(
                self._most_words
            )
            for name in names
        }
        return Answers(words, sides)

    @cached_property
    def overlap(self) -> dict[tuple[str, str], float]:
        """Of two languages' training text the part of subwords that both have: the sum of the lesser frequencies."""
        V = self.study.model.vocabulary
        counts = {
            name: np.bincount(self.tokens[name, "train"].ids, minlength=V)
            for name in self.study.languages
        }
        for count in counts.values():
            count[self.tokenizer.end_of_text] = 0
        shares = {name: count / count.sum() for name, count in counts.items()}
        return {
            (language, other): float(np.minimum(shares[language], shares[other]).sum())
            for language, other in combinations(self.study.languages, 2)
        }
