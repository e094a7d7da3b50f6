"""A copy of a tagger that tells what its recurrent layers do, and what gradient reaches their input."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Callable, List, Optional

import numpy as np
from spacy.language import Language
from spacy.util import replace_model_node
from thinc.api import Model

from ..layers.packed import Packed
from ..layers.rnn.cells import CELLS, Cell
from ..layers.rnn.cpu import Run, collect
from ..layers.rnn.single_layer import Sequences, run_layer
from ..pipeline.bound_tagger import BoundTagger
from ..pipeline.listeners import listeners, sender, tok2vec_listeners
from ..pipeline.rehearsal import disable_dropout
from ..types import Array, Backprop, Floats


@dataclass(frozen=True)
class LayerRun:
    """What a recurrent layer computed.

    Attributes:
        cell (Cell): Its cell.
        packed (Packed): The order of the tokens.
        run (Run): The states and activations, by packed row.
    """

    cell: Cell
    packed: Packed
    run: Run


@dataclass
class Observed:
    """A copy of a tagger without dropout. Run it with `begin_update`.

    Attributes:
        model (Model): The copy.
        stack (Optional[Model]): Its recurrent layers; None if the encoder is another one.
        sees_inputs (bool): Whether the gradient at the output of the embedding can be observed.
        layers (List[LayerRun]): The runs of the recurrent layers since the last `clear`, the first layer first.
        d_inputs (List[Floats]): The gradients (n_tokens, I) at the input of the encoder, one for each backward run.
    """

    model: Model[Any, Any]
    stack: Optional[Model[Any, Any]] = None
    sees_inputs: bool = False
    layers: List[LayerRun] = field(default_factory=list)
    d_inputs: List[Floats] = field(default_factory=list)


def observe(nlp: Language, tagger: BoundTagger) -> Observed:
    """Copy a tagger, and watch the copy. If it listens to a tok2vec component, the copy contains the layers of both.

    Args:
        nlp (Language): The pipeline.
        tagger (BoundTagger): The model of a component of the pipeline. It does not change.

    Returns:
        Observed: The copy.

    Raises:
        ValueError: If the model is on a GPU.
    """
    if tagger.model.ops.xp is not np:
        raise ValueError(f"'{tagger.name}': its model is on a GPU, but explain needs it on the CPU: call require_cpu()")
    model = disable_dropout(deepcopy(tagger.model))
    for own, copied in zip(tok2vec_listeners(tagger.model), tok2vec_listeners(model), strict=True):
        found = sender(tagger.name, own, nlp)
        if found is not None:
            replace_model_node(model, copied, disable_dropout(deepcopy(found[1].model)))
    observed = Observed(model)
    tok2vec = model.get_ref("tok2vec")
    if listeners(model) or "encode" not in tok2vec.ref_names:
        return observed
    encode = tok2vec.get_ref("encode")
    if "stack" in encode.attrs:
        watch_stack(observed, encode.attrs["stack"](encode))
    elif encode in tok2vec.layers:
        # The layers of spaCy's Tok2Vec pass lists of arrays on, one after the other.
        tok2vec.layers.insert(tok2vec.layers.index(encode), _probe(observed, _as_it_is, np.concatenate))
        observed.sees_inputs = True
    return observed


def watch_stack(observed: Observed, stack: Model[Any, Any]) -> None:
    """Record each layer of a stack, and put a probe before the first. The gradient there contains residual paths.

    Args:
        observed (Observed): Where to record.
        stack (Model): The recurrent layers, from `stack.recurrent`. They change.
    """
    probe = _probe(observed, Sequences.by_token, np.asarray)
    # No layer's width, so that the stack adds no residual connection around the probe.
    probe.set_dim("nI", 0)
    stack.layers[:] = [probe, *(_recorded(observed, layer) for layer in stack.layers)]
    observed.stack, observed.sees_inputs = stack, True


def _probe(observed: Observed, read: Callable[[Any], Any], to_rows: Callable[[Any], Floats]) -> Model[Any, Any]:
    """A layer that passes on what `read` reads from its input, and records the gradient."""

    def forward(model: Model[Any, Any], inputs: Any, is_train: bool) -> tuple[Any, Backprop]:
        def backprop(dX: Any) -> Any:
            observed.d_inputs.append(to_rows(dX))
            return dX

        return read(inputs), backprop

    return Model("probe", forward, dims={"nI": None})


def _as_it_is(X: Any) -> Any:
    return X


def _recorded(observed: Observed, layer: Model[Any, Any]) -> Model[Any, Any]:
    """A layer that runs another one, and records the run."""

    def forward(model: Model[Any, Any], inputs: Sequences, is_train: bool) -> tuple[Array, Backprop]:
        run, backprop = run_layer(layer, inputs, is_train)
        observed.layers.append(LayerRun(CELLS[layer.attrs["cell"]], inputs.packed, run))
        return collect(np, run.h, inputs.packed), backprop

    return Model(layer.name, forward, layers=[layer], dims={"nI": layer.get_dim("nI"), "nO": layer.get_dim("nO")})
