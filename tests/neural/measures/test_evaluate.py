import json
import sys
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt import checkpoint
from neural.gpt.config import ModelConfig
from neural.gpt.model import token_losses
from neural.measures import evaluate
from neural.measures.evaluate import Arguments, rows
from neural.measures.scoring import Scores, Sliding, pieces, score
from neural.text import corpus
from neural.text.tokenizer import ByteTokenizer
from neural.text.tokens import Tokens, encoded
from neural.train.data import Data
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig
from neural.train.run import Run
from sim.runs.errors import UserError
from tests.neural.random_model import random_parameters
from tests.strategies import seeded

MODEL = ModelConfig(layers=1, width=8, heads=2, context=8, vocabulary=257)
END = ByteTokenizer.end_of_text
ROUNDING = 1e-5
"""Relative, of float32 sums of some tens of losses that are computed in batches of other shapes."""


def random_tokens(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    ids = [np.append(rng.integers(0, 256, length - 1), END) for length in lengths]
    sizes = np.array(lengths) - 1
    return Tokens(np.concatenate(ids).astype(np.uint16), np.cumsum(lengths), sizes)


losses_of = jax.jit(partial(token_losses, config=MODEL))


def by_definition(parameters, tokens, sliding):
    """The loss of each token that is scored (NaN of the others), one window and one token at a time."""
    stream = np.concatenate([[END], tokens.ids, np.zeros(sliding.window)]).astype(np.int32)
    placed = jax.device_put(parameters)
    scored_losses = np.full(len(tokens.ids), np.nan)
    for start in range(0, len(tokens.ids), sliding.stride):
        end = min(start + sliding.window, len(tokens.ids))
        window = stream[None, start : start + sliding.window + 1]
        losses = np.asarray(losses_of(placed, window[:, :-1], window[:, 1:]))[0]
        for position in range(end - start):
            fresh = np.isnan(scored_losses[start + position])
            if fresh if sliding.span is None else sliding.span[0] <= position < sliding.span[1]:
                scored_losses[start + position] = losses[position]
    return scored_losses


@pytest.mark.parametrize(
    ("sliding", "lengths"),
    [
        (Sliding(8, 4), (30, 1, 9)),
        (Sliding(8, 8), (30, 1, 9)),
        (Sliding(5, 1), (30, 1, 9)),
        (Sliding(8, 8, (6, 8)), (30, 1, 9)),
        (Sliding(8, 2, (6, 8)), (30, 1, 9)),
        (Sliding(8, 4), (8,)),
        (Sliding(8, 4), (3,)),
        (Sliding(8, 2, (6, 8)), (7,)),
    ],
    ids=str,
)
def test_scores_are_the_sums_of_their_definition(sliding, lengths):
    parameters, tokens = random_parameters(MODEL), random_tokens(*lengths)
    wanted = by_definition(parameters, tokens, sliding)
    scores = score(parameters, MODEL, tokens, sliding, batch=3)
    begins = np.append(0, tokens.ends[:-1])
    for document, (begin, end) in enumerate(zip(begins, tokens.ends, strict=True)):
        there = ~np.isnan(wanted[begin:end])
        assert scores.scored[document] == there.sum()
        total = wanted[begin:end][there].sum()
        assert scores.nats[document] == pytest.approx(total, rel=ROUNDING)
    np.testing.assert_array_equal(scores.tokens, lengths)


@seeded
@given(
    n=st.integers(1, 60), window=st.integers(1, 20), stride=st.integers(1, 20), start=st.integers(0)
)
def test_every_token_is_scored_once_with_the_context_promised(n, window, stride, start):
    sliding = Sliding(window, min(stride, window))
    sliding.check(window)
    counts = np.zeros(n, dtype=int)
    for begin, low, high in sliding.places(n):
        counts[low:high] += 1
        assert begin <= low < high <= min(begin + window, n)
        assert begin == 0 or low - begin >= window - sliding.stride
    assert (counts == 1).all()
    first = start % window
    span = Sliding(window, window, (first, window))
    counts = np.zeros(n, dtype=int)
    for _, low, high in span.places(n):
        counts[low:high] += 1
    np.testing.assert_array_equal(counts, np.arange(n) % window >= first)


def test_more_context_is_used():
    """The same tokens lose other nats when windows overlap: the stride reaches the model."""
    parameters, tokens = random_parameters(MODEL), random_tokens(64)
    close, apart = (score(parameters, MODEL, tokens, Sliding(8, s)).nats[0] for s in (1, 8))
    assert abs(close - apart) > 1e-3 * apart


def test_copies_score_as_each_alone_whichever_parameters_they_share():
    tokens, sliding = random_tokens(20, 13), Sliding(8, 4)
    first, other = random_parameters(MODEL), random_parameters(MODEL, 1)
    hit = {name for name in first if "attn" in name}
    mixed = {name: other[name] if name in hit else first[name] for name in first}
    stacked = {
        name: np.stack([first[name], other[name]]) if name in hit else first[name] for name in first
    }
    together = score(stacked, MODEL, tokens, sliding)
    assert together.nats.shape == (2, 2)
    for row, parameters in zip(together.nats, (first, mixed), strict=True):
        alone = score(parameters, MODEL, tokens, sliding)
        np.testing.assert_allclose(row, alone.nats, rtol=ROUNDING)
    estimates = together.estimates()
    assert {name: value.low.shape for name, value in estimates.items()} == {
        "nats_per_token": (2,),
        "perplexity": (2,),
        "bits_per_byte": (2,),
    }
    with pytest.raises(ValueError, match="one number of copies"):
        score(stacked | {"wte.weight": np.stack([first["wte.weight"]] * 3)}, MODEL, tokens, sliding)


def test_one_program_whatever_the_lengths():
    traces = []

    def counted(*arguments, **options):
        traces.append(1)
        return token_losses(*arguments, **options)

    from neural.measures import scoring

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "token_losses", counted)
        config = replace(MODEL, heads=4)  # of no other test: compiled programs are kept
        parameters = random_parameters(MODEL)
        for lengths in ((40, 7), (33,), (100, 20, 1)):
            score(parameters, config, random_tokens(*lengths), Sliding(8, 4), batch=4)
    assert len(traces) == 1


def test_measures_of_a_uniform_model():
    """Whose every token costs log V, whatever the text: 1 bit a byte at 1 / log2 V tokens a byte."""
    tokens = random_tokens(60, 40)
    tokens = Tokens(tokens.ids, tokens.ends, np.array([600, 400]))
    zero = {name: np.zeros_like(array) for name, array in random_parameters(MODEL).items()}
    estimates = score(zero, MODEL, tokens, Sliding(8, 4)).estimates()
    for name, value in {
        "nats_per_token": np.log(257),
        "perplexity": 257,
        "bits_per_byte": np.log2(257) / 10,
    }.items():
        for part in estimates[name]:
            assert part == pytest.approx(value, rel=ROUNDING)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 200 texts whose documents cost 2 nats a token on average: 95 % of 95 %-intervals, less the 5 % or so by
    which percentiles of 40 documents are too narrow; chance leaves it within 0.88 to 0.99 (4 standard errors).
    """
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(50, 150, 40)
        nats = rng.normal(2, 0.5, 40) * lengths
        scores = Scores(nats, lengths, lengths, 4 * lengths)
        _, low, high = scores.estimates(resamples=200)["nats_per_token"]
        held += low <= 2 <= high
    assert 0.87 <= held / 200 <= 0.99


def test_intervals_are_of_the_seed_alone_and_narrow_with_documents():
    rng = np.random.default_rng(0)

    def scores(documents):
        lengths = np.full(documents, 100)
        return Scores(rng.normal(200, 50, documents), lengths, lengths, lengths)

    few, large = scores(30), scores(3000)
    assert few.estimates(seed=1) == few.estimates(seed=1) != few.estimates(seed=2)
    widths = [np.ptp(part.estimates()["bits_per_byte"][1:]) for part in (few, large)]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.5)


def test_one_document_gives_no_interval():
    scores = Scores(np.array([20.0]), np.array([10]), np.array([10]), np.array([10]))
    value, low, high = scores.estimates()["nats_per_token"]
    assert value == 2
    assert np.isnan([low, high]).all()


def test_a_document_counts_from_one_scored_token_on() -> None:
    tokens = np.array([2, 4, 3])
    scores = Scores(np.array([2.0, 6.0, 0.0]), np.array([1, 3, 0]), tokens, 4 * tokens)
    estimates = scores.estimates(resamples=50)
    assert estimates["nats_per_token"].value == pytest.approx(8 / 4)
    assert estimates["bits_per_byte"].value == pytest.approx(8 / np.log(2) / (4 + 12))


def test_a_text_of_few_documents_is_divided():
    divided = pieces(random_tokens(3000, 5000))
    assert len(divided.ends) == 100
    assert divided.bytes == 7998
    assert np.ptp(np.diff(divided.ends, prepend=0)) <= 1
    for whole in (random_tokens(*[200] * 40), random_tokens(20), random_tokens(*[20] * 10)):
        assert pieces(whole) is whole


@pytest.mark.parametrize(
    ("sliding", "words"),
    [
        (Sliding(9, 1), "window 9: give 1 to 8"),
        (Sliding(0, 1), "window 0"),
        (Sliding(8, 9), "stride 9: give 1 to 8"),
        (Sliding(8, 0), "stride 0"),
        (Sliding(8, 8, (6, 9)), "within 0 to 8"),
        (Sliding(8, 8, (6, 6)), "two positions"),
        (Sliding(8, 1, (6, 8)), "give 2 or more"),
    ],
)
def test_windows_that_cannot_be_are_refused(sliding, words):
    with pytest.raises(UserError, match=words):
        score(random_parameters(MODEL), MODEL, random_tokens(9), sliding)


def test_a_span_beyond_the_text_is_refused():
    with pytest.raises(UserError, match="give more text"):
        score(random_parameters(MODEL), MODEL, random_tokens(6), Sliding(8, 2, (6, 8)))


TEXT = {
    "en": "The king wrote.\nIt rained for a week.\n",
    "el": "Ο βασιλιάς έγραψε.\nΈβρεχε μια εβδομάδα.\n",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two seeds on two languages, as training leaves it, with weights that are random."""
    folder = tmp_path_factory.mktemp("evaluate")
    source = folder / "text"
    source.mkdir()
    for language, text in TEXT.items():
        for number, split in enumerate(("train", "valid", "test")):
            path = source / f"{language}.{split}.txt"
            path.write_text("".join(f"{number} {line} {text}" for line in range(9)))
    config = TrainConfig(
        MODEL, OptimiserConfig(steps=1), languages=("en,el",), seeds=(0, 1), corpus=(str(source),)
    )
    tokenizer = ByteTokenizer()
    text = corpus.load(config.corpus, ("en", "el"))
    fingerprint = f"{text.fingerprint}-{tokenizer.fingerprint}"
    data = Data(tokenizer, 257, {}, {}, {}, fingerprint)
    made = Run(folder / "run")
    with made.written(config, data, resume=False):
        for member in config.members:
            for step in (0, 1):
                checkpoint.save(
                    made.file(member, step),
                    random_parameters(MODEL, 10 * member.seed + step),
                    MODEL,
                    step=step,
                    seed=member.seed,
                    languages="en,el",
                    tokens={},
                    fingerprint=tokenizer.fingerprint,
                    run="0",
                )
    return made.folder


def test_every_model_is_scored_on_every_language_of_its_run(run):
    score_rows = list(rows(Arguments(str(run))))
    assert [(row["model"], row["step"], row["language"]) for row in score_rows] == [
        (f"seed-{seed}", 1, language) for seed in (0, 1) for language in ("en", "el")
    ]
    greek = score_rows[3]
    text = corpus.load((str(run.parent / "text"),)).documents("el", "valid")
    assert greek["bytes"] == sum(len(item.text.encode()) for item in text)
    tokens = encoded([item.text for item in text], ByteTokenizer())
    assert greek["tokens"] == len(tokens.ids)
    wanted = score(random_parameters(MODEL, 11), MODEL, tokens, Sliding(8, 4)).nats.sum()
    assert greek["nats_per_token"] * greek["tokens"] == pytest.approx(wanted, rel=ROUNDING)
    bits = wanted / np.log(2) / greek["bytes"]
    assert greek["bits_per_byte"] == pytest.approx(bits, rel=ROUNDING)
    assert greek["perplexity"] == pytest.approx(np.exp(greek["nats_per_token"]))
    assert greek["perplexity_low"] < greek["perplexity"] < greek["perplexity_high"]


def test_what_is_scored_can_be_chosen(run, tmp_path):
    def record(**options):
        (row,) = rows(Arguments(str(run / "seed-0"), **options))
        return row

    english = record(languages=("en",))
    assert english["language"] == "en"
    assert record(languages=("en",), step=0)["perplexity"] != english["perplexity"]
    assert record(languages=("en",), on="test")["perplexity"] != english["perplexity"]
    path = tmp_path / "own.txt"
    path.write_text("Ό,τι θέλεις, και 12.\n")
    own = record(on=str(path))
    assert (own["language"], own["documents"], own["bytes"]) == ("own.txt", 1, 32)
    assert own["tokens"] == 33
    other = record(corpus=(str(run.parent / "text"),), languages=("en",), on="train")
    assert other["bytes"] > english["bytes"], "passages of train are left out of valid"
    assert other["perplexity"] != english["perplexity"]


def test_batch_and_dtype_change_little(run):
    plain, small, narrow = (
        next(rows(Arguments(str(run), languages=("el",), **options)))
        for options in ({}, {"batch": 3}, {"dtype": "bfloat16"})
    )
    assert small["perplexity"] == pytest.approx(plain["perplexity"], rel=ROUNDING)
    assert small["tokens"] == narrow["tokens"] == plain["tokens"]
    # bfloat16 keeps 8 bits: 0.4 % of logits that are some units large.
    assert narrow["nats_per_token"] == pytest.approx(plain["nats_per_token"], rel=0.02)
    assert narrow["nats_per_token"] != plain["nats_per_token"]


def test_the_command_prints_a_table_or_json(run, monkeypatch, capsys):
    def printed(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluate", str(run / "seed-1"), *arguments])
        assert evaluate.main() == 0
        return capsys.readouterr().out.splitlines()

    table = printed()
    assert table[0].split()[0] == "model"
    assert [line.split()[:3] for line in table[1:]] == [
        ["seed-1", "1", "en"],
        ["seed-1", "1", "el"],
    ]
    lines = [json.loads(line) for line in printed("--json", "--languages", "el")]
    assert [line["language"] for line in lines] == ["el"]
    assert f"{lines[0]['bits_per_byte']:.4f}" in table[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--languages", "fr"], "unknown language 'fr'"),
        (["--on", "nowhere.txt"], "no such file"),
        (["--window", "9"], "window 9: give 1 to 8"),
        (["--stride", "9"], "stride 9"),
        (["--span", "6", "9"], "span 6 to 9"),
        (["--batch", "0"], "batch 0"),
        (["--seed", "-1"], "--seed -1: give a whole number >= 0"),
        (["--step", "5"], "no checkpoint of step 5"),
        (["--corpus", "nowhere"], "no such file"),
    ],
)
def test_bad_input_is_one_line(run, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(sys, "argv", ["evaluate", str(run), *arguments])
    assert evaluate.main() == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.startswith("neural.evaluate: ")
    assert words in error
    assert error.count("\n") == 1


def message(arguments):
    with pytest.raises(UserError) as caught:
        list(rows(arguments))
    return str(caught.value)


def test_text_of_one_file_has_no_languages_to_choose(run):
    path = run.parent / "text" / "en.valid.txt"
    assert "leave out" in message(Arguments(str(run), on=str(path), languages=("en",)))


def test_an_empty_part_is_refused(run, tmp_path):
    (tmp_path / "en.train.txt").write_text(TEXT["en"])
    assert "no valid text" in message(Arguments(str(run), corpus=(str(tmp_path),)))


def test_text_that_changed_since_training_is_refused(run):
    """Its validation part may have been trained on."""
    path = run.parent / "text" / "en.train.txt"
    content = path.read_text()
    path.write_text(content + "More.\n")
    try:
        assert "no longer the text" in message(Arguments(str(run)))
    finally:
        path.write_text(content)


def test_a_checkpoint_alone_needs_text(run, tmp_path):
    folder = tmp_path / "copied"
    (folder / "seed-0").mkdir(parents=True)
    for path in (run / checkpoint.TOKENIZER, *(run / "seed-0").iterdir()):
        (folder / path.relative_to(run)).write_bytes(path.read_bytes())
    assert "add --corpus" in message(Arguments(str(folder)))
    score_rows = list(rows(Arguments(str(folder), corpus=(str(run.parent / "text"),))))
    assert {row["language"] for row in score_rows} == {"en", "el"}
