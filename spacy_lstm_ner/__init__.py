"""Named entity recognition for spaCy with recurrent networks written in Thinc and NumPy.

spaCy finds the factory ``lstm_ner``, the architectures, the reader, the scorer and the commands through the entry
points in ``setup.cfg``, so nothing has to be imported from here. For use in code, this module also has the class of the
component and the recurrent layers. They are imported at their first use.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layers.rnn.stack import GRU, LSTM, RNN
    from .pipeline.component import LSTMEntityRecognizer

__version__ = version("spacy-lstm-ner")

_PLACES = {
    "LSTMEntityRecognizer": "pipeline.component",
    "LSTM": "layers.rnn.stack",
    "GRU": "layers.rnn.stack",
    "RNN": "layers.rnn.stack",
}
__all__ = ["GRU", "LSTM", "RNN", "LSTMEntityRecognizer", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
