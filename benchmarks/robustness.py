"""Robustness: text unlike the training data, other domains and languages, and little training data.

Usage: python benchmarks/robustness.py --work DIR [--only conll03 domains/btc ...] [--systems default spacy ...]
                                       [--seeds 3] [--minutes 60] [--list] [--report]

Trains our pipelines and spaCy's `ner` side by side on the same data, as accuracy.py does, and stores the results in
benchmarks/results/robustness.jsonl.

  conll03    CoNLL-2003, scored on documents, single sentences, lower case, capitals, and on WNUT-17
  domains    eight corpora of other domains and languages, with the config that `init-config` writes for each
  start      two of them, from the pipeline that conll03/glove trains with seed 0
  main       the other corpora of accuracy.py
  small      25, 50, 100 and 200 sentences, drawn anew for each seed
  ablation   the parts of the training recipe, one at a time

LSTM_NER_DATA names the folder with conll03/, wnut17/, gmb/ and domains/. Rows whose data is missing are left out.

--report trains nothing. It writes the tables in README.md and docs/benchmarks/robustness.md and the figure
docs/images/small_data.svg from the stored results. It needs the data, since the configs depend on it, and matplotlib
(extra `benchmark`).
"""

from campaign.command import run_campaign
from campaign.robustness_report import write_report
from campaign.rows import robustness_rows
from training import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "robustness.jsonl"


if __name__ == "__main__":
    run_campaign(__doc__, robustness_rows(), RESULTS, write_report)
