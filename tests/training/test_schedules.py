"""The schedule of the learning rate."""

from itertools import islice

import pytest
import spacy
from spacy.util import load_config, load_model_from_config
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
