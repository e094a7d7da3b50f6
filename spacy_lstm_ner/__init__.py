"""Named entity recognition for spaCy with recurrent networks written in Thinc and NumPy.

Nothing needs to be imported from here: spaCy finds the factory ``lstm_ner``, the architectures, the reader, the
scorer and the commands through the entry points listed in ``setup.cfg``.
"""

from importlib.metadata import version

__version__ = version("spacy-lstm-ner")
