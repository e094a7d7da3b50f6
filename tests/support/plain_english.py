"""English without its exceptions to the rules of tokens, which no test of this package is about.

There are 1,300, such as "don't". spaCy reads them anew for each pipeline that is made or loaded, which takes longer
than most tests. What tests run in processes of their own, such as the commands of the documentation, has them.
"""

from spacy.lang.en import English


def pytest_configure(config):
    exceptions = English.Defaults.tokenizer_exceptions
    English.Defaults.tokenizer_exceptions = {}
    config.add_cleanup(lambda: setattr(English.Defaults, "tokenizer_exceptions", exceptions))
