"""Static word vectors: rows of the pipeline's table, as they are, mapped to another width, or fine-tuned.

Notation as in `lexemes` and `vocabulary`. M is the width of the pipeline's table.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.vectors import Mode
from spacy.vocab import Vocab
from thinc.api import Model, Ops, glorot_uniform_init
from thinc.types import Floats2d

from ...arrays import sum_by_row
from ...types import Array, Backprop, Ints
from ..params import declared_shapes, init_param
from .features import normalized
from .lexemes import Lexemes
from .vocabulary import PAD, UNKNOWN, n_rows, vocabulary_attrs, word_numbers


def lexeme_vectors(nO: Optional[int] = None, *, tuned: bool = False) -> Model[Lexemes, Floats2d]:
    """Look up the static vector of each distinct word of a batch.

    A word is looked up as written, then lower-cased, then with its digits as 0 too. All words without a vector share
    one that is learned.

    Args:
        nO (Optional[int]): The width to which a learned matrix maps the vectors. None: they stay as they are.
        tuned (bool): Whether to learn a difference from the table, zero at first, for each word of the training data
            that has a vector. The table itself does not change. `build_vocabulary` sets the words.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (n, nO), or (n, M) if they are not mapped. Its initialization raises
            ValueError if the pipeline has no vectors, and its forward pass does if their width is not that of training.
    """
    sizes: Dict[str, Any] = {"nO": nO, "nM": None}
    attrs = vocabulary_attrs(min_count=1, max_size=2**20) if tuned else {}
    shapes = partial(_shapes, is_mapped=nO is not None)
    return Model(
        "lexeme_vectors",
        _forward,
        init=_init,
        params=dict.fromkeys(shapes({**attrs, **sizes})),
        dims=sizes,
        attrs={**attrs, "param_shapes": shapes},
    )


def _shapes(sizes: Mapping[str, Any], is_mapped: bool) -> Dict[str, Tuple[Optional[int], ...]]:
    """unknown: the vector of words without one. W: the map from M to O. D: differences from the table."""
    shapes: Dict[str, Tuple[Optional[int], ...]] = {"unknown": (sizes["nO"],)}
    if is_mapped:
        shapes["W"] = (sizes["nO"], sizes["nM"])
    if "vocabulary" in sizes:
        shapes["D"] = (n_rows(sizes), sizes["nM"])
    return shapes


def _init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    if X is not None and X.vocab is not None:
        width = X.vocab.vectors.shape[1]
        if not width or not X.vocab.vectors.shape[0]:
            raise ValueError(
                "LexemeEmbed: include_static_vectors is true, but the pipeline has no vectors. Name a pipeline or a "
                "folder that has some in [initialize] vectors, or set include_static_vectors = false"
            )
        model.set_dim("nM", width)
        if "W" not in model.param_names:
            model.set_dim("nO", width)
    shapes = declared_shapes(model)
    model.set_param("unknown", model.ops.alloc(shapes["unknown"]))
    if "W" in shapes:
        model.set_param("W", glorot_uniform_init(model.ops, shapes["W"]))
    if "D" in shapes:
        init_param(model, "D", model.ops.alloc(shapes["D"]))


def _forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    ops = model.ops
    unknown: Array = model.get_param("unknown")
    W: Array = model.get_param("W") if model.has_param("W") else None
    D: Array = model.get_param("D") if model.has_param("D") else None
    V, missing = _look_up(ops, lexemes, len(unknown) if W is None else W.shape[1])
    numbers = word_numbers(model, lexemes.orths) if D is not None else None
    if D is not None:
        V = V + D[numbers]
    Y: Array = V if W is None else ops.gemm(V, W, trans2=True)
    Y[missing] = unknown

    def backprop(dY: Array) -> List[Any]:
        model.inc_grad("unknown", dY[missing].sum(axis=0))
        d_known = dY.copy()
        d_known[missing] = 0.0
        if W is not None:
            model.inc_grad("W", ops.gemm(d_known, V, trans1=True))
        if D is not None and numbers is not None:
            dD: Array = sum_by_row(ops, d_known if W is None else ops.gemm(d_known, W), numbers, len(D))
            dD[[PAD, UNKNOWN]] = 0.0
            model.inc_grad("D", dD)
        return []

    return Y, backprop


def _look_up(ops: Ops, lexemes: Lexemes, width: int) -> tuple[Array, Array]:
    """(n, M) A copy of the vectors, and the numbers of the words without a vector."""
    vocab = lexemes.vocab
    if vocab is None or not len(lexemes.orths):
        return ops.alloc2f(0, width), ops.alloc1i(0)
    if vocab.vectors.shape[1] != width:
        raise ValueError(
            f"LexemeEmbed: the model was trained with vectors of {width} dimensions, but the pipeline's vectors have "
            f"{vocab.vectors.shape[1]}. Load the pipeline with the vectors that it was trained with"
        )
    if vocab.vectors.mode == Mode.floret:
        return ops.asarray(vocab.vectors.get_batch(lexemes.texts)), ops.alloc1i(0)
    rows = vector_rows(vocab, lexemes)
    return ops.as_contig(ops.asarray(vocab.vectors.data[rows])), ops.xp.asarray(np.flatnonzero(rows < 0))


def vector_rows(vocab: Vocab, lexemes: Lexemes) -> Ints:
    """Find the static vectors of words.

    Args:
        vocab (Vocab): The vocab with the table. It must not have floret vectors, which have no rows for words.
        lexemes (Lexemes): The words.

    Returns:
        Ints: (n,) The row of each word in the table, or -1.
    """
    find = vocab.vectors.find
    rows = np.asarray(find(keys=lexemes.orths.tolist())).copy()
    for k in np.flatnonzero(rows < 0).tolist():
        text = lexemes.texts[k]
        lower, norm = text.lower(), normalized(text)
        if lower != text:
            rows[k] = find(key=hash_string(lower))
        if rows[k] < 0 and norm != lower:
            rows[k] = find(key=hash_string(norm))
    return rows
