"""What reading the run folders of studies has in common, and names for their models.

A study's own `read` raises OtherKind for a run of another kind, MissingRows for a study that is not done, and
UserError for one of another version.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from figures.engine.rooms import called
from figures.engine.runs import MissingRows, OtherKind, kind
from sim.runs.errors import UserError

S = TypeVar("S")


def of_kind(run: Path, name: str) -> None:
    """Raise OtherKind for a run of another kind."""
    if kind(run) != name:
        raise OtherKind(f"{run} is no {called(name)}: give --from a folder of `{_command(name)}`")


def _command(name: str) -> str:
    return f"python -m neural.{name}"


def plan_of(run: Path, name: str, study: type[S]) -> S:
    """What a study's folder records that it is."""
    from neural.study.record import recorded

    return recorded(run, study, name)


@contextmanager
def done() -> Iterator[None]:
    """What cannot be read of a study's results is missing."""
    try:
        yield
    except UserError as error:
        raise MissingRows(str(error)) from None


def complete(run: Path, name: str, lacks: str = "") -> None:
    """Raise MissingRows where there is something that a study's results lack."""
    if lacks:
        raise MissingRows(f"{run} has no {lacks}: finish it with `{_command(name)} --resume`")


def over_seeds(
    rows: pd.DataFrame, keys: Sequence[str], column: str, *, log: bool = False
) -> pd.DataFrame:
    """By keys: `value`, the mean of a column over `seeds` seeds, and its 95 % interval (`low`, `high`; NaN for one).

    log: the column is positive, and its geometric mean is taken. What is NaN is left out; several rows of a seed count
    as their mean.
    """
    from neural.measures.intervals import interval

    keys = list(keys)
    known = rows[rows[column].notna()]
    values = np.log(known[column]) if log else known[column]
    by_seed = known.assign(_value=values).groupby([*keys, "seed"], sort=False)["_value"].mean()
    lines = []
    for key, of_seeds in by_seed.groupby(level=keys, sort=False):
        estimate = interval(of_seeds.to_numpy())
        ends = [float(end) for end in (estimate.value, estimate.low, estimate.high)]
        place = key if isinstance(key, tuple) else (key,)
        lines.append([*place, *(np.exp(ends) if log else ends), len(of_seeds)])
    return pd.DataFrame(lines, columns=[*keys, "value", "low", "high", "seeds"])


LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hi": "Hindi",
    "tr": "Turkish",
    "zh": "Chinese",
}
DISTANCES = {0.0: "one genus", 1.0: "one family", 2.0: "two families", np.nan: "unknown families"}
"""Of languages, as neural.text.languages.family_distance."""
DOMAINS = {
    "bible": "Bible",
    "gutenberg": "books",
    "msdocs": "documentation",
    "gnomedocs": "desktop help",
    "mozilla_www": "web site",
    "commonvoice": "spoken sentences",
}


def named(models: Iterable[str]) -> dict[str, str]:
    """What to call models: by languages, and by kinds of text where a language, or else a name, comes twice."""
    labels = {model: _name(model.split("+")) for model in models}
    names = list(labels.values())
    return {
        model: name if names.count(name) == 1 else f"{name} ({_domain(model.split('+')[0])})"
        for model, name in labels.items()
    }


def _name(texts: list[str]) -> str:
    first, *others = texts
    language = _language(first)
    names = [language]
    for text in others:
        if _language(text) != language:
            names.append(_language(text))
        elif _domain(text) != _domain(first):
            names.append(_domain(text))
        else:
            names.append(f"another {language} {_domain(text)}")
    return " + ".join(names)


def _language(text: str) -> str:
    """Of "en@bible" English, and of "en_asv", another text in English, too."""
    code = text.split("@")[0]
    return LANGUAGES.get(code.split("_")[0], code)


def _domain(text: str) -> str:
    domain = text.partition("@")[2]
    return DOMAINS.get(domain, domain or "all texts")
