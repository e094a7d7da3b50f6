"""An augmenter of the ablation, which `spacy train --code` registers."""

from collections.abc import Iterator

from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from spacy_lstm_ner.data.augment import Augmenter, create_entity_swap_augmenter

SWAP_FIRST = "benchmarks.SwapFirst.v1"


@registry.augmenters(SWAP_FIRST)
def create_swap_first_augmenter(level: float, share: float, then: Augmenter) -> Augmenter:
    """Create an augmenter that replaces entities, and gives the examples to another augmenter.

    Args:
        level (float): The share of the examples that are changed, see `EntitySwap`.
        share (float): The share of the entities of such an example that are replaced.
        then (Augmenter): The other augmenter.

    Returns:
        Augmenter: The augmenter.
    """
    swap = create_entity_swap_augmenter(level, share)

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        for changed in swap(nlp, example):
            yield from then(nlp, changed)

    return augment
