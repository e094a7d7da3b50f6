"""The schedule of the learning rate."""

from itertools import islice

import pytest
import spacy
from spacy.util import load_config, load_model_from_config
from support.data_files import write_good_data
from support.forked import run_spacy
from support.small import blank, examples_for
from support.training_runs import make_config, run
from thinc.api import Adam
from thinc.schedules import warmup_linear as warmup_linear_of_thinc

from spacy_lstm_ner.training.schedules import warmup_linear


def rates(*arguments, n=15):
    return list(islice(warmup_linear(*arguments), n))


def test_it_is_that_of_thinc_with_a_share_for_the_warm_up():
    assert rates(0.5, 10, 0.4) == pytest.approx(list(islice(warmup_linear_of_thinc(0.5, 4, 10), 15)))


@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_it_ends_at_0_and_never_earlier(total, warmup):
    found = rates(1.0, total, warmup, n=total + 3)
    assert max(found) <= 1.0 and found[total:] == [0.0] * 3
    assert all(rate > 0 for rate in found[1:total])


def test_with_more_steps_it_rises_again():
    """Training that goes on with more steps does so at a rate above that of the last step."""
    assert rates(1.0, 200, n=101)[100] == 1.0 and rates(1.0, 100, n=101)[99] == pytest.approx(0.02)


def test_an_optimizer_alone_has_a_constant_rate(root):
    nlp = load_model_from_config(load_config(root / "configs" / "default.cfg"), auto_fill=True)
    assert list(islice(nlp.create_optimizer().schedules["learn_rate"], 3)) == [0.003] * 3
    training = nlp.config.interpolate()["training"]
    optimizer = spacy.registry.resolve({"optimizer": training["optimizer"]})["optimizer"]
    assert list(islice(optimizer.schedules["learn_rate"], 2)) != [0.003] * 2


def test_registered():
    assert spacy.registry.schedules.get("spacy-lstm-ner.warmup_linear.v1") is warmup_linear


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0.0, 10), "initial_rate is 0.0"),
        ((0.1, 0), "total_steps is 0, but must be a number, at least 1. If it follows training.max_steps"),
        ((0.1, "ten"), "total_steps is 'ten'"),
        ((0.1, 10, 1.5), "warmup is 1.5"),
    ],
)
def test_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        warmup_linear(*arguments)


STAYS_0 = "'lstm_ner': the learning rate was 0 at the last 10 steps, so nothing is learned any more"


def rate_warnings(recwarn):
    return [str(warning.message) for warning in recwarn if "learning rate" in str(warning.message)]


@pytest.mark.filterwarnings("ignore:'lstm_ner'. the learning rate")
@pytest.mark.parametrize(
    "schedule, steps, expected",
    [
        # The last rates of a schedule that ends with training.
        (warmup_linear(0.01, 12), 21, 0),
        (warmup_linear(0.01, 12), 22, 1),
        (warmup_linear(0.01, 12), 40, 1),
        (warmup_linear_of_thinc(0.01, 1000, 2000), 12, 0),
        # A schedule that is 0 again and again.
        (iter([0.0, 0.01] * 50), 60, 0),
        (0.01, 30, 0),
    ],
)
def test_a_rate_that_stays_0_is_a_warning_once(schedule, steps, expected, recwarn):
    nlp = blank("crf")
    examples = examples_for(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Adam(schedule)
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
        optimizer.step_schedules()
    found = rate_warnings(recwarn)
    assert len(found) == expected and all(message.startswith(STAYS_0) for message in found)


def test_schedules_that_are_not_stepped_are_a_warning():
    """The loop of a script with the optimizer of a config whose rate begins at 0."""
    nlp = blank("crf")
    examples = examples_for(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Adam(warmup_linear_of_thinc(0.01, 10, 100))
    with pytest.warns(UserWarning, match=r"call optimizer\.step_schedules\(\) after it, or set optimizer\.learn_rate"):
        for _ in range(10):
            nlp.update(examples, sgd=optimizer)


def test_a_schedule_that_ends_before_training(tmp_path):
    write_good_data(tmp_path)
    changes = {"training.max_steps": 20, "training.optimizer.learn_rate.total_steps": 11}
    with pytest.warns(UserWarning, match=STAYS_0):
        run(make_config(tmp_path, changes), tmp_path / "out")


def test_spacys_command_says_it(tmp_path, run_env):
    write_good_data(tmp_path)
    changes = {"training.max_steps": 20, "training.optimizer.learn_rate.total_steps": 11}
    make_config(tmp_path, changes).to_disk(tmp_path / "config.cfg")
    said, code = run_spacy("train", "config.cfg", "-o", "out", folder=tmp_path, env=run_env)
    assert code == 0 and said.count(STAYS_0) == 1, said
