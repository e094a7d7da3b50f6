"""What is kept of words between predictions, and when it is forgotten; batches of tokens."""

import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vectors import Vectors
from thinc.api import Adam, fix_random_seed

from spacy_lstm_ner.architectures import build_lexeme_embed, build_lexeme_tok2vec, build_lstm_encoder, build_tagger
from spacy_lstm_ner.layers import tok2vec as tok2vec_module
from spacy_lstm_ner.layers.embed import cache as cache_module
from spacy_lstm_ner.layers.embed.cache import LexemeCache
from spacy_lstm_ner.layers.embed.lexemes import Lexemes

NLP = spacy.blank("en")
TEXTS = ["China beat Japan in Paris .", "", "China lost in Paris", "a b a b a B"]


def docs(texts=TEXTS):
    return [NLP.make_doc(text) for text in texts]


def tok2vec(cache=1000, **settings):
    fix_random_seed(0)
    embed = build_lexeme_embed(8, ["norm", "shape"], [50, 50], **settings)
    made = build_lexeme_tok2vec(embed, build_lstm_encoder(6, window=3, context=2), 100, cache)
    made.initialize(X=docs())
    return made


def same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def kept(model):
    return len(model.attrs["cache"])


def embedding(model, name="E"):
    return next(node for node in model.walk() if name in node.param_names)


def test_words_are_kept_and_give_the_same():
    model, plain = tok2vec(), tok2vec(cache=0)
    expected = plain.predict(docs())
    for _ in range(2):
        same(model.predict(docs()), expected)
        assert kept(model) == len({word.text for doc in docs() for word in doc})
    assert kept(plain) == 0


def test_what_is_known_is_not_computed_again(monkeypatch):
    model = tok2vec()
    model.predict(docs())
    computed = []
    real = tok2vec_module.project_distinct
    monkeypatch.setattr(tok2vec_module, "project_distinct", lambda *args: computed.append(args) or real(*args))
    model.predict(docs(["China beat Paris"]))
    assert not computed
    model.predict(docs(["Malta beat Paris"]))
    assert [len(X) for _, X in computed] == [1]


@pytest.mark.parametrize("capacity", [1, 2, 5, 8])
def test_a_full_cache_starts_anew_and_never_holds_more(capacity):
    model, plain = tok2vec(capacity), tok2vec(cache=0)
    for _ in range(3):
        for doc in docs():
            same(model.predict([doc]), plain.predict([doc]))
            assert kept(model) <= capacity
    same(model.predict(docs()), plain.predict(docs()))


def found(cache, words):
    """Look words up in a cache of their own numbers."""
    orths, none = np.array(words, dtype="uint64"), np.arange(0)
    lexemes = Lexemes(None, orths, orths, none, none)
    return cache.look_up(lexemes, lambda some: (some.orths.astype("f")[None, :, None],), 0)


def test_a_full_cache_keeps_its_memory_unless_someone_reads_it():
    cache = LexemeCache(4)
    with found(cache, [1, 2, 3, 4]) as ((first,), _):
        pass
    with found(cache, [5, 6, 7]):
        assert len(cache) == 3
    with found(cache, [5, 7]) as ((again,), rows):
        assert again is first and again[0, rows, 0].tolist() == [5, 7]
        # As another thread would.
        with found(cache, [8, 9]) as ((other,), theirs):
            assert other[0, theirs, 0].tolist() == [8, 9]
        with found(cache, [8, 9]) as ((other,), theirs):
            assert other is not first and other[0, theirs, 0].tolist() == [8, 9]
        assert again[0, rows, 0].tolist() == [5, 7]
    assert len(cache) == 2


class Interrupted(dict):
    """Ctrl-C arrives when the numbers of words have been written down."""

    def update(self, *args):
        super().update(*args)
        raise KeyboardInterrupt


def test_an_interruption_leaves_no_word_with_the_row_of_another():
    model, plain = tok2vec(), tok2vec(cache=0)
    model.predict(docs(["nothing"]))
    table = model.attrs["cache"]._table
    table.numbers = Interrupted(table.numbers)
    with pytest.raises(KeyboardInterrupt):
        model.predict(docs(["China beat Paris"]))
    table.numbers = dict(table.numbers)
    for text in ("Malta 17 X", "China beat Paris"):
        same(model.predict(docs([text])), plain.predict(docs([text])))


def test_an_error_while_words_are_computed_leaves_no_reader():
    cache, numbers = LexemeCache(2), np.arange(1, 3, dtype="uint64")
    lexemes = Lexemes(None, numbers, numbers, np.arange(0), np.arange(0))
    with pytest.raises(ZeroDivisionError), cache.look_up(lexemes, lambda some: (1 / 0,), 0):
        pass
    with pytest.raises(ZeroDivisionError), found(cache, [1, 2]) as ((first,), _):
        raise ZeroDivisionError
    with found(cache, [3]):
        pass
    with found(cache, [3]) as ((again,), rows):
        assert again is first and again[0, rows, 0].tolist() == [3]


@pytest.mark.parametrize("capacity", [0, 3, 1000])
def test_new_words_are_computed_some_at_a_time(capacity, monkeypatch):
    expected = tok2vec(cache=0).predict(docs())
    monkeypatch.setattr(cache_module, "WORDS_AT_ONCE", 3)
    sizes, real = [], tok2vec_module.project_distinct
    monkeypatch.setattr(tok2vec_module, "project_distinct", lambda model, X: sizes.append(len(X)) or real(model, X))
    same(tok2vec(capacity).predict(docs()), expected)
    assert sizes == [3, 3, 3, 1]


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("param", ["E", "W", "b", "G"])
def test_a_changed_parameter_empties_it(param, trained):
    model = tok2vec()
    if trained:
        model.begin_update(docs())
    before = model.predict(docs())
    nodes = [node for node in model.walk() if node.has_param(param)]
    for node in nodes:
        node.get_param(param)[:] *= 1.5
        node.get_param(param)[:] += 0.01
    changed = model.predict(docs())
    assert not np.allclose(changed[0], before[0])
    plain = tok2vec(cache=0)
    plain.from_bytes(model.to_bytes())
    same(changed, plain.predict(docs()))


@pytest.mark.parametrize("param", ["E", "W", "b", "G"])
def test_a_single_number_counts_once_training_has_begun(param):
    model = tok2vec()
    model.begin_update(docs())
    nodes = [node for layer in model.layers for node in layer.walk() if node.has_param(param)]
    for node in nodes:
        model.predict(docs())
        array = node.get_param(param).reshape(-1)
        array[-1] = np.nextafter(array[-1], np.float32(9))
        words = docs(["Malta"])
        model.predict(words)
        # Emptied, so that only the new words are there.
        assert kept(model) == 1


def test_what_the_first_training_changes_outside_of_the_sample_counts():
    model = build_lexeme_tok2vec(build_lexeme_embed(8, ["norm"], [5000]), build_lstm_encoder(6))
    model.initialize(X=docs())
    model.predict(docs())
    model.begin_update(docs())
    embedding(model).get_param("E").reshape(-1)[-1] += 1.0
    model.predict(docs(["Malta"]))
    assert kept(model) == 1


def test_training_use_params_and_loading():
    model, optimizer = tok2vec(), Adam(0.01)
    first = model.to_bytes()
    for _ in range(2):
        model.predict(docs())
        Y, backprop = model.begin_update(docs())
        model.predict(docs())
        backprop(Y)
        model.finish_update(optimizer)
        plain = tok2vec(cache=0)
        plain.from_bytes(model.to_bytes())
        same(model.predict(docs()), plain.predict(docs()))
    trained = model.predict(docs())
    node = embedding(model)
    with model.use_params({(node.id, "E"): np.zeros_like(node.get_param("E"))}):
        assert not np.allclose(model.predict(docs())[0], trained[0])
    same(model.predict(docs()), trained)
    model.from_bytes(first)
    same(model.predict(docs()), tok2vec().predict(docs()))


def with_vectors(seed, words=("China", "beat", "Japan", "in")):
    """A pipeline with vectors of its own for the words."""
    rng, nlp = np.random.default_rng(seed), spacy.blank("en")
    for word in words:
        nlp.vocab.set_vector(word, rng.normal(size=4).astype("f"))
    return nlp


def tok2vec_for(nlp, cache=1000):
    fix_random_seed(0)
    embed = build_lexeme_embed(8, ["norm"], [50], include_static_vectors=True)
    model = build_lexeme_tok2vec(embed, build_lstm_encoder(6), 0, cache)
    model.initialize(X=[nlp.make_doc("China and Paris")])
    return model


def test_other_vectors_empty_it():
    nlp = with_vectors(0)
    model, doc = tok2vec_for(nlp), nlp.make_doc("China and Paris")
    before = model.predict([doc])[0].copy()
    nlp.vocab.vectors.data[:] += 1.0
    assert not np.allclose(model.predict([doc])[0], before)


@pytest.mark.parametrize("trained", [False, True])
def test_a_table_that_lies_column_by_column_is_not_copied(trained):
    data = np.asfortranarray(np.random.default_rng(0).normal(size=(20_000, 50)).astype("f"))
    vectors = Vectors(data=data)
    cache = LexemeCache(10)
    cache.trained = trained
    tracemalloc.start()
    cache.validate([], vectors)
    kept, peak = cache._table, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.nbytes / 20
    cache.validate([], vectors)
    assert cache._table is kept
    data[:] += 1.0
    cache.validate([], vectors)
    assert cache._table is not kept


def test_a_vector_for_one_more_word_empties_it():
    """It goes to a free row of the table, which is not in the sample here."""
    nlp = with_vectors(0, [f"w{k}" for k in range(1001)])
    model, doc, table = tok2vec_for(nlp), nlp.make_doc("China and Paris"), nlp.vocab.vectors.data
    model.predict([doc])
    nlp.vocab.set_vector("China", np.full(4, 3.0, dtype="f"))
    assert nlp.vocab.vectors.data is table
    same(model.predict([doc]), tok2vec_for(nlp, cache=0).predict([doc]))


@pytest.mark.parametrize("capacity", [2, 1000])
def test_pipelines_with_other_vectors_take_turns(capacity, monkeypatch):
    """As in two threads: between two batches of one prediction, the model predicts with the other's vectors."""
    monkeypatch.setattr(tok2vec_module, "BATCH", 2)
    one, other = with_vectors(0), with_vectors(1)
    model, plain = tok2vec_for(one, capacity), tok2vec_for(one, cache=0)
    texts = ["China beat", "Japan in", "Japan beat", "China in"]
    batches = tok2vec_module.predict_in_batches(model, [one.make_doc(text) for text in texts])
    for text in texts:
        same([next(batches)], plain.predict([one.make_doc(text)]))
        for again in ("Japan China", text):
            same(model.predict([other.make_doc(again)]), plain.predict([other.make_doc(again)]))


def test_copies_are_empty_and_files_do_not_have_it():
    model = tok2vec()
    empty = model.to_bytes()
    model.predict(docs())
    assert model.to_bytes() == empty
    for other in (model.copy(), deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert kept(other) == 0 and other.attrs["cache"].capacity == 1000
        same(other.predict(docs()), model.predict(docs()))


def test_threads():
    texts = [" ".join(f"w{(7 * k + j) % 50}" for j in range(12)) for k in range(60)]
    expected = tok2vec(cache=0).predict(docs(texts))
    for capacity in (20, 1000):
        model = tok2vec(capacity)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(model.predict, [[doc] for doc in docs(texts) * 5]))
        same([one for (one,) in found], expected * 5)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot be forked here")
def test_a_process_that_is_forked_while_a_thread_reads():
    """As with `n_process` in a server: the lock is held by a thread that the new process does not have."""
    model = tok2vec()
    model.predict(docs())
    process = multiprocessing.get_context("fork").Process(target=model.predict, args=(docs(),))
    with model.attrs["cache"]._lock:
        process.start()
    process.join(20)
    ended = process.exitcode
    process.kill()
    process.join()
    assert ended == 0


def test_memory_zone():
    """The strings of a zone are gone after it; what is kept of their words is numbers alone."""
    model = tok2vec()
    expected = tok2vec(cache=0).predict(docs(["Zonal words here"]))
    for _ in range(2):
        with NLP.memory_zone():
            found = model.predict(docs(["Zonal words here"]))
        same(found, expected)


def test_a_capacity_out_of_range():
    embed = build_lexeme_embed(8, ["norm"], [50])
    with pytest.raises(ValueError, match="cache is -1 words"):
        build_lexeme_tok2vec(embed, build_lstm_encoder(6), 0, -1)


# Batches of tokens


def test_batches_and_sections(monkeypatch):
    """However many tokens are worked through at a time, and in training too, the result is the same."""
    long = Doc(NLP.vocab, words=[f"w{k % 17}" for k in range(250)])
    given = [*docs(), long, *docs(), long]
    model = tok2vec()
    whole = model.predict(given)
    same(model.begin_update(given)[0], whole)
    for size in (1, 7, 100, 260):
        monkeypatch.setattr(tok2vec_module, "BATCH", size)
        same(model.predict(given), whole)
        for doc, expected in zip(given, whole, strict=True):
            same(model.predict([doc]), [expected])
    # A section is a sequence of its own.
    halves = [long[:100].as_doc(), long[100:200].as_doc(), long[200:].as_doc()]
    np.testing.assert_allclose(np.concatenate(model.predict(halves)), whole[4], atol=1e-6)


def test_the_tagger_gives_what_its_parts_give(monkeypatch):
    monkeypatch.setattr(tok2vec_module, "BATCH", 5)
    model = build_tagger(tok2vec(), nO=5)
    model.initialize(X=docs())
    model.get_ref("output_layer").set_param("W", np.random.normal(size=(5, 12)).astype("f"))
    parts = model.layers[1].predict(model.layers[0].predict(docs()))
    same(model.predict(docs()), parts)
    same(model.begin_update(docs())[0], parts)
    same(model.copy().predict(docs()), parts)
    assert [Y.shape for Y in model.predict(docs(["", ""]))] == [(0, 5)] * 2
    assert model.predict([]) == []


def test_training_then_predicting_in_a_pipeline():
    """What a component predicts right after an update is what a fresh copy predicts."""
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    example = Example.from_dict(nlp.make_doc(TEXTS[0]), {"entities": [(0, 5, "LOC")]})
    optimizer = nlp.initialize(lambda: [example])
    for _ in range(5):
        nlp.update([example], sgd=optimizer)
        other = spacy.blank("en")
        other.add_pipe("lstm_ner")
        other.from_bytes(nlp.to_bytes())
        ours, theirs = (each.get_pipe("lstm_ner").model.predict(docs()) for each in (nlp, other))
        same(ours, theirs)
