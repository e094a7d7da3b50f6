"""Runs one function of this package and prints what it returns. `common.call` starts it as a process."""

import json
import sys
from importlib import import_module

from pipeline_parts.common import RESULT


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    result = getattr(import_module(f"pipeline_parts.{module}"), function)(**json.loads(sys.argv[2]))
    # Some libraries print text without a line break at its end.
    print(f"\n{RESULT}{json.dumps(result)}", flush=True)


if __name__ == "__main__":
    main()
