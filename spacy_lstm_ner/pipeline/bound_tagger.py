"""A tagger with the labels and settings of its component: the input of prediction, loss and calibration."""

from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.crf.head import head_scheme, label_numbers
from ..tags import Scheme
from .settings import Settings

_PARTS = ("tok2vec", "output_layer", "head")


def require_tagger(name: str, model: Any) -> None:
    """Check that a component's model is a tagger.

    Args:
        name (str): The component's name.
        model (Any): The model.

    Raises:
        ValueError: If it is a model for another component, such as the parser model of spaCy's `ner`.
    """
    if not isinstance(model, Model) or not all(part in model.ref_names for part in _PARTS):
        found = model.name if isinstance(model, Model) else type(model).__name__
        raise ValueError(
            f"'{name}': its model is {found!r}, but lstm_ner needs a tagger. Set @architectures in "
            f"[components.{name}.model] to spacy-lstm-ner.LSTMTagger.v1, or remove the block to use the default model"
        )


@dataclass(frozen=True)
class BoundTagger:
    """A tagger bound to the labels and settings of its component.

    Attributes:
        name (str): The component's name, for messages.
        model (Model[List[Doc], List[Floats2d]]): The tagger, see `architectures.build_tagger`.
        labels (Tuple[str, ...]): The entity labels, in the order of their numbers.
        settings (Settings): The component's settings.
    """

    name: str
    model: Model[List[Doc], List[Floats2d]]
    labels: Tuple[str, ...]
    settings: Settings

    @property
    def head(self) -> Model[Any, Any]:
        """The model's CRF or log-softmax."""
        return self.model.get_ref("head")

    @property
    def scheme(self) -> Scheme:
        """The tag scheme."""
        return head_scheme(self.head)

    @property
    def n_tags(self) -> int:
        """The number of tags."""
        return self.scheme.n_tags(len(self.labels))

    @property
    def label_numbers(self) -> Dict[str, int]:
        """The number of each label that training has shown. Annotation with other labels does not count yet."""
        return label_numbers(self.labels, self.head)
