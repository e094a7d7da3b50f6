"""Wall time of training until the best F1 of spaCy's `ner`."""

from pipeline_parts.common import Record, Work
from pipeline_parts.contestants import training_figures
from training import seconds_until

NAMES = ("default", "spacy_ner")


def measure(work: Work) -> Record:
    """Train both, one after the other, on one thread. Trainings in the work folder are not run again."""
    found = {name: training_figures(name, work) for name in NAMES}
    peer, ours = found["spacy_ner"], found["default"]
    reached = seconds_until(peer["best_dev_f"], ((row["seconds"], row["f"]) for row in ours["evaluations"]))
    share = None if reached is None else round(reached / peer["seconds_until_best"], 3)
    return {"contestants": found, "seconds_until_best_of_spacy_ner": reached, "share_of_its_time": share}
