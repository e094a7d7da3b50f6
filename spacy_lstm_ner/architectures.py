"""The registered functions that build models from a config. They combine layers, and compute nothing themselves."""

from functools import partial
from typing import Any, Callable, List, Optional, cast

from spacy.tokens import Doc
from thinc.api import Maxout, Model, chain, concatenate, uniform_init
from thinc.layers import HashEmbed
from thinc.types import Floats2d, Ints2d

from .layers.crf.head import HEADS, dense, grown_dense, grown_head, set_head_size, swap_output
from .layers.embed.chars import char_cnn, char_lstm
from .layers.embed.features import hash_table, lexeme_features
from .layers.embed.lexemes import Lexemes, composed, per_lexeme
from .layers.embed.static_vectors import lexeme_vectors
from .layers.embed.token_features import with_token_features
from .layers.embed.vocabulary import lexeme_table, word_table
from .layers.rnn.options import RecurrentOptions
from .layers.rnn.stack import gru_cell, recurrent, rnn_cell, with_sequences
from .layers.tagger import tagger
from .layers.tok2vec import lexeme_tok2vec
from .tags import SCHEMES


def build_tagger(
    tok2vec: Model[List[Doc], List[Floats2d]], nO: Optional[int] = None, head: str = "crf", scheme: str = "bio"
) -> Model[List[Doc], List[Floats2d]]:
    """Build the model of the component: vectors of tokens in context, a dense layer, and a head that scores tags.

    With the head "crf", decoding and training use a linear-chain conditional random field (Lafferty et al. 2001) over
    the emissions of a recurrent network, as in Lample et al. (2016).

    Args:
        tok2vec (Model[List[Doc], List[Floats2d]]): Vectors of the tokens, one array (tokens, width) for each doc. Any
            tok2vec model of spaCy fits, a listener included.
        nO (Optional[int]): The number of tags. With None, the default, the component sets it from its labels.
        head (str): "crf" for learned transitions between the tags of neighbours, or "softmax" for a log-softmax of each
            token by itself.
        scheme (str): The tag scheme, "bio" or "biluo".

    Returns:
        Model[List[Doc], List[Floats2d]]: The scores of the tags, one array (tokens, nO) for each doc. With "crf" they
            are emissions, with "softmax" log-probabilities.

    Raises:
        ValueError: If there is no such head or scheme.
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
        model (Model): A tagger, initialized or not.
        nO (int): The number of tags.

    Returns:
        Model: The same tagger. If it was initialized and has more tags now, its output layer is another node, and so is
            the head of a CRF.

    Raises:
        ValueError: If an initialized tagger has more tags than nO.
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
    """Build a tok2vec model for an embedding that depends on the word alone.

    It gives what `spacy.Tok2Vec.v2` gives, but embeds each distinct word of a batch only once, and keeps what the first
    recurrent layer makes of a word from one prediction to the next.

    Args:
        embed (Model[List[Doc], List[Floats2d]]): A LexemeEmbed.
        encode (Model[List[Floats2d], List[Floats2d]]): An LSTMEncoder, GRUEncoder or RNNEncoder.
        occurrences (int): The number of tokens in a section of a doc. Every token also gets the largest hidden values
            over all tokens of its section with the same lower-cased text, which makes the output twice as wide. Chieu &
            Ng (2002) and Krishnan & Manning (2006) use other occurrences of a word in a similar way. 0, the default,
            turns this off.
        cache (int): The number of words for which predictions keep the input projection of the first recurrent layer,
            and the embedding if a residual connection adds it. A word takes 4·D·K·H bytes (D directions, K blocks of
            weights, H units in each direction): 2 kB for an LSTM of width 128. A parameter that changes empties the
            cache. With 0, they are computed once for each distinct word of a batch.

    Returns:
        Model[List[Doc], List[Floats2d]]: Vectors of the tokens in context, one array (tokens, width) for each doc.

    Raises:
        ValueError: If `embed` or `encode` is a model of another kind, or `occurrences` or `cache` is less than 0.
    """
    if "lexeme_layer" not in embed.attrs:
        raise ValueError(
            f"LexemeTok2Vec: embed is {embed.name!r}, which may depend on more than the word. Use "
            "spacy-lstm-ner.LexemeEmbed.v2, or spacy.Tok2Vec.v2 in place of LexemeTok2Vec"
        )
    if "stack" not in encode.attrs:
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
    graphemes: bool = True,
) -> Model[List[Doc], List[Floats2d]]:
    """Build an embedding that depends on the word alone: features of its text, and optionally other vectors.

    Each feature is hashed into a table of its own. A maxout layer mixes the vectors of all features, together with the
    static vector, a vector of the training vocabulary, and a vector from the characters, if the settings ask for them.

    Args:
        width (int): The width of the vectors of each feature, and of the output.
        attrs (List[str]): The features of a word: "orth" (as written), "lower" (lower-cased), "norm" (lower-cased, each
            digit as 0), "shape" (`Xxxxx` for a capitalised word, `dd` for two digits; runs are cut at four), "prefixN"
            and "suffixN" (the first and the last N characters, each digit as 0), "lprefixN" and "lsuffixN" (the same of
            the lower-cased word), "length" (the number of characters, at most 15).
        rows (List[int]): The number of rows in the hash table of each feature, at least 1.
        include_static_vectors (bool): Whether to add the static vector of the word, from the vectors of the pipeline.
            A word without a vector is looked up lower-cased, then with its digits as 0 too.
        maxout_pieces (int): The number of pieces of the maxout layer, at least 1.
        word_dropout (float): The share of the distinct words of a batch that training hides, at least 0 and less than
            1. Hidden words lose "orth", "lower" and "norm", so that the model learns to deal with unknown words.
        affix_dropout (float): The share of the hidden words that lose their prefixes and suffixes too, from 0 to 1.
        map_vectors (bool): Whether a learned matrix maps the static vectors to `width` before they are mixed.
        tune_vectors (bool): Whether to learn a difference from the static vector for each word of the training data.
        min_count (int): A word that occurs at least this often in the training data gets a vector of its own. 0, the
            default, gives none. The component sets the vocabulary when it is initialized.
        singleton_dropout (float): The share of the words with a single occurrence in the training data that an update
            treats as unknown, at least 0 and less than 1 (Lample et al. 2016). It has an effect with `min_count` = 1.
        chars (Optional[Model[Lexemes, Floats2d]]): A CharCNN or CharLSTM, which makes a vector from the characters.
        graphemes (bool): Whether to read each word in Unicode's composed form (NFC), and to count a letter and its
            combining marks as one character in affixes, shape and length. False reads the code points that the text
            has.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, width) for each doc.

    Raises:
        ValueError: If a setting is out of range, a feature is unknown, or `attrs` and `rows` differ in length.
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
    # Small vectors: a few updates with Adam give a feature its meaning, and a feature that training has not shown adds
    # little noise. The mix is normalized, so that its output does not depend on this scale if
    # there are no other branches.
    hashed = _hash_tables(width, rows, partial(uniform_init, lo=-0.02, hi=0.02))
    branches: List[Model[Any, Any]] = [chain(lexeme_features(attrs, word_dropout, affix_dropout, graphemes), hashed)]
    if include_static_vectors:
        branches.append(lexeme_vectors(width if map_vectors else None, tuned=tune_vectors))
    if min_count:
        branches.append(lexeme_table(width, min_count, 2**20, singleton_dropout))
    if chars is not None:
        branches.append(chars)
    widths = [width * len(rows), *(branch.maybe_get_dim("nO") for branch in branches[1:])]
    # Static vectors that are not mapped have the width of the pipeline's table, which is known at initialization.
    nI = None if None in widths else sum(cast(List[int], widths))
    mix = Maxout(width, nI, nP=maxout_pieces, normalize=True)
    joined = branches[0] if len(branches) == 1 else concatenate(*branches)
    layer: Model[Lexemes, Floats2d] = cast(Any, chain(joined, mix))
    if graphemes:
        layer = composed(layer)
    layer.set_dim("nO", width)
    return per_lexeme(layer)


def build_lexeme_embed_v1(
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
    """Build the embedding of pipelines that were saved with the first version: as above, without `graphemes`."""
    return build_lexeme_embed(
        width,
        attrs,
        rows,
        include_static_vectors,
        maxout_pieces,
        word_dropout,
        affix_dropout,
        map_vectors,
        tune_vectors,
        min_count,
        singleton_dropout,
        chars,
        graphemes=False,
    )


def build_char_cnn(
    width: int = 30,
    char_width: int = 25,
    rows: int = 1024,
    window: int = 1,
    max_chars: int = 30,
    dropout: float = 0.0,
) -> Model[Lexemes, Floats2d]:
    """Build a convolution over the characters of a word (Ma & Hovy 2016), as `chars` of LexemeEmbed.

    The row of a character in the table follows from its code point, so there is no vocabulary of characters.

    Args:
        width (int): The number of filters, which is the width of the output.
        char_width (int): The width of the vector of a character.
        rows (int): The number of rows in the table of characters, at least 8. Code points below this number have a row
            of their own; the others share the rows from 256 on.
        window (int): The number of characters that a filter sees to each side, at least 1.
        max_chars (int): The largest number of characters of a word, at least 2. Longer words are cut in the middle.
        dropout (float): The rate of dropout on the vectors of the characters, at least 0 and less than 1. In training,
            spaCy sets it to `training.dropout`.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (distinct words, width).

    Raises:
        ValueError: If a setting is out of range.
    """
    return char_cnn(width, char_width=char_width, rows=rows, window=window, max_chars=max_chars, dropout=dropout)


def build_char_lstm(
    width: int = 50,
    char_width: int = 25,
    rows: int = 1024,
    max_chars: int = 30,
    dropout: float = 0.0,
) -> Model[Lexemes, Floats2d]:
    """Build a bidirectional LSTM over the characters of a word (Lample et al. 2016), as `chars` of LexemeEmbed.

    Args:
        width (int): The width of the last hidden states of both directions together, an even number.
        char_width (int): The width of the vector of a character.
        rows (int): The number of rows in the table of characters, at least 8, as for CharCNN.
        max_chars (int): The largest number of characters of a word, at least 2. Longer words are cut in the middle.
        dropout (float): The rate of locked dropout, one mask for all characters of a word (Gal & Ghahramani 2016), on
            the vectors of the characters and on the hidden states, at least 0 and less than 1. In training, spaCy sets
            it to `training.dropout`.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (distinct words, width).

    Raises:
        ValueError: If a setting is out of range.
    """
    return char_lstm(width, char_width=char_width, rows=rows, max_chars=max_chars, dropout=dropout)


def build_token_features(
    embed: Model[List[Doc], List[Floats2d]], attrs: List[str], rows: List[int], width: int = 16
) -> Model[List[Doc], List[Floats2d]]:
    """Build an embedding with features of the token, such as its part of speech, as `embed` of spacy.Tok2Vec.v2.

    Args:
        embed (Model[List[Doc], List[Floats2d]]): The embedding of the word, to which the features are appended.
        attrs (List[str]): Attributes of spaCy's tokens ("POS", "TAG", "ENT_TYPE", ...), and extension attributes of
            Token ("_.in_gazetteer"). Texts are hashed; numbers and booleans are taken as they are.
        rows (List[int]): The number of rows in the hash table of each attribute. A value is the sum of four rows. Give
            at least 50, even for a boolean, so that two values do not share all of their rows.
        width (int): The width of the vectors of each attribute. The output is wider than that of `embed` by this width
            for each attribute.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, width) for each doc.

    Raises:
        ValueError: If spaCy has no such attribute, a setting is out of range, or `attrs` and `rows` differ in length.
    """
    if len(attrs) != len(rows) or not attrs:
        raise ValueError(
            f"TokenFeatures: {len(attrs)} attrs and {len(rows)} rows; give at least one attribute and one number of "
            "rows for each"
        )
    if width < 1 or any(number < 1 for number in rows):
        raise ValueError(f"TokenFeatures: width is {width} and rows {rows}, but all must be at least 1")
    return with_token_features(embed, attrs, _hash_tables(width, rows))


def _hash_tables(
    width: int, rows: List[int], initializer: Optional[Callable[..., Any]] = None
) -> Model[Ints2d, Floats2d]:
    """One hash table for each column of the keys, with the given numbers of rows. Their vectors are concatenated."""
    tables: List[Model[Ints2d, Floats2d]] = [
        hash_table(HashEmbed(width, number, column=k, seed=k + 8, initializer=initializer))
        for k, number in enumerate(rows)
    ]
    return tables[0] if len(tables) == 1 else concatenate(*tables)


def build_word_embed(width: int, min_count: int = 1, max_size: int = 100000) -> Model[List[Doc], List[Floats2d]]:
    """Build the embedding of textbooks: a vector for each word of the training data, and one for all other words.

    Args:
        width (int): The width of the vectors.
        min_count (int): How often a word must occur in the training data to get its own vector.
        max_size (int): The largest number of words. The most frequent words are kept.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, width) for each doc.

    Raises:
        ValueError: If a setting is less than 1.
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
    """Build long short-term memory layers, as `encode` of spacy.Tok2Vec.v2.

    Args:
        width (int): The width of the output, both directions together.
        depth (int): The number of layers on top of each other.
        dropout (float): The rate of locked dropout, see `LSTM`. spaCy's trainer sets it to `training.dropout`.
        recurrent_dropout (float): The rate of dropout on the recurrent weights.
        bidirectional (bool): Whether to read each sequence in both directions.
        residual (bool): Whether to add a layer's input to its output where their widths agree.
        learn_initial_state (bool): Whether to learn the states that sequences start from, instead of zeros.
        window (int): The number of tokens in a window. Longer sequences are cut into windows that run side by side.
            0: never.
        context (int): The number of tokens before each window, in reading direction, that the recurrence runs through
            first.

    Returns:
        Model[List[Floats2d], List[Floats2d]]: A layer from sequences (length, nI) to sequences (length, width).

    Raises:
        ValueError: If a setting is out of range.
    """
    options = RecurrentOptions(
        "LSTMEncoder",
        bidirectional=bidirectional,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent("lstm", width, None, options))


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
    """Build gated recurrent units, as `encode` of spacy.Tok2Vec.v2.

    Args:
        width (int): The width of the output, both directions together.
        depth (int): The number of layers on top of each other.
        dropout (float): The rate of locked dropout, see `LSTM`. spaCy's trainer sets it to `training.dropout`.
        recurrent_dropout (float): The rate of dropout on the recurrent weights.
        bidirectional (bool): Whether to read each sequence in both directions.
        simple (bool): Whether to leave out the reset gate.
        reset_after (bool): Whether to apply the reset gate after the product with the state, as cuDNN and PyTorch
            do.
        residual (bool): Whether to add a layer's input to its output where their widths agree.
        learn_initial_state (bool): Whether to learn the states that sequences start from, instead of zeros.
        window (int): The number of tokens in a window. Longer sequences are cut into windows that run side by side.
            0: never.
        context (int): The number of tokens before each window, in reading direction, that the recurrence runs through
            first.

    Returns:
        Model[List[Floats2d], List[Floats2d]]: A layer from sequences (length, nI) to sequences (length, width).

    Raises:
        ValueError: If a setting is out of range, or both `simple` and `reset_after` are set.
    """
    options = RecurrentOptions(
        "GRUEncoder",
        bidirectional=bidirectional,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent(gru_cell("GRUEncoder", simple, reset_after), width, None, options))


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
    """Build plain recurrent layers, as `encode` of spacy.Tok2Vec.v2.

    Args:
        width (int): The width of the output, both directions together.
        depth (int): The number of layers on top of each other.
        dropout (float): The rate of locked dropout, see `LSTM`. spaCy's trainer sets it to `training.dropout`.
        recurrent_dropout (float): The rate of dropout on the recurrent weights.
        bidirectional (bool): Whether to read each sequence in both directions.
        identity (bool): Whether to use the identity RNN, with a rectifier in place of tanh.
        residual (bool): Whether to add a layer's input to its output where their widths agree.
        learn_initial_state (bool): Whether to learn the states that sequences start from, instead of zeros.
        window (int): The number of tokens in a window. Longer sequences are cut into windows that run side by side.
            0: never.
        context (int): The number of tokens before each window, in reading direction, that the recurrence runs through
            first.

    Returns:
        Model[List[Floats2d], List[Floats2d]]: A layer from sequences (length, nI) to sequences (length, width).

    Raises:
        ValueError: If a setting is out of range.
    """
    options = RecurrentOptions(
        "RNNEncoder",
        bidirectional=bidirectional,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent(rnn_cell(identity), width, None, options))
