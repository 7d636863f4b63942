"""Labelled sentences, for sequence classification: topics, the tense of treebanks, GLUE, own files.

Tasks by name, as `task` takes them:

    sib200:el      topics of SIB-200 (Adelani et al. 2024): the same sentences in every language, seven topics
    tense:el       past or present, of the main clause of a treebank's sentences (Conneau et al. 2018)
    glue:sst2      a task of GLUE (Wang et al. 2019), by Hugging Face's datasets
    PATH           a folder with train.tsv, dev.tsv and test.tsv (.gz, .xz): a label, a tab, a sentence
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neural.text import treebank
from neural.text.corpora import NotThere
from neural.text.files import lines
from neural.text.treebank import PARTS
from sim.runs.errors import UserError

TOPICS = (
    *("entertainment", "geography", "health", "politics"),
    *("science/technology", "sports", "travel"),
)
TENSES = ("Past", "Pres")

GLUE = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
"""Its tasks of classification, and the columns of each that hold text."""

SEPARATOR = "\n"
"""Between the two texts of a pair."""

HELD_OUT = 20
"""Of GLUE's training part one sentence in so many is dev."""


@dataclass(frozen=True)
class Labelled:
    """N sentences, and of each its label, a place among the C names of classes."""

    sentences: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def counts(self) -> dict[str, int]:
        """Sentences of each class."""
        return {name: self.labels.count(label) for label, name in enumerate(self.names)}

    @property
    def majority(self) -> float:
        """The accuracy of always answering with the most frequent class."""
        return max(self.counts.values()) / len(self)

    def take(self, places: Iterable[int]) -> "Labelled":
        """The sentences at these places."""
        chosen = [int(place) for place in places]
        return replace(
            self,
            sentences=tuple(self.sentences[place] for place in chosen),
            labels=tuple(self.labels[place] for place in chosen),
        )

    def balanced(self, seed: int, most: int | None = None) -> "Labelled":
        """Equally many sentences of every class, drawn at random and in their order; of each `most` at most."""
        least = min(self.counts.values())
        wanted = least if most is None else min(least, most)
        order = np.random.default_rng(seed).permutation(len(self))
        labels = np.array(self.labels)[order]
        kept = [order[labels == label][:wanted] for label in range(len(self.names))]
        return self.take(sorted(np.concatenate(kept)))


@dataclass(frozen=True)
class Task:
    """The parts of a task; all have the same classes."""

    name: str
    train: Labelled
    dev: Labelled
    test: Labelled


def task(spec: str, data_dir: Path | None = None) -> Task:
    """The task of that name, as this module's first page lists them.

    Raises UserError for an unknown task or language, and for sentences that are not there or cannot be read.
    """
    kind, _, name = spec.partition(":")
    if kind == "glue":
        return Task(spec, *(glue(name, part) for part in PARTS))
    if kind in ("sib200", "tense"):
        if data_dir is None:
            raise UserError(f"task {spec}: give --data-dir, the folder that holds its sentences")
        if not data_dir.is_dir():
            raise UserError(f"--data-dir {data_dir}: no such folder: check the path")
        reader = sib200 if kind == "sib200" else tense
        return Task(spec, *(reader(name, part, data_dir) for part in PARTS))
    folder = Path(spec)
    if not folder.is_dir():
        raise UserError(
            f"task {spec}: no such folder, and no known task: give sib200:LANGUAGE, tense:LANGUAGE, glue:NAME, "
            f"or a folder with {', '.join(f'{part}.tsv' for part in PARTS)}"
        )
    train = table(_packed(folder, "train"))
    return Task(
        folder.resolve().name,
        train,
        *(table(_packed(folder, part), train.names) for part in PARTS[1:]),
    )


def table(path: Path, names: Sequence[str] | None = None) -> Labelled:
    """A file of lines "label, tab, sentence", packed or not; classes are `names`, or its own in order of name.

    Raises UserError with the line of a row that is none, or whose label is not among the names.
    """
    return _labelled(path, 2, names)


def sib200(language: str, part: str, data_dir: Path) -> Labelled:
    """A part (train, dev, test) of SIB-200's topics below data_dir. Raises UserError for what is not there."""
    return _labelled(find_sib200(language, part, data_dir), 3, TOPICS)


def find_sib200(language: str, part: str, data_dir: Path) -> Path:
    """The file of a part of SIB-200's topics. Raises as `sib200`: NotThere for what is not there."""
    folders = [data_dir / "topic" / "sib200", data_dir / "sib200"]
    folder = next((place for place in folders if place.is_dir()), None)
    if folder is None:
        raise NotThere(
            f"sib200 is not below {data_dir}: put LANGUAGE.train.tsv, .dev.tsv and .test.tsv (id, topic, sentence) "
            f"of https://github.com/dadelani/sib-200 into {folders[0]}, or `python -m neural.corpus fetch sib200`"
        )
    _check_part(part)
    languages = sorted({path.name.split(".")[0] for path in folder.glob("*.tsv*")})
    if language not in languages:
        raise NotThere(f"no sib200 of {language!r}: {folder} has {', '.join(languages)}")
    return _packed(folder, f"{language}.{part}")


def tense(language: str, part: str, data_dir: Path) -> Labelled:
    """The sentences of a treebank's part whose main clause is past or present (`treebank.tense`), with which it is."""
    sentences = treebank.treebank(language, part, data_dir)
    marked = [(item.text, label) for item in sentences if (label := treebank.tense(item))]
    if not marked:
        raise UserError(f"the {part} part of {language} marks no tense: choose another language")
    texts, labels = zip(*marked, strict=True)
    return Labelled(texts, tuple(map(TENSES.index, labels)), TENSES)


def glue(name: str, part: str) -> Labelled:
    """A part of a task of GLUE; pairs are joined by SEPARATOR.

    GLUE keeps the labels of its test part to itself: here test is its validation part (mnli's is the matched one), and
    dev one in HELD_OUT of the training part's sentences. Raises UserError for an unknown task, and for one that cannot
    be read.
    """
    if name not in GLUE:
        raise UserError(f"unknown GLUE task {name!r}: choose a classification of {', '.join(GLUE)}")
    _check_part(part)
    where = f"glue:{name}"
    validation = "validation_matched" if name == "mnli" else "validation"
    rows, names = _hub(where, name, validation if part == "test" else "train")
    if part != "test":
        rows = [
            row for n, row in enumerate(rows) if (n % HELD_OUT == HELD_OUT - 1) == (part == "dev")
        ]
    try:
        texts = [SEPARATOR.join(row[column] for column in GLUE[name]) for row in rows]
        labels = [int(row["label"]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} has other columns than GLUE's ({error}): update datasets"
        ) from None
    if not rows or not 0 <= min(labels) <= max(labels) < len(names):
        raise UserError(f"{where}, {part}: no sentences, or some without a label: update datasets")
    return Labelled(tuple(texts), tuple(labels), names)


def _hub(where: str, name: str, split: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The rows of GLUE on Hugging Face's hub, and the names of its classes."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(
            f"{where} needs the datasets package: pip install 'cognitive-reserve[text]'"
        ) from None
    try:
        dataset = load_dataset("nyu-mll/glue", name, split=split)
        return list(dataset), tuple(dataset.features["label"].names)
    except Exception as error:  # the package has many, of its own and of its transports
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read {where} ({reason}): check the connection") from None


def _labelled(path: Path, columns: int, names: Sequence[str] | None) -> Labelled:
    """Of a file of lines of so many columns, whose last two are label and sentence."""
    rows: list[tuple[int, str, str]] = []
    for number, line in enumerate(lines(path), start=1):
        cells = line.split("\t")
        if len(cells) != columns or not all(cell.strip() for cell in cells):
            raise UserError(
                f"{path}, line {number}: {len(cells)} columns, or an empty one: "
                f"give {'a label' if columns == 2 else 'an id, a label'} and a sentence, divided by tabs"
            )
        rows.append((number, cells[-2], cells[-1]))
    _check_columns(path, [label for _, label, _ in rows], [text for _, _, text in rows], names)
    known = tuple(sorted({label for _, label, _ in rows})) if names is None else tuple(names)
    if len(known) < 2:
        raise UserError(f"{path}: all labels are {known[0]}: give sentences of two classes or more")
    for number, label, _ in rows:
        if label not in known:
            raise UserError(
                f"{path}, line {number}: unknown label {label!r}: give one of {', '.join(known)}"
            )
    return Labelled(
        tuple(sentence for _, _, sentence in rows),
        tuple(known.index(label) for _, label, _ in rows),
        known,
    )


HEADS = (
    {*("label", "labels", "category", "class", "topic", "target", "tag", "gold_label", "y")},
    {*("sentence", "sentences", "text", "content", "document", "utterance", "review", "x")},
)
"""How tables that have a row of names call the columns of labels and of sentences."""


def _check_columns(
    path: Path, labels: Sequence[str], sentences: Sequence[str], names: Sequence[str] | None
) -> None:
    """Raise UserError for a first row that names the columns, and for columns that are swapped."""
    label, sentence = labels[0], sentences[0]
    cells = {label.strip().lower(), sentence.strip().lower()}
    known = labels.count(label) > 1 if names is None else label in names
    if not known and (all(cells & head for head in HEADS) or sentence.strip().lower() in HEADS[1]):
        raise UserError(
            f"{path}, line 1: {label!r} and {sentence!r} are names of columns: take that line out"
        )
    classes, texts = len(set(labels)), len(set(sentences))
    length = [sum(map(len, column)) for column in (labels, sentences)]
    swapped = classes > texts or (length[0] > length[1] and classes > max(len(labels) // 2, 2))
    if swapped and names is None:
        raise UserError(
            f"{path}: the column of labels has {classes} different entries, as {labels[0][:40]!r}, and that of "
            f"sentences {texts}, as {sentences[0][:40]!r}: put the label before the sentence"
        )


def _packed(folder: Path, stem: str) -> Path:
    """The .tsv file of that name, packed or not."""
    paths = [folder / f"{stem}.tsv{packed}" for packed in ("", ".gz", ".xz")]
    for path in paths:
        if path.is_file():
            return path
    raise NotThere(f"{paths[0]}: no such file (nor .gz, .xz): put it there")


def _check_part(part: str) -> None:
    if part not in PARTS:
        raise UserError(f"unknown part {part!r}: choose from {', '.join(PARTS)}")
