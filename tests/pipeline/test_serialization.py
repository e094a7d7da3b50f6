"""Saving and loading the component: all of it or nothing, and one clear error for files that are not right."""

import contextlib
import hashlib
import json
import os
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import Doc
from support.saved_component import example, make
from thinc.api import Adam

from spacy_lstm_ner import files
from spacy_lstm_ner.pipeline.serialization import FORMAT

OTHERS = {
    "head": ("softmax", "layer"),
    "scheme": ("biluo", "expected"),
    "tok2vec.embed.width": (12, "expected nO = 12, found 8"),
    "tok2vec.embed.rows": ([50, 41], "expected nV = 41, found 40"),
    "tok2vec.embed.attrs": (["norm", "suffix2"], "suffix2"),
    "tok2vec.embed.min_count": (0, "layers"),
    "tok2vec.encode.width": (12, "expected nO = (12|24), found (8|16)"),
    "tok2vec.encode.depth": (2, "layers"),
    "tok2vec.encode.@architectures": ("spacy-lstm-ner.GRUEncoder.v1", "gru"),
    "tok2vec.encode.learn_initial_state": (True, "parameters"),
    "tok2vec.encode.bidirectional": (False, "expected"),
}


def state(component):
    """All that loading may change."""
    return component.model.to_bytes(), deepcopy(component.cfg), component.labels, id(component.model)


def predictions(component):
    docs = [Doc(component.vocab, words=text.split()) for text in ("I go to Berlin .", "x")]
    return [scores.tolist() for scores in component.model.predict(docs)]


def parts(component):
    return srsly.msgpack_loads(component.to_bytes(exclude=["vocab"]))


def packed(found, *, manifest=True):
    """The bytes of changed parts; with a manifest that fits them, as one who does not mean well would write it."""
    found = dict(found)
    if manifest:
        content = json.loads(found["manifest"])
        content["sha256"] = {name: hashlib.sha256(found[name]).hexdigest() for name in content["sha256"]}
        found["manifest"] = json.dumps(content).encode()
    return srsly.msgpack_dumps(found)


def load_fails(component, data, match):
    before = state(component)
    with pytest.raises(ValueError, match=match) as caught:
        component.from_bytes(data, exclude=["vocab"])
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(f"'{component.name}': cannot load") and "Error deserializing model" in str(
        caught.value
    )
    assert state(component) == before


SOURCE = make(["GPE", "ORG"])
TARGET, BLANK = make(["A"]), make(initialized=False)
TARGETS = {
    "blank": lambda: make(initialized=False),
    "same labels": lambda: make(["GPE", "ORG"]),
    "fewer labels": lambda: make(["X"], words="other words here"),
    "more labels": lambda: make(["A", "B", "C", "D"]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("way", ["bytes", "disk"])
def test_loaded_into_a_component_with_other_labels(target, way, tmp_path):
    component = TARGETS[target]()
    if way == "bytes":
        component.from_bytes(SOURCE.to_bytes())
    else:
        SOURCE.to_disk(tmp_path / "ner")
        component.from_disk(tmp_path / "ner")
    assert component.labels == SOURCE.labels
    assert component.model.to_bytes() == SOURCE.model.to_bytes()
    assert component.to_bytes(exclude=["vocab"]) == SOURCE.to_bytes(exclude=["vocab"])
    assert predictions(component) == predictions(SOURCE)
    assert "GPE" in component.vocab.strings
    component.add_label("NEW")
    assert component.model.get_ref("output_layer").get_dim("nO") == 7


def test_training_goes_on_after_loading_into_another_size():
    component = make(["A", "B", "C", "D"], words="other words here and more")
    component.update([example(component.vocab, "other words", [(0, 5, "A")])])
    component.from_bytes(SOURCE.to_bytes(), exclude=["vocab"])
    optimizer, batch = Adam(), [example(component.vocab, "to Berlin", [(3, 9, "GPE")])]
    losses = [component.update(batch, sgd=optimizer)["lstm_ner"] for _ in range(20)]
    assert losses[-1] < losses[0]


def test_uninitialized_round_trip():
    source = make(["A"], initialized=False)
    data = source.to_bytes()
    for component in (make(initialized=False), make(["B", "C"])):
        component.from_bytes(data)
        assert component.labels == ("A",) and not component._is_initialized()
    assert make(initialized=False).from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("left_out", ["cfg", "model", "manifest"])
def test_exclude(left_out, tmp_path):
    target = make(["A", "B"])
    before = state(target)
    target.from_bytes(SOURCE.to_bytes(exclude=[left_out, "vocab"]))
    again = make(["A", "B"]).from_bytes(SOURCE.to_bytes(), exclude=[left_out, "vocab"])
    SOURCE.to_disk(tmp_path, exclude=[left_out, "vocab"])
    from_disk = make(["A", "B"]).from_disk(tmp_path, exclude=[left_out, "vocab"])
    assert sorted(os.listdir(tmp_path)) == sorted({"cfg", "model", "manifest.json"} - {left_out, f"{left_out}.json"})
    for component in (target, again, from_disk):
        assert component.labels == (("A", "B") if left_out == "cfg" else SOURCE.labels)
        assert (component.model.to_bytes() == before[0]) == (left_out == "model")


def test_what_a_later_saving_leaves_out_stays(tmp_path):
    first, second = make(["A", "B"]), make(["C", "D"])
    first.to_disk(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    second.to_disk(tmp_path, exclude=["model", "vocab"])
    loaded = make(initialized=False).from_disk(tmp_path)
    assert loaded.labels == second.labels and loaded.model.to_bytes() == first.model.to_bytes()
    assert (tmp_path / "notes.txt").read_text() == "mine" and (tmp_path / "vocab").is_dir()


def test_labels_without_a_model_of_their_size():
    load_fails(TARGET, SOURCE.to_bytes(exclude=["model", "vocab"]), "labels for 5 tags and no model")


def test_files_from_before_the_manifest():
    found = {name: data for name, data in parts(SOURCE).items() if name != "manifest"}
    found["cfg"] = found["cfg"].decode()
    assert make(initialized=False).from_bytes(srsly.msgpack_dumps(found)).model.to_bytes() == SOURCE.model.to_bytes()


# Damage


def test_truncated_bytes():
    data, component = SOURCE.to_bytes(exclude=["vocab"]), TARGET
    for length in [0, 1, 2, *range(3, len(data), len(data) // 15), len(data) - 1]:
        load_fails(component, data[:length], "found|expected")


@pytest.mark.parametrize("name", ["cfg", "model", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "foreign"])
def test_damaged_file(name, damage, tmp_path):
    SOURCE.to_disk(tmp_path / "ner")
    file = tmp_path / "ner" / name
    data = file.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    changed = {"empty": b"", "half": data[: len(data) // 2], "flipped": bytes(flipped), "foreign": b"PK\x03\x04" * 9}
    file.write_bytes(changed[damage])
    component = make(["A"])
    before = state(component)
    with pytest.raises(ValueError, match=r"cannot load .*ner") as caught:
        component.from_disk(tmp_path / "ner")
    assert type(caught.value) is ValueError and state(component) == before


def test_every_bit_counts():
    data, component = bytearray(SOURCE.to_bytes(exclude=["vocab"])), TARGET
    for place in np.random.RandomState(0).randint(0, 8 * len(data), size=50).tolist():
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        load_fails(component, bytes(flipped), "found|expected")


def test_file_without_manifest_is_checked_by_its_form():
    found = parts(SOURCE)
    del found["manifest"]
    for model in (b"", b"\x00", found["model"][:-1], found["model"][:100], srsly.msgpack_dumps({"nodes": []})):
        load_fails(TARGET, srsly.msgpack_dumps({**found, "model": model}), "found")


@pytest.mark.filterwarnings("ignore:.*it has no labels")
def test_mixture_of_two_savings(tmp_path):
    """As a writer leaves it that is killed between two files."""
    SOURCE.to_disk(tmp_path)
    old = (tmp_path / "cfg").read_bytes()
    make(["A", "B"]).to_disk(tmp_path)
    (tmp_path / "cfg").write_bytes(old)
    with pytest.raises(ValueError, match=r"cfg is not the file that was saved.*another saving.*To change a setting"):
        make().from_disk(tmp_path)


@pytest.mark.parametrize("name", ["cfg", "model", "vocab"])
def test_absent_file(name, tmp_path):
    SOURCE.to_disk(tmp_path / "ner")
    os.rename(tmp_path / "ner" / name, tmp_path / name)
    component = make(["A"])
    before = state(component)
    with pytest.raises((FileNotFoundError, ValueError), match=f"'lstm_ner': cannot load .*{name}"):
        component.from_disk(tmp_path / "ner")
    assert state(component) == before


def test_a_component_of_a_pipeline_is_loaded_alone(tmp_path):
    SOURCE.to_disk(tmp_path / "lstm_ner", exclude=["vocab"])
    (tmp_path / "config.cfg").touch()
    component = make(["A"])
    with pytest.raises(FileNotFoundError, match=r"no .*vocab\. .*part of a pipeline.*exclude=\['vocab'\]"):
        component.from_disk(tmp_path / "lstm_ner")
    with pytest.raises(FileNotFoundError, match=r"no .*/cfg\. The folder is a pipeline"):
        component.from_disk(tmp_path)
    assert component.from_disk(tmp_path / "lstm_ner", exclude=["vocab"]).labels == SOURCE.labels


def test_damaged_vocabulary():
    found = {**parts(SOURCE), "vocab": b"\x93\x01"}
    component = make(["A"])
    with pytest.raises(ValueError, match="the vocabulary cannot be read"):
        component.from_bytes(srsly.msgpack_dumps(found))
    assert component.labels == ("A",)


# Another architecture


@pytest.mark.parametrize("initialized", [True, False])
@pytest.mark.parametrize("setting", OTHERS)
def test_other_architecture(setting, initialized):
    value, match = OTHERS[setting]
    component = make(["GPE", "ORG"] if initialized else [], initialized=initialized, **{setting: value})
    load_fails(component, SOURCE.to_bytes(exclude=["vocab"]), match)


def test_another_components_bytes():
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("ner")
    ner.add_label("GPE")
    nlp.initialize()
    load_fails(TARGET, ner.to_bytes(exclude=["vocab"]), "expected")
    load_fails(TARGET, nlp.to_bytes(), "bytes of a component")


def test_labels_that_do_not_fit_the_model():
    found = parts(SOURCE)
    cfg = json.loads(found["cfg"])
    found["cfg"] = json.dumps({**cfg, "labels": ["A", "B", "C"]}).encode()
    load_fails(TARGET, packed(found), "expected nO = 7, found 5")


# Another version


def test_newer_format(tmp_path):
    SOURCE.to_disk(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest.update(format=FORMAT + 1, version="9.1.0", news=[])
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    component = make(["A"])
    before = state(component)
    match = (
        rf"9\.1\.0 wrote it, in the format {FORMAT + 1}, .* {SOURCE_VERSION}, .*pip install --upgrade spacy-lstm-ner"
    )
    with pytest.raises(ValueError, match=match):
        component.from_disk(tmp_path)
    assert state(component) == before


def test_settings_of_another_minor_version():
    found = parts(SOURCE)
    cfg = json.loads(found["cfg"])
    del cfg["threshold"]
    found["cfg"] = json.dumps({**cfg, "invented_later": 5}).encode()
    component = make(initialized=False)
    component.cfg["threshold"] = 0.25
    component.from_bytes(packed(found))
    assert component.cfg["threshold"] == 0.25 and "invented_later" not in component.cfg


SOURCE_VERSION = json.loads(parts(SOURCE)["manifest"])["version"]


def test_loading_looks_up_no_decoders(monkeypatch):
    """srsly would, in the entry points of all packages and for each attribute anew: half the time of a load."""

    def fail(*args):
        raise AssertionError("looked up")

    component, data = make(initialized=False), packed(parts(SOURCE))
    monkeypatch.setattr(srsly.msgpack.msgpack_decoders, "get_all", fail)
    component.from_bytes(data)


def test_attributes_of_another_minor_version():
    """One that is not known is left out; a rate that the config writes as 0 may be 0.3 in the file."""
    found = parts(SOURCE)
    message = srsly.msgpack_loads(found["model"])
    attrs = message["attrs"][layer(message, "lexeme_features")]
    attrs["word_dropout"], attrs["invented_later"] = srsly.msgpack_dumps(0.3), srsly.msgpack_dumps("x")
    component = make(initialized=False)
    features = next(node for node in component.model.walk() if node.name == "lexeme_features")
    features.attrs["word_dropout"] = 0
    component.from_bytes(packed({**found, "model": srsly.msgpack_dumps(message)}))
    assert features.attrs["word_dropout"] == 0.3 and "invented_later" not in features.attrs


def test_a_temperature_may_be_a_whole_number():
    """And one with a fraction after that, although the component has a whole number then."""
    found = parts(SOURCE)
    message = srsly.msgpack_loads(found["model"])
    component = make(initialized=False)
    for temperature in (2, 1.5):
        message["attrs"][layer(message, "crf")]["temperature"] = srsly.msgpack_dumps(temperature)
        component.from_bytes(packed({**found, "model": srsly.msgpack_dumps(message)}))
        assert component.model.get_ref("head").attrs["temperature"] == temperature


def test_an_unknown_attribute_does_not_change_shapes():
    """A layer with a vocabulary has a parameter more. Whether there is one is not up to the file."""
    component = make(["A"], initialized=False, **{"tok2vec.embed.include_static_vectors": True})
    found = parts(component)
    message = srsly.msgpack_loads(found["model"])
    k = layer(message, "lexeme_vectors")
    message["nodes"][k]["dims"]["nM"] = 3
    message["params"][k] = {"unknown": np.zeros(8, dtype="f"), "W": np.zeros((8, 3), dtype="f")}
    message["attrs"][k]["vocabulary"] = srsly.msgpack_dumps(7)
    component.from_bytes(packed({**found, "model": srsly.msgpack_dumps(message)}))
    (vectors,) = (node for node in component.model.walk() if node.name == "lexeme_vectors")
    assert vectors.get_param("W").shape == (8, 3) and "vocabulary" not in vectors.attrs


def test_a_size_that_a_file_does_not_know_is_not_known():
    """Found by fuzzing: Thinc takes sizes from a file, but not that there is none."""
    found = parts(SOURCE)
    message = srsly.msgpack_loads(found["model"])
    dims = message["nodes"][layer(message, "hashembed")]["dims"]
    assert dims["nI"] is None
    dims["nI"] = 2
    component = make(initialized=False)
    component.from_bytes(packed({**found, "model": srsly.msgpack_dumps(message)}))
    component.from_bytes(packed(found))
    assert parts(component)["model"] == found["model"]


def test_functions_and_caches_do_not_come_from_files():
    found = parts(SOURCE)
    message = srsly.msgpack_loads(found["model"])
    attrs = message["attrs"][layer(message, "lexeme_tok2vec")]
    attrs["cache"] = srsly.msgpack_dumps({"capacity": 10**12})
    message["attrs"][0]["resize_output"] = srsly.msgpack_dumps("os.system")
    component = make(initialized=False)
    component.from_bytes(packed({**found, "model": srsly.msgpack_dumps(message)}))
    assert component.model.get_ref("tok2vec").attrs["cache"].capacity == 50_000
    assert callable(component.model.attrs["resize_output"])


# Bytes that fit their manifest, and are wrong


@pytest.mark.parametrize(
    "changes, match",
    [
        ([], "object of settings"),
        ({"labels": "ORG"}, "list of texts"),
        ({"labels": ["A", "A"]}, "once"),
        ({"labels": ["O", "A"]}, "list of texts"),
        ({"threshold": "0.5"}, "threshold"),
        ({"threshold": 7}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"label_weights": {"A": "1"}}, "label_weights"),
        ({"label_weights": {"A": -1}}, "label_weights"),
        ({"sentence_boundaries": 1}, "sentence_boundaries"),
        ({"spans_key": 5}, "spans_key"),
    ],
)
def test_wrong_settings(changes, match):
    found = parts(SOURCE)
    cfg = json.loads(found["cfg"])
    found["cfg"] = json.dumps(changes if isinstance(changes, list) else {**cfg, **changes}).encode()
    load_fails(TARGET, packed(found), match)


def layer(message, name):
    return next(k for k, node in enumerate(message["nodes"]) if node["name"] == name)


@pytest.mark.parametrize(
    "part, name, key, value, match",
    [
        ("params", "linear", "W", None, "all of its parameters"),
        ("params", "linear", "W", np.zeros((4, 8), dtype="f"), r"shape \(5, 8\), found \(4, 8\)"),
        ("params", "linear", "W", np.zeros((5, 8)), "float32"),
        ("params", "linear", "V", np.zeros(1, dtype="f"), "parameters"),
        ("params", "lstm", "R", np.zeros((3, 4, 16), dtype="f"), r"the shape \(2, 4, 16\)"),
        ("params", "lstm", "R", np.zeros((2, 4, 17), dtype="f"), "shape"),
        ("params", "crf", "enter", np.zeros(5, dtype="f"), "shape"),
        ("params", "lexeme_table", "E", np.zeros((3, 8), dtype="f"), "shape"),
        ("attrs", "crf", "unseen", srsly.msgpack_dumps([9]), "unseen"),
        ("attrs", "crf", "temperature", srsly.msgpack_dumps(0), "temperatures"),
        ("attrs", "crf", "label_temperatures", srsly.msgpack_dumps([1.0, 1.0, 1.0]), "temperature"),
        ("attrs", "crf", "scheme", srsly.msgpack_dumps("iob"), "scheme"),
        ("attrs", "lstm", "cell", srsly.msgpack_dumps("gru"), "cell"),
        ("attrs", "lexeme_features", "names", srsly.msgpack_dumps(["norm"]), "names"),
        ("attrs", "lexeme_features", "word_dropout", b"\xc1", "msgpack"),
        ("attrs", "lexeme_table", "vocabulary", srsly.msgpack_dumps(np.zeros(2)), "uint64"),
        ("attrs", "recurrent(lstm)", "n_directions", srsly.msgpack_dumps(1), "'n_directions': expected 2, found 1"),
        ("attrs", "recurrent(lstm)", "window", srsly.msgpack_dumps(1.5), "'window': expected a whole number"),
        ("attrs", "recurrent(lstm)", "context", srsly.msgpack_dumps(2**64 - 1), "'context': expected a whole number"),
        ("attrs", "hashembed", "seed", srsly.msgpack_dumps(2**32), "'seed': expected a whole number"),
        ("attrs", "with_array(linear>>crf)", "pad", srsly.msgpack_dumps(2**40), "'pad': expected 0"),
        ("nodes", "linear", "dims", {"nO": 5, "nI": "8"}, "nI"),
        ("nodes", "linear", "dims", {"nO": 5}, "sizes"),
        ("nodes", "linear", "name", 7, "linear"),
        ("nodes", "linear", "refs", {"x": 0}, "references"),
        ("nodes", "tagger", "refs", {"tok2vec": 1.0}, "references"),
        ("shims", "linear", None, [b"x"], "framework"),
    ],
)
@pytest.mark.parametrize("initialized", [True, False])
def test_wrong_weights(part, name, key, value, match, initialized):
    found = parts(SOURCE)
    message = srsly.msgpack_loads(found["model"])
    k = layer(message, name)
    if key is None:
        message[part][k] = value
    else:
        message[part][k] = {**message[part][k], key: value}
    found["model"] = srsly.msgpack_dumps(message)
    load_fails(TARGET if initialized else BLANK, packed(found), match)


@pytest.mark.parametrize(
    "claim",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of 4·10^9
        b"\xdf\xff\xff\xff\xff",  # a map
        b"\xc6\xff\xff\xff\xff",  # bytes
        b"\xdb\xff\xff\xff\xff",  # a text
        b"\xc9\xff\xff\xff\xff\x00",  # an extension
        b"\xdd\x00\xff\xff\xff" * 400,  # lists in lists
        srsly.msgpack_dumps({b"nd": True, b"type": "<f4", b"kind": b"", b"shape": [10**6, 10**6], b"data": b"1234"}),
        srsly.msgpack_dumps({b"nd": True, b"type": "<V1000000000000", b"kind": b"", b"shape": [1], b"data": b"1"}),
        srsly.msgpack_dumps({b"nd": True, b"type": "|O", b"kind": b"", b"shape": [1], b"data": b"12345678"}),
    ],
)
def test_sizes_that_a_file_claims_take_no_memory(claim):
    found, before = parts(SOURCE), state(TARGET)
    del found["manifest"]
    attrs = srsly.msgpack_loads(found["model"])
    attrs["attrs"][layer(attrs, "lexeme_features")]["word_dropout"] = claim
    for data in (
        claim,
        srsly.msgpack_dumps({**found, "model": claim}),
        srsly.msgpack_dumps({**found, "model": srsly.msgpack_dumps(attrs)}),
    ):
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"cannot load .* found"):
            TARGET.from_bytes(data, exclude=["vocab"])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3e8
    assert state(TARGET) == before


# Saving


class Killed(BaseException):
    pass


def killed_at(monkeypatch, step):
    """Make the process stop at the given call that changes what is on the disk. Nothing after that is done."""
    calls = {"n": 0, "dead": False}

    def wrap(module, name):
        real = getattr(module, name)

        def call(*args, **kwargs):
            if calls["dead"]:
                return None
            calls["n"] += 1
            if calls["n"] == step:
                calls["dead"] = True
                raise Killed
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    for module, name in ((files.os, "rename"), (files.os, "replace"), (files.os, "fsync"), (files.shutil, "rmtree")):
        wrap(module, name)
    return calls


@pytest.mark.filterwarnings("ignore:.*it has no labels")
def test_killed_while_saving_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    first, second = make(["A", "B"]), make(["C", "D"])
    states = {component.labels: component.model.to_bytes() for component in (first, second)}
    seen, step = [], 0
    while True:
        step += 1
        folder = tmp_path / str(step) / "ner"
        first.to_disk(folder, exclude=["vocab"])
        with monkeypatch.context() as patch:
            calls = killed_at(patch, step)
            with contextlib.suppress(Killed):
                second.to_disk(folder, exclude=["vocab"])
        if not calls["dead"]:
            break
        loaded = make().from_disk(folder, exclude=["vocab"])
        assert loaded.model.to_bytes() == states[loaded.labels]
        seen.append(loaded.labels)
        # The next saving clears up.
        second.to_disk(folder, exclude=["vocab"])
        assert make().from_disk(folder, exclude=["vocab"]).labels == second.labels
        assert not folder.with_name(".ner.old").exists()
    assert set(seen) == {first.labels, second.labels} and step > 5


@pytest.mark.filterwarnings("ignore:.*it has no labels")
def test_a_failure_leaves_the_old_one(tmp_path, monkeypatch):
    first = make(["A", "B"])
    first.to_disk(tmp_path / "ner")

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        make(["C"]).to_disk(tmp_path / "ner")
    monkeypatch.undo()
    assert make().from_disk(tmp_path / "ner").labels == first.labels
    assert os.listdir(tmp_path) == ["ner"]


def test_a_folder_is_removed_whole(tmp_path, monkeypatch):
    """Found by killing: training anew removed the old model-last file by file."""
    folder = tmp_path / "model-last"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")

    def killed(path, ignore_errors=False):
        if not ignore_errors:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files.shutil, "rmtree", killed)
        files.remove_folder(folder)
    assert not files.intact(folder).exists() and len(os.listdir(tmp_path)) == 1
    files.remove_folder(folder)
    (tmp_path / ".model-last.old").mkdir()
    files.remove_folder(folder)
    assert not files.intact(folder).exists()


def test_leftovers_of_dead_processes_go(tmp_path):
    dead = max(int(name) for name in os.listdir("/proc") if name.isdigit()) + 10**6 if os.path.isdir("/proc") else 10**8
    (tmp_path / f".ner.{dead}.new").mkdir()
    (tmp_path / f".ner.{os.getppid()}.new").mkdir()
    (tmp_path / f".x.txt.{dead}.tmp").write_text("half")
    make(["A"]).to_disk(tmp_path / "ner")
    files.write_atomically(tmp_path / "x.txt", b"whole")
    assert sorted(os.listdir(tmp_path)) == [f".ner.{os.getppid()}.new", "ner", "x.txt"]


@pytest.mark.filterwarnings("ignore:.*it has no labels")
def test_saving_through_a_link(tmp_path):
    make(["A"]).to_disk(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(["B"]).to_disk(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert make().from_disk(tmp_path / "real").labels == ("B",)


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "ner").write_text("mine")
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        make(["A"]).to_disk(tmp_path / "ner")
    assert (tmp_path / "ner").read_text() == "mine"
