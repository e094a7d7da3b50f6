"""What spaCy's training loop, and its other components, count on: the contract of a trainable component."""

import copy
import subprocess
import sys
from statistics import median

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import train_while_improving
from support.shared_tok2vec import GOLD, TEXTS, parameters, same, shared
from support.small import TRAIN, entities, examples_for, trained
from thinc.api import Adam, fix_random_seed


def tagged(nlp, texts=TEXTS):
    """Examples with tags and without entities."""
    examples = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in texts]
    for example in examples:
        for token in example.reference:
            token.tag_ = "A" if token.i % 2 else "B"
    return examples


def gradients(component):
    return [n.get_grad(name).copy() for n in component.model.walk() for name in n.param_names if n.has_grad(name)]


@pytest.mark.filterwarnings("ignore:.*have no entity annotation")
@pytest.mark.parametrize("names", [("tagger", "lstm_ner"), ("lstm_ner", "tagger")])
def test_a_batch_without_entities_still_trains_what_others_listen_to(names):
    """The last listener runs the shared layer's backward pass, whether or not it has learned something itself."""
    nlp = shared(*names)
    both = tagged(nlp)
    for example, (_, ents) in zip(both, TRAIN, strict=True):
        example.reference.ents = [example.reference.char_span(*ent[:2], label=ent[2]) for ent in ents]
    optimizer = nlp.initialize(lambda: both)
    # The output layers start at zero and pass no gradient down.
    nlp.update(both, sgd=optimizer)
    before = parameters(nlp.get_pipe("tok2vec"))
    losses = nlp.update(tagged(nlp), sgd=optimizer, losses={})
    assert losses["lstm_ner"] == 0.0 and losses["tagger"] > 0 and losses["tok2vec"] > 0
    assert not same(before, parameters(nlp.get_pipe("tok2vec")))


def test_listener_gets_the_whole_batch_as_it_is():
    """Docs of all lengths, an empty one among them, in an order that is neither."""
    nlp = shared("tagger", "lstm_ner")
    data = [*TRAIN, ("", []), ("Berlin", [(0, 6, "LOC")])]
    examples = examples_for(nlp, data)
    for example, empty in zip(examples, tagged(nlp, [text for text, _ in data]), strict=True):
        for token, gold in zip(example.reference, empty.reference, strict=True):
            token.tag_ = gold.tag_
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(60):
        losses = nlp.update(examples, sgd=optimizer, losses={})
    assert losses["tok2vec"] > 0
    assert [entities(doc) for doc in nlp.pipe([text for text, _ in data])] == [ents for _, ents in data]
    assert [token.tag_ for token in nlp("I like London and Berlin.")] == ["B", "A", "B", "A", "B", "A"]
    nlp.update([Example(nlp.make_doc(""), nlp.make_doc(""))], sgd=optimizer)


def test_gradients_of_a_listener_are_those_of_the_layer_in_its_place():
    nlp = shared("lstm_ner")
    examples = examples_for(nlp)
    nlp.initialize(lambda: examples)
    output = nlp.get_pipe("lstm_ner").model.get_ref("output_layer")
    output.set_param("W", np.random.default_rng(0).normal(size=output.get_param("W").shape).astype("float32"))
    own = copy.deepcopy(nlp)
    own.replace_listeners("tok2vec", "lstm_ner", ["model.tok2vec"])
    # Without an optimizer, gradients stay.
    for each in (nlp, own):
        for name in ("tok2vec", "lstm_ner"):
            each.get_pipe(name).update(examples)
    listened = [node.get_grad(name) for node in nlp.get_pipe("tok2vec").model.walk() for name in node.param_names]
    replaced = own.get_pipe("lstm_ner").model.get_ref("tok2vec")
    computed = [node.get_grad(name) for node in replaced.walk() for name in node.param_names]
    assert len(listened) == len(computed) > 0
    for one, other in zip(listened, computed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_frozen_component_stays_as_it_is():
    nlp, _ = trained(steps=5)
    nlp.add_pipe("tagger")
    examples = examples_for(nlp)
    for example, gold in zip(examples, tagged(nlp), strict=True):
        for token, tag in zip(example.reference, gold.reference, strict=True):
            token.tag_ = tag.tag_
    with nlp.select_pipes(disable=["lstm_ner"]):
        optimizer = nlp.initialize(lambda: examples)
    before = parameters(nlp.get_pipe("lstm_ner"))
    found = [entities(doc) for doc in nlp.pipe(TEXTS)]
    losses = nlp.update(examples, sgd=optimizer, exclude=["lstm_ner"])
    assert "lstm_ner" not in losses and losses["tagger"] > 0
    assert same(before, parameters(nlp.get_pipe("lstm_ner")))
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == found


def test_frozen_tok2vec_that_annotates():
    nlp = shared("lstm_ner")
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    before = parameters(nlp.get_pipe("tok2vec"))
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, exclude=["tok2vec"], annotates=["tok2vec"])
    assert same(before, parameters(nlp.get_pipe("tok2vec")))
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == GOLD


def test_entities_from_upstream_constrain_training_as_they_do_prediction():
    """What a ruler has found is given: what contradicts it in the annotation teaches nothing."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    component = nlp.add_pipe("lstm_ner")
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    ruler.add_patterns([{"label": "RULED", "pattern": "London"}])
    seen = []

    def watched(batch, scores):
        seen.extend([ent.label_ for ent in example.predicted.ents] for example in batch)
        return loss_of(batch, scores)

    loss_of, component._loss = component._loss, watched
    with pytest.warns(UserWarning, match="1 of 6 entities overlap with entities or blocked tokens"):
        for _ in range(60):
            losses = nlp.update(examples, sgd=optimizer, annotates=["entity_ruler"], losses={})
    assert ["RULED"] in seen and losses["lstm_ner"] < 3.0
    del component._loss
    expected = [[(7, 13, "RULED"), (18, 24, "LOC")] if "London" in text else ents for text, ents in TRAIN]
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == expected
    # A token that is taken has no gradient, but its neighbours have one.
    doc = nlp.make_doc("I like London and Berlin.")
    scores = component.model.predict([ruler(doc)])
    _, gradient = component.get_loss([Example(doc, examples[2].reference)], scores)
    assert not gradient[0][2, 1:].any() and gradient[0][4].any()


def test_own_entities_do_not_come_back_as_constraints():
    nlp, _ = trained(steps=40)
    examples = examples_for(nlp)
    optimizer = nlp.resume_training()
    for _ in range(3):
        losses = nlp.update(examples, sgd=optimizer, annotates=["lstm_ner"], losses={})
    assert losses["lstm_ner"] > 0 and not any(example.predicted.ents for example in examples)


def test_several_updates_before_the_optimizer_runs():
    """Gradients of parts of a batch add up to those of the whole, and nothing moves before `finish_update`."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    parts = nlp.add_pipe("lstm_ner", config={"model": {"tok2vec": {"embed": {"word_dropout": 0.0}}}})
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer)
    whole, before, losses = copy.deepcopy(parts), parameters(parts), {}
    for example in examples:
        assert parts.update([example], sgd=None, losses=losses) is losses
    assert same(before, parameters(parts))
    assert losses["lstm_ner"] == pytest.approx(whole.update(examples)["lstm_ner"], rel=1e-5)
    assert type(losses["lstm_ner"]) is float
    for one, other in zip(gradients(parts), gradients(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    parts.finish_update(optimizer)
    assert not same(before, parameters(parts))


def test_losses_have_the_current_name_and_add_up():
    nlp, _ = trained(steps=1)
    nlp.rename_pipe("lstm_ner", "entities")
    losses = nlp.update(examples_for(nlp), losses={"entities": 100.0, "other": 1.0})
    assert losses["entities"] > 100.0 and losses["other"] == 1.0 and "lstm_ner" not in losses


def test_loss_alone_changes_nothing():
    nlp, _ = trained(steps=2)
    component = nlp.get_pipe("lstm_ner")
    before, learned, examples = parameters(component), gradients(component), examples_for(nlp)
    scores = component.model.predict([example.predicted for example in examples])
    loss, gradient = component.get_loss(examples, scores)
    assert type(loss) is float and loss == component.get_loss(examples, scores)[0]
    assert [array.shape for array in gradient] == [array.shape for array in scores]
    assert same(before, parameters(component))
    assert len(learned) > 5 and all(map(np.array_equal, learned, gradients(component)))


def test_resumed_training_goes_on():
    nlp, first = trained(steps=10)
    resumed = spacy.blank("en")
    resumed.add_pipe("lstm_ner", source=nlp)
    optimizer = resumed.resume_training()
    optimizer.learn_rate = 0.01
    examples = examples_for(resumed)
    losses = [resumed.update(examples, sgd=optimizer, losses={})["lstm_ner"] for _ in range(40)]
    # The loss of a single step depends on which of the few words training hides.
    assert median(losses[-10:]) < first["lstm_ner"] / 2
    assert [entities(doc) for doc in resumed.pipe(TEXTS)] == GOLD


@pytest.mark.parametrize("model", ["default", "classic"])
def test_same_seed_same_weights_bit_for_bit(model):
    one, other = (trained(model, steps=5)[0] for _ in range(2))
    assert one.get_pipe("lstm_ner").to_bytes() == other.get_pipe("lstm_ner").to_bytes()
    assert one.to_bytes() == other.to_bytes()


DIGEST = """
import hashlib
from support.small import trained
print(hashlib.sha256(trained(steps=5)[0].to_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_same_weights_in_every_process(run_env, root):
    """Whatever order sets and dictionaries of strings have there."""
    digests = set()
    for seed in ("1", "2"):
        env = {**run_env, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root / "tests")}
        result = subprocess.run([sys.executable, "-c", DIGEST], env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-2000:]
        digests.add(result.stdout.strip())
    assert len(digests) == 1


def test_another_seed_gives_other_weights():
    first = parameters(trained(steps=1)[0].get_pipe("lstm_ner"))
    fix_random_seed(1)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    nlp.initialize(lambda: examples_for(nlp))
    assert not same(first, parameters(component))


def test_initialize_reads_a_stream_and_keeps_none_of_it():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    alive, most = set(), 0

    def stream():
        nonlocal most
        for k in range(300):
            example = examples_for(nlp, [(f"Uber {k}", [(0, 4, f"L{k % 3}")])])[0]
            alive.add(k)
            most = max(most, len(alive))
            yield example
            alive.discard(k)

    component.initialize(stream, nlp=nlp)
    assert component.labels == ("L0", "L1", "L2")
    assert most <= 11


def test_initialize_twice_gives_an_untrained_component_again():
    nlp, _ = trained(steps=20)
    nlp.initialize(lambda: examples_for(nlp))
    docs = list(nlp.pipe(TEXTS))
    assert not any(doc.ents for doc in docs)
    assert all(token.ent_iob_ == "O" for doc in docs for token in doc)


@pytest.mark.parametrize("labels", [(), ("A",), ("A", "B")])
@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("scheme", ["bio", "biluo"])
def test_untrained_output_is_outside_everywhere(labels, head, scheme):
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"model": {"head": head, "scheme": scheme}})
    for label in labels:
        component.add_label(label)
    nlp.initialize()
    doc = nlp("John is watching the news about \n Croatia's elections ")
    assert [token.ent_iob_ for token in doc] == ["O"] * len(doc)


def test_a_component_without_labels_trains_and_finds_nothing():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    optimizer = nlp.initialize()
    with pytest.warns(UserWarning, match="it has no labels"):
        nlp.update(examples_for(nlp, [("nothing to see here", [])]), sgd=optimizer)
    assert component.labels == () and not nlp("nothing to see here").ents


def test_averaged_parameters_are_used_and_put_back():
    """All that is learned, transitions too, is a parameter that the optimizer knows."""
    nlp, _ = trained(steps=2)
    component, examples = nlp.get_pipe("lstm_ner"), examples_for(nlp)
    optimizer = Adam(0.01, use_averages=True)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    before = parameters(component)
    head = component.model.get_ref("head")
    assert {(head.id, name) for name in head.param_names} <= set(optimizer.averages)
    with nlp.use_params(optimizer.averages):
        inside = parameters(component)
    assert not same(before, inside) and same(before, parameters(component))


def test_spacys_loop_accumulates_gradients_and_keeps_scores():
    nlp, _ = trained(steps=1)
    examples = examples_for(nlp)
    batches = ((epoch, examples[:2] if epoch % 2 else examples) for epoch in range(6))
    steps = train_while_improving(
        nlp,
        nlp.create_optimizer(),
        batches,
        evaluate=lambda: (nlp.evaluate(examples)["ents_f"] or 0.0, {}),
        dropout=0.1,
        accumulate_gradient=3,
        patience=0,
        max_steps=4,
        eval_frequency=2,
        exclude=[],
        annotating_components=[],
        before_update=None,
    )
    infos = [info for _, info, _ in steps]
    # spaCy's loop ends behind the last step.
    assert [info["step"] for info in infos] == [0, 1, 2, 3, 4]
    assert all(type(info["losses"]["lstm_ner"]) is float for info in infos)


def test_docs_of_update_are_not_changed():
    nlp, _ = trained(steps=1)
    examples = examples_for(nlp)
    before = [(example.predicted.to_bytes(), example.reference.to_bytes()) for example in examples]
    nlp.get_pipe("lstm_ner").update(examples)
    assert [(example.predicted.to_bytes(), example.reference.to_bytes()) for example in examples] == before


def test_unknown_initialize_settings_are_refused():
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    nlp.config["initialize"]["components"]["lstm_ner"] = {"lables": ["A"]}
    with pytest.raises(ValueError, match="lables"):
        nlp.initialize(lambda: examples_for(nlp))


def test_gold_of_another_tokenization_trains():
    nlp = Language()
    nlp.add_pipe("lstm_ner")
    reference = Doc(nlp.vocab, words=["New", "York", "wins"], ents=["B-GPE", "I-GPE", "O"])
    example = Example(Doc(nlp.vocab, words=["New York", "wins"]), reference)
    optimizer = nlp.initialize(lambda: [example])
    for _ in range(30):
        nlp.update([example], sgd=optimizer)
    doc = nlp.get_pipe("lstm_ner")(Doc(nlp.vocab, words=["New York", "wins"]))
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("New York", "GPE")]
