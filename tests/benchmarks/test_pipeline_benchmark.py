"""What the parts of benchmarks/pipeline.py compute, without the contestants."""

from itertools import islice, pairwise

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example, offsets_to_biluo_tags
from spacy.vocab import Vocab

from pipeline_parts import common, contestants, growth, report, speed, stages, tagger_data

VOCAB = Vocab()
TEXTS = ["Sharon flew to Miami .", "Nothing happened ."]
MACHINE = {
    "processor": "abacus",
    "cores": 1,
    "memory_gib": 1.0,
    "system": "none",
    "python": "3",
    "versions": {"spacy": "3.8", "torch": None},
    "date": "2000-01-01",
    "load_before": 0.0,
    "untrained": False,
    "tiny": False,
}


@pytest.fixture(scope="module")
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    gold = {"entities": [(0, 6, "per"), (15, 20, "geo")]}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), gold)])
    return nlp


def test_turns_are_interleaved():
    order = []
    found = common.in_turn(["a", "b"], 3, lambda name: order.append(name) or {"x": len(order)})
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert common.median(found["a"], "x") == 3


def test_a_failing_process_tells_why():
    with pytest.raises(common.ChildFailed, match="nothing_like_it"):
        common.call("growth:nothing_like_it")


def test_stopwatch_counts_inner_stages_once():
    now = [0.0]
    watch = stages.Stopwatch(lambda: now[0])

    def take(seconds):
        now[0] += seconds

    inner = watch.wrap("inner", lambda: take(2))

    def outer():
        take(1)
        inner()
        take(4)

    wrapped = watch.wrap("outer", outer)

    def run():
        take(8)
        wrapped()
        inner()

    assert watch.run(run) == {stages.REST: 8, "outer": 5, "inner": 4}
    assert watch.run(inner) == {"inner": 2, stages.REST: 0}


def test_every_stage_is_found_and_put_back(nlp):
    found = [place for _, selector in stages.STAGES for place in stages.places(nlp, selector)]
    before = [getattr(owner, name) for owner, name in found]
    watch = stages.Stopwatch()
    with stages.instrumented(nlp, watch):
        seconds = watch.run(lambda: list(nlp.pipe(TEXTS)))
    assert [getattr(owner, name) for owner, name in found] == before
    needed = {stage for stage, selector in stages.STAGES if not selector.endswith("?")}
    assert needed <= {stage for stage, value in seconds.items() if value > 0} | {"scores"}


def test_a_stage_that_is_gone_is_an_error(nlp):
    for selector in ("function pipeline.predict:gone", "node gone", "node gone/0", "ref gone"):
        with pytest.raises(LookupError, match="STAGES"):
            stages.places(nlp, selector)
    assert stages.places(nlp, "node gone?") == []


def test_bare_products_count_their_operations(nlp):
    by_step, at_once, flops = stages.bare_products(nlp, TEXTS)
    by_step()
    at_once()
    tokens, H = 8, 64
    assert flops == 2 * 2 * 4 * H * tokens * H


@settings(deadline=None)
@given(st.data())
def test_biluo_tags_give_their_entities(data):
    doc = Doc(VOCAB, words=["a"] * data.draw(st.integers(1, 12)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(doc)), max_size=8)))
    pairs = [pair for pair in pairwise(cuts) if data.draw(st.booleans())]
    entities = [(start, end, data.draw(st.sampled_from("PQ"))) for start, end in pairs]
    offsets = [(doc[start:end].start_char, doc[start:end].end_char, label) for start, end, label in entities]
    assert tagger_data.spans(offsets_to_biluo_tags(doc, offsets)) == set(entities)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["O", "B-P", "I-P", "L-P", "U-P", "I-Q", "L-Q"])))
def test_any_tags_give_entities_that_do_not_overlap(tags):
    spans = tagger_data.spans(tags)
    covered = [k for start, end, _ in spans for k in range(start, end)]
    assert sorted(covered) == [k for k, tag in enumerate(tags) if tag != "O"]


def test_tagger_data_keeps_entities_and_tags_them(tmp_path, nlp):
    doc = nlp.make_doc(TEXTS[0])
    doc.set_ents([Span(doc, 0, 1, "per"), Span(doc, 2, 4, "geo")])
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    tagger_data.write(str(tmp_path / "a.spacy"), str(tmp_path / "b.spacy"))
    (copy,) = DocBin().from_disk(tmp_path / "b.spacy").get_docs(nlp.vocab)
    assert [token.tag_ for token in copy] == ["U-per", "O", "B-geo", "L-geo", "O"]
    assert copy.text == doc.text
    assert [ent.text for ent in copy.ents] == ["Sharon", "to Miami"]


@pytest.mark.parametrize("form", growth.FORMS)
@pytest.mark.parametrize("n_tokens", [1, 5, 12])
def test_growth_makes_so_many_tokens(nlp, form, n_tokens):
    docs = list(islice(growth.made(nlp.vocab, [["a", "b", "c"], ["d", "e"]], form, n_tokens), 100))
    assert sum(map(len, docs)) == n_tokens
    assert form == "many" or len(docs) == 1


def speed_result():
    rates = {"default": 300, "one_layer": 200, "spacy_ner": 100}
    found = {
        name: {
            "kind": "spacy",
            "f": 0.5,
            "words_per_second": dict.fromkeys(speed.PASSES, rate),
            "spacy_benchmark_speed": {"mean": 2.0 * rate},
        }
        for name, rate in rates.items()
    }
    speed.add_ratios(found)
    found["flair_64"] = {"kind": "flair", "f": None, "unavailable": "not installed"}
    return {"machine": MACHINE, "rounds": 1, "contestants": found}


SPEED_LINE = "| spaCy's `ner`, efficiency config | 3.0 | 3.0 | 3.0 | 3.0 | 2.0 |  | 100 | 0.5 |"


def test_speed_table_has_ratios_first_and_names_who_is_absent():
    lines = report.speed(speed_result()).splitlines()
    assert lines[4] == SPEED_LINE
    assert lines[-1] == f"{contestants.CONTESTANTS['flair_64'].about}: not measured, not installed."


def test_results_are_written_part_by_part(tmp_path, root):
    pytest.importorskip("matplotlib", reason="needs matplotlib (the extra `benchmark`)")
    target = tmp_path / report.DOCUMENT
    target.parent.mkdir(parents=True)
    target.write_text((root / report.DOCUMENT).read_text("utf8"), "utf8")
    record = {"seconds": {"1": 2.0, "2": 1.0}, "words": 1_000_000, "ratio": 2.0}
    processes = {"machine": MACHINE, "contestants": {"default": record}}
    for part, result in (("processes", processes), ("speed", speed_result()), ("speed", speed_result())):
        report.store(tmp_path, part, result)
        report.write_documents(tmp_path, part)
    assert report.stored(tmp_path) == {"processes": processes, "speed": speed_result()}
    document = target.read_text("utf8")
    assert document.count("| `default.cfg` | 2.0 | 2.00 | 1.00 | 1,000,000 |") == 1
    assert document.count(SPEED_LINE) == 1
    chart = (tmp_path / "docs" / "images" / "speed.svg").read_text("utf8")
    assert ">lstm_ner, default.cfg<" in chart and ">3.0×<" in chart, "text is text"
    assert "Flair" not in chart


def test_documents_are_as_the_stored_results_say(root):
    """Tables only: what matplotlib draws depends on its version."""
    document = (root / report.DOCUMENT).read_text("utf8")
    stored = report.stored(root)
    assert set(stored) == set(report.TABLES)
    for part, result in stored.items():
        block = f"{report.TABLES[part](result)}\n\n{report.machine_line(result)}"
        assert document.count(f"<!-- {part}: start -->\n{block}\n<!-- {part}: end -->") == 1


def test_missing_markers_are_an_error(tmp_path):
    document = tmp_path / report.DOCUMENT
    document.parent.mkdir(parents=True)
    document.write_text("nothing")
    report.store(tmp_path, "startup", {"machine": MACHINE, "contestants": {}})
    with pytest.raises(ValueError, match="<!-- startup: start -->"):
        report.write_documents(tmp_path, "startup")
    assert document.read_text() == "nothing"
