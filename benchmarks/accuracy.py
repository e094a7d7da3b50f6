"""Accuracy: trains our pipelines and spaCy's `ner` side by side on the same data, and reports the results.

Usage: python benchmarks/accuracy.py --work DIR [--only main ablation/cell ...] [--systems default spacy ...]
                                     [--seeds 3] [--minutes 60] [--list] [--report]

Each training is `spacy train` on one thread. Trainings run one after the other, and each adds a line to
benchmarks/results/accuracy.jsonl. Trainings that have a result are skipped, so you can stop at any time, go on later,
and use several machines. A config that changes needs new trainings.

  main       CoNLL-2003 (train → testa), WNUT-17 (train → dev) and GMB (first nine tenths → last tenth), each without
             and with GloVe vectors of 50 dimensions, and the embedded corpus (train → test)
  curve      1, 5, 10, 25, 50 and 100 % of CoNLL-2003's training documents
  ablation   one setting at a time, on CoNLL-2003

LSTM_NER_DATA names the folder with conll03/, wnut17/ and gmb/. Rows whose data is missing are left out.

--report trains nothing. It writes the tables in docs/benchmarks/accuracy.md and the figure
docs/images/learning_curve.svg from the stored results. It needs matplotlib (extra `benchmark`).
"""

from campaign.command import run_campaign
from campaign.report import write_report
from campaign.rows import rows
from training import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "accuracy.jsonl"


if __name__ == "__main__":
    run_campaign(__doc__, rows(), RESULTS, write_report)
