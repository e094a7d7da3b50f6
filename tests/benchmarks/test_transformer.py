"""The table of the benchmark on transformers."""

import importlib.util


def test_the_table_has_a_row_for_each_system(root):
    spec = importlib.util.spec_from_file_location("transformer", root / "benchmarks" / "transformer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    runs = {
        name: {"cpu_seconds_in_all": 90.0, "evaluations": [{"step": step, "f": f + step} for step in (0, 50, 100)]}
        for name, f in (("lstm_ner", 0.25), ("ner", 0.0))
    }
    assert module.table({"systems": runs}).splitlines() == [
        "| steps | 50 | 100 | minutes |",
        "|---|---:|---:|---:|",
        "| lstm_ner | 50.2 | 100.2 | 1.5 |",
        "| ner | 50.0 | 100.0 | 1.5 |",
    ]
