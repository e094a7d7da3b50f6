"""The fuzz targets with randomly changed inputs. With --slow, they run under Atheris for five or ten minutes each."""

import base64
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from targets import TARGETS  # noqa: E402

FOUND = {
    "loader": [
        # A whole number was accepted in place of a rate. Afterwards, the right rate was refused.
        "AyAICAgICAgICAgICAgICAgICAgIaQgICAgICAgICAgICAgICAgICAgIKAhnCAgICAgICAgICAgICAgICAgIY2hhbmdl",
        # An attribute that the model does not have was accepted, and never removed.
        "AyACCGX///////////////8BAAAaAAAnAAAM/2M=",
        # A size from a damaged file stayed when a good file was loaded, in which it is unknown.
        "A///////mv////8I//+8//8I",
    ],
    "annotated": [],
    "vectors": [],
}


@pytest.fixture(scope="module", params=list(TARGETS))
def target(request):
    return request.param, TARGETS[request.param]()


def changed(data, chance):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(1, len(data) + 1)
        way = chance.random()
        if way < 0.4 and at < len(data):
            data[at] = chance.randrange(256)
        elif way < 0.6:
            del data[at : at + chance.choice([1, 4, 1000])]
        elif way < 0.8:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4])))
        else:
            data[at:at] = data[chance.randrange(len(data)) :][:20]
    return bytes(data)


def test_seeds_are_taken(target):
    _, call = target
    for seed in call.seeds():
        call(seed)
    # Three of the loader's seeds need not load: two have labels or weights of another size, one is changed at random.
    assert call.loaded >= len(call.seeds()) - 3


def test_changed_inputs(target):
    name, call = target
    chance, seeds, taken = random.Random(0), call.seeds(), call.loaded
    for k in range(100 if name != "annotated" else 400):
        call(changed(seeds[k % len(seeds)], chance))
    for k in range(60 if name == "loader" else 0):
        call(b"\x03%d" % k)
    assert call.loaded > taken, "some changes do no harm"


def test_what_was_found(target):
    name, call = target
    for text in FOUND[name]:
        call(base64.b64decode(text))


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("atheris"), reason="needs the extra fuzz")
@pytest.mark.parametrize("name, seconds", [("loader", 600), ("annotated", 300), ("vectors", 300)])
def test_atheris(name, seconds, tmp_path, run_env):
    command = [sys.executable, str(FOLDER / "run.py"), name, str(seconds)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=run_env)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
