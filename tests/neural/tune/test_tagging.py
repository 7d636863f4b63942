"""Tags of words: labels and words that a batch holds, logits by hand, entities' F1, refusals."""

import jax
import numpy as np

from neural.gpt.model import DEFAULT, states
from neural.measures.words import NONE
from neural.text import ner
from neural.text.ner import TAGS, joined
from neural.text.tokenizer import ByteTokenizer
from neural.tune.tagging import UPOS, entity_measure, logits, named_entities, parts_of_speech
from tests.neural.refusal import message
from tests.neural.tune.test_objective import CONFIG, SEEDS, models, sentence


def entities(words: str, tags: str) -> ner.Sentence:
    text, spans = joined(words.split())
    return ner.Sentence("a", text, tuple(words.split()), spans, tuple(tags.split()))


def test_words_beyond_the_context_have_no_label() -> None:
    """The context holds an end-of-text and 23 bytes; all parts have room for as many words."""
    short, long = sentence(["a", "b"], ["X", "ADJ"]), sentence(["x" * 9] * 3, ["VERB", "X", "NUM"])
    sentences = {("en", "train"): [short], ("el", "test"): [short, long]}
    task = parts_of_speech(sentences, ByteTokenizer(), CONFIG, ("en",))
    x, adjective, verb = (UPOS.index(tag) for tag in ("X", "ADJ", "VERB"))
    assert task.parts["en", "train"]["labels"].tolist() == [[x, adjective, NONE]]
    assert task.parts["el", "test"]["labels"].tolist() == [
        [x, adjective, NONE],
        [verb, x, NONE],
    ]
    assert task.names == UPOS
    assert len(UPOS) == 17


def test_a_word_is_read_by_the_mean_of_its_normed_states() -> None:
    data = {("en", "test"): [sentence(["ab", "cde"], ["X", "X"])]}
    task = parts_of_speech(data, ByteTokenizer(), CONFIG, ("en", "en"))
    state = {name: value[1] for name, value in (models(0, 1) | task.heads(CONFIG, SEEDS)).items()}
    batch = task.parts["en", "test"]
    tag_logits, stream = jax.jit(
        lambda s: (logits(s, batch, CONFIG, DEFAULT), states(s, batch["ids"], CONFIG)[-1])
    )(state)
    stream = np.asarray(stream, np.float64)
    x = stream - stream.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * state["ln_f.weight"]
    x = x + state["ln_f.bias"]
    words = np.stack([x[0, 1:3].mean(axis=0), x[0, 4:7].mean(axis=0)])
    expected = words @ np.asarray(state["tag.weight"]) + np.asarray(state["tag.bias"])
    np.testing.assert_allclose(tag_logits[0], expected, rtol=1e-4, atol=1e-6)  # float32


def test_entities_are_measured_by_f1_of_what_the_context_holds() -> None:
    """Its second sentence ends behind the context; of three entities that are held one is found, and one is wrong."""
    items = [
        entities("Ann of New York", "B-PER O B-LOC I-LOC"),
        entities("Bob xxxxxxxxxxxxxxxxxxxxxxxxxxx Eve", "B-PER O B-PER"),
    ]
    task = named_entities({("en", "test"): items}, ByteTokenizer(), CONFIG, ("en",))
    data = task.parts["en", "test"]
    assert task.names == TAGS
    assert data["labels"].tolist() == [
        [TAGS.index(tag) for tag in items[0].tags],
        [TAGS.index("B-PER"), NONE, NONE, NONE],
    ]
    answers = [["B-PER", "O", "B-LOC", "O"], ["O", "B-LOC", "B-LOC", "B-LOC"]]
    classes = np.array([[TAGS.index(tag) for tag in row] for row in answers])
    assert entity_measure(data, classes, TAGS) == {"f1": 2 * 1 / (3 + 2)}
    assert entity_measure(data, data["labels"], TAGS) == {"f1": 1}
    measures = task._measures(data, classes, np.zeros(classes.shape, np.float32))
    assert measures == {"accuracy": 3 / 5, "nats": 0, "f1": 2 * 1 / (3 + 2)}


def test_unknown_tags_and_foreign_tokenizers_are_refused() -> None:
    class Large(ByteTokenizer):
        vocabulary = 300

    data = {("en", "train"): [sentence(["a"], ["NAME"], "s7")]}
    refusal = message(parts_of_speech, data, ByteTokenizer(), CONFIG, ("en",))
    assert "sentence s7: unknown label 'NAME': give one of ADJ, ADP" in refusal
    refusal = message(parts_of_speech, data, Large(), CONFIG, ("en",))
    assert "a tokenizer of 300 ids and a model of 257" in refusal
