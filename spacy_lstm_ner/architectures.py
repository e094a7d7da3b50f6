"""The registered builders: they assemble layers, and compute nothing themselves."""

from typing import Any, List, Optional, cast

from spacy.tokens import Doc
from thinc.api import Maxout, Model, chain, concatenate
from thinc.layers import HashEmbed
from thinc.types import Floats2d

from .layers.crf.head import HEADS, dense, grown_dense, grown_head, set_head_size, swap_output
from .layers.embed.chars import char_cnn, char_lstm
from .layers.embed.features import beside_token_features, lexeme_features
from .layers.embed.lexemes import Lexemes, per_lexeme
from .layers.embed.static_vectors import lexeme_vectors
from .layers.embed.vocabulary import lexeme_table, word_table
from .layers.rnn.stack import GRU, LSTM, RNN
from .layers.tagger import tagger
from .layers.tok2vec import lexeme_tok2vec
from .tags import SCHEMES


def build_tagger(
    tok2vec: Model[List[Doc], List[Floats2d]], nO: Optional[int] = None, head: str = "crf", scheme: str = "bio"
) -> Model[List[Doc], List[Floats2d]]:
    """The tagger: word vectors in context → dense → CRF or log-softmax over tags.

    tok2vec: any spaCy tok2vec model, a listener included.
    nO: number of tags; the component sets it from its labels.
    head: "crf", a chain with learned transitions, or "softmax", every tag by itself.
    scheme: the tag scheme, "bio" or "biluo".
    Gives the emissions (tokens, nO) of the tags, one array a doc; of the softmax head their log-probabilities.
    Raises ValueError for another head or scheme.
    """
    for name, value, known in (("head", head, HEADS), ("scheme", scheme, SCHEMES)):
        if value not in known:
            raise ValueError(f"LSTMTagger: {name} is {value!r}, but must be one of {', '.join(map(repr, known))}")
    model = tagger(tok2vec, dense(nO, tok2vec.maybe_get_dim("nO")), HEADS[head](scheme))
    model.attrs["resize_output"] = resize_output
    return model


def resize_output(model: Model[Any, Any], nO: int) -> Model[Any, Any]:
    """Give a tagger nO tags. New tags have probability zero until they are trained.

    Args:
        model (Model): a tagger, initialized or not.
        nO (int): the number of tags.

    Returns:
        Model: the same tagger. If it was initialized and has more tags now, its output layer is another node, and so is
            the head of a CRF.

    Raises:
        ValueError: if an initialized tagger has more tags than nO.
    """
    output, head = model.get_ref("output_layer"), model.get_ref("head")
    if not output.has_dim("nO") or not output.has_param("W"):
        output.set_dim("nO", nO, force=True)
        set_head_size(head, nO)
        return model
    old = output.get_dim("nO")
    if nO == old:
        return model
    if nO < old:
        raise ValueError(f"LSTMTagger: the model has {old} tags and cannot shrink to {nO}. Initialize it anew")
    larger, larger_head = grown_dense(output, nO), grown_head(head, nO)
    swap_output(model, larger, larger_head)
    larger_head.attrs["unseen"] = [*head.attrs["unseen"], *range(old, nO)]
    return model


def build_lexeme_tok2vec(
    embed: Model[List[Doc], List[Floats2d]],
    encode: Model[List[Floats2d], List[Floats2d]],
    occurrences: int = 0,
    cache: int = 50_000,
) -> Model[List[Doc], List[Floats2d]]:
    """Like spaCy's Tok2Vec, for an embedding that depends on the word alone (LexemeEmbed) and an encoder of ours.

    occurrences: every token also gets the largest hidden values of the tokens with the same lower-cased text in a
        stretch of so many tokens of its document, which makes the output twice as wide (0: none of this).
    cache: the most words for which predictions keep the first layer's input projection from one to the next, and the
        embedding where a residual connection adds it (0: none; they are computed once for each distinct word of a
        batch). It holds 4·D·K·H bytes a word, 2 kB for an LSTM of width 128. A parameter that changes empties it.
    """
    if embed.name != "per_lexeme":
        raise ValueError(
            f"LexemeTok2Vec: embed is {embed.name!r}, which may depend on more than the word. Use "
            "spacy-lstm-ner.LexemeEmbed.v1, or spacy.Tok2Vec.v2 in place of LexemeTok2Vec"
        )
    if not encode.layers or not encode.layers[0].name.startswith("recurrent"):
        raise ValueError(
            f"LexemeTok2Vec: encode is {encode.name!r}, but must be an LSTMEncoder, GRUEncoder or RNNEncoder. Use "
            "spacy.Tok2Vec.v2 for other encoders"
        )
    if occurrences < 0:
        raise ValueError(f"LexemeTok2Vec: occurrences is {occurrences} tokens, but must be at least 0 (0: off)")
    if cache < 0:
        raise ValueError(f"LexemeTok2Vec: cache is {cache} words, but must be at least 0 (0: none)")
    return lexeme_tok2vec(embed, encode, occurrences, cache)


def build_lexeme_embed(
    width: int,
    attrs: List[str],
    rows: List[int],
    include_static_vectors: bool = False,
    maxout_pieces: int = 3,
    word_dropout: float = 0.0,
    affix_dropout: float = 0.0,
    map_vectors: bool = True,
    tune_vectors: bool = False,
    min_count: int = 0,
    singleton_dropout: float = 0.5,
    chars: Optional[Model[Lexemes, Floats2d]] = None,
) -> Model[List[Doc], List[Floats2d]]:
    """Hashed features of each distinct word, and what else is asked for, mixed by a maxout layer.

    width: width of each feature's vectors and of the output.
    attrs: features, see `layers.embed.text_features`. rows: rows of the hash table of each.
    include_static_vectors: add the word's vector from the pipeline's table.
    word_dropout: share of a training batch's distinct words that are treated as never seen before. affix_dropout: share
        of these that lose their affixes too.
    map_vectors: map the static vectors to `width` before they are mixed.
    tune_vectors: learn the difference from the static vector for each word of the training data.
    min_count: add a vector of its own for each word that the training data has so often (0: none); lstm_ner builds the
        vocabulary. singleton_dropout: share of the words seen once that training treats as unknown to it.
    chars: the word from its characters, a CharCNN or CharLSTM.
    """
    if width < 1:
        raise ValueError(f"LexemeEmbed: width is {width}, but must be at least 1")
    if len(attrs) != len(rows):
        raise ValueError(
            f"LexemeEmbed: {len(attrs)} attrs but {len(rows)} rows; give one number of rows for each attribute"
        )
    if any(number < 1 for number in rows):
        raise ValueError(f"LexemeEmbed: rows is {rows}, but every table needs at least 1 row")
    if maxout_pieces < 1:
        raise ValueError(f"LexemeEmbed: maxout_pieces is {maxout_pieces}, but must be at least 1")
    if min_count < 0:
        raise ValueError(f"LexemeEmbed: min_count is {min_count}, but must be at least 0 (0: no vocabulary)")
    tables = [HashEmbed(width, number, column=k, seed=k + 8) for k, number in enumerate(rows)]
    hashed: Model[Any, Any] = tables[0] if len(tables) == 1 else concatenate(*tables)
    branches: List[Model[Any, Any]] = [chain(lexeme_features(attrs, word_dropout, affix_dropout), hashed)]
    if include_static_vectors:
        branches.append(lexeme_vectors(width if map_vectors else None, tuned=tune_vectors))
    if min_count:
        branches.append(lexeme_table(width, min_count, 2**20, singleton_dropout))
    if chars is not None:
        branches.append(chars)
    widths = [width * len(tables), *(branch.maybe_get_dim("nO") for branch in branches[1:])]
    # The width of vectors that are not mapped is that of the table, known at initialization.
    nI = None if None in widths else sum(cast(List[int], widths))
    mix = Maxout(width, nI, nP=maxout_pieces, normalize=True)
    joined = branches[0] if len(branches) == 1 else concatenate(*branches)
    layer: Model[Lexemes, Floats2d] = cast(Any, chain(joined, mix))
    layer.set_dim("nO", width)
    return per_lexeme(layer)


def build_char_cnn(
    width: int = 30,
    char_width: int = 25,
    rows: int = 1024,
    window: int = 1,
    max_chars: int = 30,
    dropout: float = 0.0,
) -> Model[Lexemes, Floats2d]:
    """A word from its characters by a convolution, as `chars` of LexemeEmbed; see `layers.chars.char_cnn`."""
    return char_cnn(width, char_width=char_width, rows=rows, window=window, max_chars=max_chars, dropout=dropout)


def build_char_lstm(
    width: int = 50,
    char_width: int = 25,
    rows: int = 1024,
    max_chars: int = 30,
    dropout: float = 0.0,
) -> Model[Lexemes, Floats2d]:
    """A word from its characters by an LSTM, as `chars` of LexemeEmbed; see `layers.chars.char_lstm`."""
    return char_lstm(width, char_width=char_width, rows=rows, max_chars=max_chars, dropout=dropout)


def build_token_features(
    embed: Model[List[Doc], List[Floats2d]], attrs: List[str], rows: List[int], width: int = 16
) -> Model[List[Doc], List[Floats2d]]:
    """Features of the token beside those of the word, as `embed` of spacy.Tok2Vec.v2.

    embed: the embedding to add to. attrs: token attributes ("POS", "ENT_TYPE", ...) and extension attributes
    ("_.in_gazetteer"). rows: rows of the hash table of each (a value is the sum of four rows, so give even a
    flag 50, or its two values may fall together). width: width of each one's vectors, added to the width of `embed`.
    """
    if len(attrs) != len(rows) or not attrs:
        raise ValueError(
            f"TokenFeatures: {len(attrs)} attrs and {len(rows)} rows; give at least one attribute and one number of "
            "rows for each"
        )
    if width < 1 or any(number < 1 for number in rows):
        raise ValueError(f"TokenFeatures: width is {width} and rows {rows}, but all must be at least 1")
    tables = [HashEmbed(width, number, column=k, seed=k + 8) for k, number in enumerate(rows)]
    joined: Model[Any, Floats2d] = tables[0] if len(tables) == 1 else cast(Any, concatenate(*tables))
    return beside_token_features(embed, attrs, joined)


def build_word_embed(width: int, min_count: int = 1, max_size: int = 100000) -> Model[List[Doc], List[Floats2d]]:
    """The textbook's embedding: a row for each word of the training data, and `<PAD>` and `<UNK>`.

    min_count: a word must be seen so often. max_size: the most frequent words are kept.
    """
    for name, value in (("width", width), ("min_count", min_count), ("max_size", max_size)):
        if value < 1:
            raise ValueError(f"WordEmbed: {name} is {value}, but must be at least 1")
    return word_table(width, min_count, max_size)


def build_lstm_encoder(
    width: int,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    bidirectional: bool = True,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[List[Floats2d], List[Floats2d]]:
    """LSTM layers as the `encode` of spacy.Tok2Vec.v2; see `layers.recurrent.LSTM` for the settings.

    width: width of the output, both directions together.
    """
    return LSTM(
        width,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        bi=bidirectional,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )


def build_gru_encoder(
    width: int,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    bidirectional: bool = True,
    simple: bool = False,
    reset_after: bool = False,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[List[Floats2d], List[Floats2d]]:
    """GRU layers as the `encode` of spacy.Tok2Vec.v2; see `layers.recurrent.GRU` for the settings."""
    return GRU(
        width,
        simple=simple,
        reset_after=reset_after,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        bi=bidirectional,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )


def build_rnn_encoder(
    width: int,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    bidirectional: bool = True,
    identity: bool = False,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[List[Floats2d], List[Floats2d]]:
    """Plain recurrent layers as the `encode` of spacy.Tok2Vec.v2; `identity` takes the identity RNN."""
    return RNN(
        width,
        identity=identity,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        bi=bidirectional,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
