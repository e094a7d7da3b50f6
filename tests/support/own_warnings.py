"""A warning of this package is an error in tests, unless the test expects it.

Our warnings are attributed to the user's code (`stacklevel`), so pytest cannot tell them from others by their module.
This plugin looks at who calls `warnings.warn`. A warning that the package gives gets `OwnWarning` as a second class,
which is an error by default. `pytest.warns`, `filterwarnings` marks and `warnings.simplefilter` work as usual.
"""

import sys
import warnings

PACKAGE = "spacy_lstm_ner"


class OwnWarning(Warning):
    """The second class of every warning that the package gives."""


def pytest_configure(config):
    # Later lines win, and marks win over these lines.
    config.addinivalue_line("filterwarnings", f"error::{__name__}.{OwnWarning.__name__}")
    original = warnings.warn

    def warn(message, category=None, stacklevel=1, *args, **kwargs):
        if sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
            base = category or UserWarning
            category = type(base.__name__, (OwnWarning, base), {})
        original(message, category, stacklevel + 1, *args, **kwargs)

    warnings.warn = warn
    config.add_cleanup(lambda: setattr(warnings, "warn", original))
