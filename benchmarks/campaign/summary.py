"""Results in numbers: means over seeds, ratios to spaCy's `ner`, and scores of parts."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from training import SCORES, seconds_until

from .entities import Scores
from .rows import SPACY, Row, Run
from .runs import TIMES


class Done(NamedTuple):
    """A training and its result."""

    run: Run
    result: dict[str, Any]


def mean_and_sd(values: Iterable[float | None]) -> dict[str, Any] | None:
    """Mean, standard deviation (None for one value) and number of the values that are not None; None without any."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    spread = round(statistics.stdev(found), 6) if len(found) > 1 else None
    return {"mean": round(statistics.mean(found), 6), "sd": spread, "n": len(found)}


def summarize(row: Row, done: Mapping[str, Sequence[Done]]) -> list[dict[str, Any]]:
    """Means over seeds for each system of a row.

    Args:
        row (Row): The row.
        done (Mapping[str, Sequence[Done]]): Its finished trainings by system.

    Returns:
        list[dict[str, Any]]: An entry for each system that has results.
    """
    return [
        {
            "group": row.group,
            "row": row.name,
            "system": system,
            "seeds": [found.run.seed for found in done[system]],
            **{name: mean_and_sd(found.result["scores"][name] for found in done[system]) for name in SCORES},
            **{name: mean_and_sd(found.result["training"][name] for found in done[system]) for name in TIMES},
            "ents_f_of_seeds": [found.result["scores"]["ents_f"] for found in done[system]],
            **ratios(done[system], done.get(SPACY, [])),
        }
        for system in row.systems
        if done.get(system)
    ]


def difference(entry: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any] | None:
    """F1 of an entry minus F1 of another (see `summarize`), over the seeds of both; None if they share none."""
    others = dict(zip(base["seeds"], base["ents_f_of_seeds"], strict=True))
    pairs = zip(entry["seeds"], entry["ents_f_of_seeds"], strict=True)
    return mean_and_sd(f - others[seed] for seed, f in pairs if seed in others)


def ratios(ours: Sequence[Done], theirs: Sequence[Done]) -> dict[str, Any]:
    """Our CPU time as a share of that of spaCy's `ner`, from pairs of trainings with the same seed.

    Args:
        ours (Sequence[Done]): Trainings of one of our configs.
        theirs (Sequence[Done]): Trainings of spaCy's `ner`.

    Returns:
        dict[str, Any]: Mean shares. `share_of_spacy_until_best` and `share_of_spacy_in_all` compare the times until the
            best evaluation on dev and until the end. `share_of_spacy_until_its_best` has the time until ours reached
            the best F1 on dev of spaCy's, from the pairs in which it did.
    """
    peers = {found.run.seed: found.result["training"] for found in theirs if found.run.system == SPACY}
    shares: dict[str, list[float | None]] = {"until_best": [], "in_all": [], "until_its_best": []}
    for found in ours:
        peer, own = peers.get(found.run.seed), found.result["training"]
        if found.run.system == SPACY or peer is None:
            continue
        for name in ("until_best", "in_all"):
            shares[name].append(_share(own[f"cpu_seconds_{name}"], peer[f"cpu_seconds_{name}"]))
        reached = seconds_until(peer["best_dev_f"], own["evaluations"])
        shares["until_its_best"].append(_share(reached, peer["cpu_seconds_until_best"]))
    return {f"share_of_spacy_{name}": mean_and_sd(values) for name, values in shares.items()}


def _share(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def parts_of(found: Sequence[Done]) -> dict[str, Any]:
    """Mean scores by type, of seen and unseen entities, and on the other data set.

    Args:
        found (Sequence[Done]): Trainings of one system in one row.

    Returns:
        dict[str, Any]: `types`, `familiarity` and `out_of_domain`, each with scores by name of the part.
    """
    kinds = ("types", "familiarity", "out_of_domain")
    parts = [{kind: _named(done.result["parts"][kind]) for kind in kinds} for done in found]
    return {kind: _over_seeds([of_run[kind] for of_run in parts]) for kind in kinds}


def _named(scores: Mapping[str, Sequence[Any]]) -> dict[str, Scores]:
    return {name: Scores(*fields) for name, fields in scores.items()}


def _over_seeds(seeds: Sequence[Mapping[str, Scores]]) -> dict[str, Any]:
    """Means over seeds, by part."""
    names = sorted({name for scores in seeds for name in scores})
    return {
        name: {
            "gold": next(scores[name].gold for scores in seeds if name in scores),
            **{key: mean_and_sd(getattr(scores[name], key) for scores in seeds if name in scores) for key in "prf"},
        }
        for name in names
    }
