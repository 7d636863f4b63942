import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from neural.gpt import checkpoint, hf, sample
from neural.gpt.config import ModelConfig
from neural.gpt.generate import Sampling, choose, generate
from neural.gpt.model import logits
from neural.gpt.sample import Arguments, Decoder, write
from neural.text.tokenizer import ByteTokenizer
from neural.text.tokenizer import save as save_tokenizer
from sim.runs.errors import UserError
from tests.neural.random_model import random_parameters
from tests.places import FIXTURES
from tests.strategies import seeded

pytestmark = pytest.mark.usefixtures("soon_compiled")

MODEL = ModelConfig(layers=1, width=8, heads=2, context=8, vocabulary=260)
GREEDY = Sampling(temperature=0)
FIXTURE = FIXTURES / "gpt2"


@pytest.fixture(scope="module")
def parameters():
    return random_parameters(MODEL, scale=1)


def generated(parameters, prompt, vocabulary=257, **options):
    made = generate(parameters, MODEL, np.array(prompt), vocabulary=vocabulary, **options)
    return np.array(list(made))


def test_the_cache_writes_what_whole_passes_would(parameters):
    """Beyond the context too, where the latter half of what was seen is read again."""
    whole = jax.jit(partial(logits, config=MODEL))
    placed, seen = jax.device_put(parameters), [5, 7, 11]
    tokens = generated(parameters, seen, length=14, sampling=GREEDY)[:, 0]
    for token in tokens:
        if len(seen) > MODEL.context:
            seen = seen[-MODEL.context // 2 :]
        padded = np.pad(seen, (0, MODEL.context - len(seen)))
        assert token == whole(placed, padded[None])[0, len(seen) - 1, :257].argmax()
        seen.append(int(token))
    assert len(set(tokens.tolist())) >= 4, "the text is too simple to tell right from wrong"


def test_greedy_text_is_that_of_transformers():
    expected = load_file(FIXTURE / "expected.safetensors")["greedy"][0]
    weights, config = hf.read(FIXTURE)
    tokens = list(generate(weights, config, expected[:5], length=11, sampling=GREEDY))
    np.testing.assert_array_equal(np.concatenate(tokens), expected[5:])


def test_a_prompt_beyond_the_context_loses_its_beginning(parameters):
    long = list(range(20))
    tokens = generated(parameters, long, length=3, sampling=GREEDY)
    np.testing.assert_array_equal(
        tokens, generated(parameters, long[-8:], length=3, sampling=GREEDY)
    )


def test_text_is_of_the_seed_alone_and_samples_differ(parameters):
    prompt = [1, 2, 3, 4]  # as long as what is read again elsewhere, by the same program
    first = generated(parameters, prompt, length=4, samples=3, seed=4)
    np.testing.assert_array_equal(first, generated(parameters, prompt, length=4, samples=3, seed=4))
    np.testing.assert_array_equal(first[:, :1], generated(parameters, prompt, length=4, seed=4))
    assert (first != generated(parameters, prompt, length=4, samples=3, seed=5)).any()
    assert len({tuple(column) for column in first.T}) == 3


def test_ids_without_a_meaning_are_never_drawn(parameters):
    biased = parameters | {"ln_f.weight": np.zeros(8), "ln_f.bias": np.ones(8, np.float32)}
    biased["wte.weight"] = parameters["wte.weight"].copy()
    biased["wte.weight"][257:] = 10
    prompt = [5, 7, 11]
    assert generated(biased, prompt, None, length=1, sampling=GREEDY)[0] >= 257
    for sampling in (GREEDY, Sampling(top_k=300)):
        assert generated(biased, prompt, length=1, sampling=sampling)[0] < 257


def drawn(probabilities, sampling, draws=4000):
    """How often each token is drawn."""
    rows = jnp.log(jnp.tile(jnp.array(probabilities), (draws, 1)))
    tokens = np.asarray(jax.jit(choose, static_argnums=2)(rows, jax.random.key(0), sampling))
    return np.bincount(tokens, minlength=len(probabilities)) / draws


@pytest.mark.parametrize(
    ("sampling", "wanted"),
    [
        (Sampling(), [0.1, 0.4, 0.3, 0.2]),
        (Sampling(temperature=0.5), np.array([0.01, 0.16, 0.09, 0.04]) / 0.3),
        (Sampling(top_k=2), [0, 4 / 7, 3 / 7, 0]),
        (Sampling(top_p=0.6), [0, 4 / 7, 3 / 7, 0]),
        (Sampling(top_p=0.75), [0, 4 / 9, 3 / 9, 2 / 9]),
        (Sampling(top_p=1e-9), [0, 1, 0, 0]),
        (Sampling(top_k=3, top_p=0.5), [0, 4 / 7, 3 / 7, 0]),
        (GREEDY, [0, 1, 0, 0]),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_they_should(sampling, wanted):
    """4000 draws: 4 standard errors are 0.032; and what is excluded is never drawn."""
    frequencies = drawn([0.1, 0.4, 0.3, 0.2], sampling)
    np.testing.assert_allclose(frequencies, wanted, atol=0.032)
    assert (frequencies[np.array(wanted) == 0] == 0).all()


def test_ties_leave_exactly_as_many_as_asked():
    assert (drawn([0.25] * 4, Sampling(top_k=2)) > 0).sum() == 2
    assert (drawn([0.25] * 4, Sampling(top_p=0.5)) > 0).sum() == 2


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        (Sampling(temperature=-1), "temperature -1"),
        (Sampling(temperature=float("nan")), "temperature nan"),
        (Sampling(top_k=0), "top-k 0"),
        (Sampling(top_p=0), "top-p 0"),
        (Sampling(top_p=1.1), "top-p 1.1"),
    ],
)
def test_sampling_that_cannot_be_is_refused(parameters, sampling, words):
    with pytest.raises(UserError, match=words):
        generated(parameters, [1], sampling=sampling)


@seeded
@given(st.lists(st.integers(0, 255), max_size=20))
def test_pieces_join_to_the_whole(ids):
    tokenizer = ByteTokenizer()
    decoder = Decoder(tokenizer)
    text = "".join(decoder.push(token) for token in ids) + decoder.rest()
    assert text == (tokenizer.decode(ids) if ids else "")


def test_characters_appear_when_they_are_whole():
    tokenizer = ByteTokenizer()
    decoder = Decoder(tokenizer)
    shown = [decoder.push(token) for token in tokenizer.encode("aé語")]
    assert shown == ["a", "", "é", "", "", "語"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, parameters):
    folder = tmp_path_factory.mktemp("sample")
    save_tokenizer(ByteTokenizer(), folder / checkpoint.TOKENIZER)
    checkpoint.save(
        checkpoint.file_of(folder / "seed-0", 3),
        parameters,
        MODEL,
        step=3,
        seed=0,
        languages="",
        tokens={},
        fingerprint=ByteTokenizer().fingerprint,
        run="0",
    )
    return folder


def test_a_prompt_is_gone_on_with(run, monkeypatch, capsys, parameters):
    arguments = ["--prompt", "Γεια", "--length", "20", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", ["sample", str(run), *arguments])
    assert sample.main() == 0
    text = capsys.readouterr().out
    tokenizer = ByteTokenizer()
    prompt = np.append(tokenizer.end_of_text, tokenizer.encode("Γεια"))
    ids = generated(parameters, prompt, length=20, seed=3)[:, 0]
    assert tokenizer.end_of_text not in ids
    assert text == "Γεια" + tokenizer.decode(ids) + "\n"


def test_several_samples_and_their_ends(run, monkeypatch):
    """A sample ends where the model ends it; the others go on."""
    end = ByteTokenizer.end_of_text
    script = [[97, 98, 99], [98, end, 99], [end, 99, 99], [97, 97, end], [120, 120, 120]]
    scripted = (np.array(row) for row in script)
    monkeypatch.setattr("neural.gpt.generate.generate", lambda *_, **__: scripted)
    text = "".join(write(Arguments(str(run), prompt="> ", samples=3)))
    assert text == "> ab\n---\n> b\n---\n> ccc\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 0}, "--samples 0"),
        ({"length": 0}, "--length 0"),
        ({"seed": -1}, "--seed -1"),
        ({"top_p": 2.0}, "top-p 2.0"),
        ({"prompt": "a\udcff"}, "--prompt is not valid text at character 1"),
        ({"step": 4}, "no checkpoint of step 4"),
    ],
)
def test_bad_input_is_one_line(run, options, words):
    with pytest.raises(UserError) as caught:
        list(write(Arguments(str(run), **options)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_samples_whose_cache_does_not_fit_are_refused(run, monkeypatch):
    """1,000 samples of 200 tokens, with 260 logits each, are 1.8 MB; keys and values of 8 positions are 0.5 MB."""
    monkeypatch.setattr("neural.gpt.generate.generate", lambda *_, **__: iter([np.full(1000, 256)]))
    monkeypatch.setattr("sim.runs.memory.available", lambda: 2_500_000)
    list(write(Arguments(str(run), samples=1000)))
    monkeypatch.setattr("sim.runs.memory.available", lambda: 2_200_000)
    with pytest.raises(
        UserError, match=r"on 1000 sequences at once: at least .* take fewer at once"
    ):
        list(write(Arguments(str(run), samples=1000)))


def test_a_foreign_file_and_a_pickle_are_refused(tmp_path, monkeypatch, capsys):
    for content, words in ((b"\x80\x04.", "was not read"), (b"not a model", "no foreign.json")):
        (tmp_path / "foreign.safetensors").write_bytes(content)
        monkeypatch.setattr(sys, "argv", ["sample", str(tmp_path / "foreign.safetensors")])
        assert sample.main() == 2
        assert words in capsys.readouterr().err
