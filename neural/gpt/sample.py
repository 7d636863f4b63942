"""python -m neural.sample: let a trained model go on with a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sim.runs.command import command
from sim.runs.errors import UserError
from sim.runs.options import Count, CountOrNone, Options, Seed

if TYPE_CHECKING:
    from neural.text.tokenizer import Tokenizer

UNFINISHED = "\ufffd"
"""What a character becomes whose last bytes are missing, and bytes that are no character."""


@dataclass(frozen=True)
class Arguments(Options):
    """Write on, from a prompt or from nothing, until the model ends the text. The first text appears as it is made."""

    run: str
    """What neural.train or neural.hf wrote: a run of one model, a model's folder, or a checkpoint."""
    prompt: str = ""
    """What the text begins with."""
    samples: Count = 1
    """Texts."""
    length: Count = 200
    """Tokens after the prompt, at most."""
    temperature: float = 1.0
    """Below 1 the likely becomes likelier; 0 takes the likeliest token each time."""
    top_k: Count | None = None
    """Draw from so many tokens, the likeliest."""
    top_p: float = 1.0
    """Draw from the fewest tokens that have this probability together."""
    seed: Seed = 0
    """The same seed gives the same text."""
    step: CountOrNone | None = None
    """Of the checkpoint (default: the last)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of activations."""


class Decoder:
    """The text of ids that come one by one after others; up to the last character whose bytes are all there.

    Ids are decoded with those just before them: of many tokenizers a token is decoded without its space where it is the
    first.
    """

    def __init__(self, tokenizer: "Tokenizer", before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._before = list(before)
        self._held: list[int] = []

    def push(self, token: int) -> str:
        """What can be shown now."""
        self._held.append(token)
        text = self._text()
        if text.endswith(UNFINISHED):
            return ""
        self._before, self._held = self._held, []
        return text

    def rest(self) -> str:
        """What is left at the end."""
        text = self._text()
        self._before, self._held = self._before + self._held, []
        return text

    def _text(self) -> str:
        shown = self._tokenizer.decode(self._before) if self._before else ""
        whole = self._tokenizer.decode(self._before + self._held) if self._held else shown
        return whole[len(shown) :]


def write(arguments: Arguments) -> Iterator[str]:
    """Pieces of the text, in order. Raises UserError for what cannot be sampled."""
    import numpy as np

    from neural.gpt import cache
    from neural.gpt.checkpoint import load
    from neural.gpt.config import Compute
    from neural.gpt.generate import Sampling, generate
    from neural.gpt.memory import require_running

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p)
    sampling.check()
    compute = Compute(arguments.dtype)
    try:
        arguments.prompt.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"--prompt is not valid text at character {error.start}: give it in the terminal's encoding"
        ) from None
    model = load(Path(arguments.run), arguments.step)
    kept = cache.size(model.model, compute)
    require_running(model.model, arguments.samples, arguments.length, kept)
    tokenizer = model.tokenizer
    end = tokenizer.end_of_text
    prompt = np.concatenate([[end], tokenizer.encode(arguments.prompt)])
    made = generate(
        model.parameters,
        model.model,
        prompt,
        samples=arguments.samples,
        length=arguments.length,
        sampling=sampling,
        seed=arguments.seed,
        vocabulary=tokenizer.vocabulary,
        without=tokenizer.holes.tolist(),
        compute=compute,
    )
    yield arguments.prompt
    last = prompt[1:][-1:].tolist()  # the end of the text before is none of this
    first = Decoder(tokenizer, last)
    texts: list[list[int]] = [[] for _ in range(arguments.samples)]
    ended = np.zeros(arguments.samples, dtype=bool)
    for tokens in made:
        ended |= tokens == end
        if not ended[0]:
            yield first.push(int(tokens[0]))
        for index in np.flatnonzero(~ended):
            texts[index].append(int(tokens[index]))
        if ended.all():
            break
    yield first.rest() + "\n"
    for text in texts[1:]:
        decoder = Decoder(tokenizer, last)
        shown = "".join(map(decoder.push, text)) + decoder.rest()
        yield f"---\n{arguments.prompt}{shown}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command("neural.sample", Arguments, _main, arguments, positional=True)


def _main(arguments: Arguments) -> int:
    for piece in write(arguments):
        print(piece, end="", flush=True)
    return 0
