"""Static word vectors: rows of the pipeline's table, as they are, mapped to another width, or fine-tuned.

Notation as in `embed`; M is the width of the table.
"""

from typing import Any, Optional, cast

import numpy as np
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.vectors import Mode
from spacy.vocab import Vocab
from thinc.api import Model, Ops, glorot_uniform_init
from thinc.types import Floats2d, Ints1d

from ...arrays import sum_by_row
from ...types import Backprop
from .features import normalized
from .lexemes import Lexemes
from .vocabulary import PAD, UNKNOWN, vocabulary_attrs, word_numbers


def lexeme_vectors(nO: Optional[int] = None, *, tuned: bool = False) -> Model[Lexemes, Floats2d]:
    """The words' rows of the pipeline's vector table.

    A word is looked up as written, then lower-cased, then with its digits as 0 as well. A word that has no vector gets
    a learned one, the same for all of them.

    nO: the width that the vectors are mapped to, by a learned matrix W (O, M); None: they are passed on as they are,
        and the width is that of the table.
    tuned: learn a difference D from the table for each word of the training data that has a vector, zero at the start.
        The table itself stays as it is. The words are those of `build_vocabulary`.
    """
    params: dict[str, Any] = {"unknown": None}
    if nO is not None:
        params["W"] = None
    if tuned:
        params["D"] = None
    return Model(
        "lexeme_vectors",
        _forward,
        init=_init,
        params=params,
        dims={"nO": nO, "nM": None},
        attrs=vocabulary_attrs(min_count=1, max_size=2**20) if tuned else {},
    )


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
    if "W" in model.param_names:
        model.set_param("W", glorot_uniform_init(model.ops, (model.get_dim("nO"), model.get_dim("nM"))))
    model.set_param("unknown", model.ops.alloc1f(model.get_dim("nO")))
    if "D" in model.param_names:
        D = model.ops.alloc2f(len(model.attrs["vocabulary"]) + 2, model.get_dim("nM"))
        model.set_param("D", D)
        if model.has_grad("D"):
            # Of an earlier training, with another vocabulary.
            model.set_grad("D", model.ops.alloc2f(*D.shape))


def _forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    ops, unknown = model.ops, model.get_param("unknown")
    W = model.get_param("W") if model.has_param("W") else None
    D = model.get_param("D") if model.has_param("D") else None
    V, missing = _look_up(ops, lexemes, len(unknown) if W is None else W.shape[1])
    numbers = word_numbers(model, lexemes.orths) if D is not None else None
    if D is not None:
        V = V + D[numbers]
    Y = V if W is None else ops.gemm(V, W, trans2=True)
    Y[missing] = unknown

    def backprop(dY: Floats2d) -> list[Any]:
        model.inc_grad("unknown", dY[missing].sum(axis=0))
        known = dY.copy()
        known[missing] = 0.0
        if W is not None:
            model.inc_grad("W", ops.gemm(known, V, trans1=True))
        if D is not None and numbers is not None:
            dD = sum_by_row(ops, known if W is None else ops.gemm(known, W), numbers, len(D))
            dD[[PAD, UNKNOWN]] = 0.0
            model.inc_grad("D", dD)
        return []

    return cast(Floats2d, Y), backprop


def _look_up(ops: Ops, lexemes: Lexemes, width: int) -> tuple[Floats2d, Ints1d]:
    """(n, width) the vectors, a copy, and the rows of the words that have none."""
    vocab = lexemes.vocab
    if vocab is None or not len(lexemes.orths):
        return ops.alloc2f(0, width), ops.alloc1i(0)
    if vocab.vectors.shape[1] != width:
        raise ValueError(
            f"LexemeEmbed: the model was trained with vectors of {width} dimensions, but the pipeline's vectors have "
            f"{vocab.vectors.shape[1]}. Load the pipeline with the vectors that it was trained with"
        )
    if vocab.vectors.mode == Mode.floret:
        return cast(Floats2d, ops.asarray(vocab.vectors.get_batch(lexemes.texts))), ops.alloc1i(0)
    found = vector_rows(vocab, lexemes)
    vectors = ops.as_contig(ops.asarray(vocab.vectors.data[found]))
    return cast(Floats2d, vectors), cast(Ints1d, ops.xp.asarray(np.flatnonzero(found < 0)))


def vector_rows(vocab: Vocab, lexemes: Lexemes) -> Any:
    """(n,) the row of each word in the vector table, or -1."""
    find = vocab.vectors.find
    found = np.asarray(find(keys=lexemes.orths.tolist())).copy()
    for k in np.flatnonzero(found < 0).tolist():
        text = lexemes.texts[k]
        lower, norm = text.lower(), normalized(text)
        if lower != text:
            found[k] = find(key=hash_string(lower))
        if found[k] < 0 and norm != lower:
            found[k] = find(key=hash_string(norm))
    return found
