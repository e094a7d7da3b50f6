"""Products run on one BLAS thread, and everything outside keeps the number that it had."""

import json
import os
import subprocess
import sys
import threading

import pytest

from spacy_lstm_ner import threads
from spacy_lstm_ner.threads import OneThread, find_openblas, on_one_thread


class FakeBLAS:
    def __init__(self, number=4, default=4):
        self.number, self.default = number, default

    def get(self):
        return self.number

    def set(self, number):
        self.number = number


def test_one_thread_inside_and_the_number_before_afterwards():
    blas = FakeBLAS()
    block = OneThread(blas)
    with block:
        assert blas.number == 1
        with block:
            assert blas.number == 1
        assert blas.number == 1
    assert blas.number == 4


def test_the_number_comes_back_after_an_error():
    blas = FakeBLAS()
    with pytest.raises(KeyError), OneThread(blas):
        raise KeyError
    assert blas.number == 4


def test_a_number_that_was_chosen_stays():
    blas = FakeBLAS(number=2)
    with OneThread(blas):
        assert blas.number == 2
    assert blas.number == 2


def test_a_number_chosen_inside_stays():
    blas = FakeBLAS()
    block = OneThread(blas)
    with block:
        blas.set(3)
    assert blas.number == 3
    blas.set(4)
    with block:
        assert blas.number == 1
    assert blas.number == 4


def test_without_openblas_nothing_happens():
    with OneThread(None):
        pass
    OneThread(None).after_fork()


def test_several_threads_at_once_leave_the_number_when_the_last_ends():
    blas = FakeBLAS()
    block = OneThread(blas)
    inside, leave = threading.Event(), threading.Event()

    def other():
        with block:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with block:
        assert blas.number == 1
    assert blas.number == 1, "the other thread is still inside"
    leave.set()
    thread.join()
    assert blas.number == 4


def test_a_forked_process_is_outside():
    blas = FakeBLAS()
    block = OneThread(blas)
    block.__enter__()
    block.after_fork()
    assert blas.number == 4
    with block:
        assert blas.number == 1
    assert blas.number == 4


def test_functions_keep_their_names_and_results():
    @on_one_thread
    def twice(x, *, y=0):
        """Doc."""
        return 2 * x + y

    assert (twice(2, y=1), twice.__name__, twice.__doc__) == (5, "twice", "Doc.")


@pytest.mark.parametrize("name", threads.VARIABLES)
@pytest.mark.parametrize("value, wins", [("2", True), ("8,4", True), ("1", False), ("", False), ("many", False)])
def test_an_environment_variable_for_several_threads_wins(monkeypatch, name, value, wins):
    for other in threads.VARIABLES:
        monkeypatch.delenv(other, raising=False)
    if find_openblas() is None:
        pytest.skip("NumPy multiplies with another library, or without threads")
    monkeypatch.setenv(name, value)
    assert (find_openblas() is None) == wins


def test_training_and_prediction_run_on_one_thread(root):
    if threads.ONE_THREAD.blas is None:
        pytest.skip("NumPy multiplies with another library, or the environment asks for several threads")
    env = {name: value for name, value in os.environ.items() if name not in threads.VARIABLES}
    command = [sys.executable, str(root / "tests" / "support" / "blas_threads.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {tuple(numbers) for place in ("inside", "thread", "spawned") for numbers in found[place].values()} == {(1,)}
    assert set(found["between"]) == {4} and found["error"] == 4
    names = {name.rpartition(".")[2] for name in found["inside"]}
    assert {
        "_multiply",
        "project_inputs",
        "add",
        "times",
        "_cnn_forward",
        "_backprop_product",
        "_scaled_masses",
        "chain_divergence",
    } <= names
