"""Gold and silver annotation together: the reader for students of a teacher."""

from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional

from spacy.language import Language
from spacy.training import Example

from .corpora import open_corpus


def create_taught_corpus_reader(
    silver: Optional[Path] = None,
    gold: Optional[Path] = None,
    gold_weight: int = 1,
    augmenter: Optional[Callable[[Language, Example], Iterator[Example]]] = None,
) -> "TaughtCorpus":
    """Create the reader `spacy-lstm-ner.TaughtCorpus.v1`, which mixes gold and silver annotation.

    Args:
        silver (Optional[Path]): What a teacher annotated, as `spacy lstm-ner teach` writes it: a file or a folder.
        gold (Optional[Path]): What people annotated.
        gold_weight (int): How often each gold doc is read. With an augmenter, each time differs.
        augmenter (Optional[Callable]): Makes one or more examples of each one; None to take them as they are.

    Returns:
        TaughtCorpus: The reader.

    Raises:
        ValueError: If there is neither silver nor gold, or the weight is below 1.
    """
    if silver is None and gold is None:
        raise ValueError("spacy-lstm-ner.TaughtCorpus.v1: expected the path of silver or of gold, found none")
    if gold_weight < 1:
        raise ValueError(f"spacy-lstm-ner.TaughtCorpus.v1: expected a gold_weight of at least 1, found {gold_weight}")
    return TaughtCorpus(silver, gold, gold_weight, augmenter)


class TaughtCorpus:
    """Examples of gold, then of silver. A text that is in gold is not read from silver. See the function above."""

    def __init__(
        self,
        silver: Optional[Path],
        gold: Optional[Path],
        gold_weight: int,
        augmenter: Optional[Callable[[Language, Example], Iterator[Example]]],
    ) -> None:
        self.silver, self.gold, self.gold_weight, self.augmenter = silver, gold, gold_weight, augmenter

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples.

        Args:
            nlp (Language): The pipeline to train.

        Yields:
            Example: The next example.
        """
        known: set[str] = set()
        for path in (*[self.gold] * self.gold_weight, self.silver):
            for example in () if path is None else open_corpus(Path(path))(nlp):
                text = " ".join(example.reference.text.split())
                if path is self.silver and text in known:
                    continue
                known.add(text)
                if self.augmenter is None:
                    yield example
                else:
                    yield from self.augmenter(nlp, example)
