"""Gold and silver annotation together: the reader for students of a teacher."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from spacy.language import Language
from spacy.training import Example, dont_augment

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
    """Examples of gold and silver. A text that is in gold is not read from silver. See the function above.

    The docs are read once and kept. So with `max_epochs = -1`, each epoch has them in another order, and augmented in
    another way.
    """

    def __init__(
        self,
        silver: Optional[Path],
        gold: Optional[Path],
        gold_weight: int,
        augmenter: Optional[Callable[[Language, Example], Iterator[Example]]],
    ) -> None:
        self.silver, self.gold, self.gold_weight, self.augmenter = silver, gold, gold_weight, augmenter
        self._kept: Tuple[Optional[Language], List[Example]] = None, []

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples.

        Args:
            nlp (Language): The pipeline to train.

        Yields:
            Example: The next example.
        """
        if self._kept[0] is not nlp:
            self._kept = nlp, list(self._read(nlp))
        augment = self.augmenter or dont_augment
        examples = [made for example in self._kept[1] for made in augment(nlp, example)]
        random.shuffle(examples)
        yield from examples

    def _read(self, nlp: Language) -> Iterator[Example]:
        known: set[str] = set()
        for path in (self.gold, self.silver):
            for example in () if path is None else open_corpus(Path(path))(nlp):
                text = text_key(example.reference.text)
                if path is self.gold:
                    yield from [example] * self.gold_weight
                elif text not in known:
                    yield example
                known.add(text)


def text_key(text: str) -> str:
    """What is the same for texts that differ in white space only."""
    return " ".join(text.split())
