"""Recognizing the scheme of a file, and reading its tags."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data.tag_schemes import (
    O_TAG,
    FileScheme,
    FileTag,
    LabelSpan,
    parse_tag,
    read_tags,
    recognize_scheme,
)

SCHEMES: list[FileScheme] = ["IOB1", "IOB2", "BILUO", "IOBES"]


def tags(text: str) -> list[FileTag]:
    return [parse_tag(tag) for tag in text.split()]


def encode(spans: Sequence[LabelSpan], length: int, scheme: FileScheme) -> list[FileTag]:
    """The tags of some spans, written down from the definition of each scheme."""
    result = [O_TAG] * length
    for i, (start, end, label) in enumerate(spans):
        follows_own_type = i > 0 and spans[i - 1].end == start and spans[i - 1].label == label
        prefixes = ["I"] * (end - start)
        if scheme != "IOB1" or follows_own_type:
            prefixes[0] = "B"
        if scheme in ("BILUO", "IOBES"):
            last, single = ("L", "U") if scheme == "BILUO" else ("E", "S")
            prefixes[-1] = last if end - start > 1 else single
        result[start:end] = [FileTag(prefix, label) for prefix in prefixes]
    return result


@st.composite
def spans_of_a_sentence(draw: st.DrawFn) -> tuple[list[LabelSpan], int]:
    """Spans in order, many of them side by side, and the length of their sentence."""
    spans: list[LabelSpan] = []
    position = 0
    for _ in range(draw(st.integers(0, 5))):
        start = position + draw(st.integers(0, 2))
        position = start + draw(st.integers(1, 4))
        spans.append(LabelSpan(start, position, draw(st.sampled_from(["PER", "ORG", "work-of-art"]))))
    return spans, position + draw(st.integers(0, 2))


@given(spans_of_a_sentence(), st.sampled_from(SCHEMES))
def test_tags_of_every_scheme_give_their_spans_back(sentence: tuple[list[LabelSpan], int], scheme: FileScheme) -> None:
    spans, length = sentence
    assert read_tags(encode(spans, length, scheme), scheme) == (spans, [])


@given(spans_of_a_sentence(), st.sampled_from(SCHEMES))
def test_recognized_scheme_reads_the_same_spans(sentence: tuple[list[LabelSpan], int], scheme: FileScheme) -> None:
    spans, length = sentence
    encoded = encode(spans, length, scheme)
    assert read_tags(encoded, recognize_scheme([encoded]))[0] == spans


@given(st.lists(st.builds(FileTag, st.sampled_from("BILU"), st.sampled_from(["x", "y"])) | st.just(O_TAG)))
def test_no_tagged_token_is_lost(row: list[FileTag]) -> None:
    spans, _ = read_tags(row, "BILUO")
    labels = [""] * len(row)
    for start, end, label in spans:
        labels[start:end] = [label] * (end - start)
    assert labels == [tag.label for tag in row]


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("I-PER O I-ORG I-ORG", "IOB1"),
        ("I-PER I-PER B-PER O", "IOB1"),
        ("I-PER I-ORG", "IOB1"),
        ("B-PER I-PER O B-ORG", "IOB2"),
        ("B-PER B-PER", "IOB2"),
        ("O O", "IOB2"),
        ("B-PER O I-ORG", "IOB2"),
        ("B-PER L-PER O", "BILUO"),
        ("O U-PER", "BILUO"),
        ("B-PER E-PER O", "IOBES"),
        ("S-PER O", "IOBES"),
    ],
)
def test_scheme_is_recognized(text: str, scheme: FileScheme) -> None:
    assert recognize_scheme([tags(text)]) == scheme


def test_scheme_needs_all_sentences() -> None:
    assert recognize_scheme([tags("O O"), tags("I-PER O"), tags("I-PER B-PER")]) == "IOB1"
    assert recognize_scheme([tags("B-PER I-PER"), tags("O S-PER")]) == "IOBES"
    # The last tag of a sentence does not precede the first tag of the next.
    assert recognize_scheme([tags("I-PER"), tags("B-PER")]) == "IOB2"


def test_a_stray_tag_does_not_decide() -> None:
    assert recognize_scheme([tags("O I-x O I-y O I-x"), tags("O B-x")]) == "IOB1"
    assert recognize_scheme([tags("O B-x O B-y O B-x"), tags("O I-x")]) == "IOB2"


def test_mixed_schemes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"found those of IOBES \(E-, S-\) and of BILUO \(U-\)"):
        recognize_scheme([tags("B-PER E-PER S-PER"), tags("U-PER")])


@pytest.mark.parametrize(
    ("text", "scheme", "spans", "repaired"),
    [
        ("O I-x I-x O", "IOB2", [LabelSpan(1, 3, "x")], [1]),
        ("B-x I-y", "IOB2", [LabelSpan(0, 1, "x"), LabelSpan(1, 2, "y")], [1]),
        ("O B-x I-x B-x", "IOB1", [LabelSpan(1, 3, "x"), LabelSpan(3, 4, "x")], [1]),
        ("O I-x I-y", "IOB1", [LabelSpan(1, 2, "x"), LabelSpan(2, 3, "y")], []),
        ("O I-x L-x", "BILUO", [LabelSpan(1, 3, "x")], [1]),
        ("O L-x O", "BILUO", [LabelSpan(1, 2, "x")], [1]),
        ("U-x L-x", "BILUO", [LabelSpan(0, 1, "x"), LabelSpan(1, 2, "x")], [1]),
        ("B-x E-y", "IOBES", [LabelSpan(0, 1, "x"), LabelSpan(1, 2, "y")], [0, 1]),
        ("B-x I-x O", "IOBES", [LabelSpan(0, 2, "x")], [1]),
        ("B-x S-x", "IOBES", [LabelSpan(0, 1, "x"), LabelSpan(1, 2, "x")], [0]),
        ("O B-x", "IOBES", [LabelSpan(1, 2, "x")], [1]),
        ("O I-x", "IOBES", [LabelSpan(1, 2, "x")], [1]),
    ],
)
def test_irregular_tags_are_repaired_and_named(
    text: str, scheme: FileScheme, spans: list[LabelSpan], repaired: list[int]
) -> None:
    assert read_tags(tags(text), scheme) == (spans, repaired)


def test_tag_of_another_scheme_is_refused_with_its_position() -> None:
    with pytest.raises(ValueError, match="token 2: expected a tag of IOB2, found U-PER"):
        read_tags(tags("O U-PER"), "IOB2")


@pytest.mark.parametrize("text", ["X-PER", "PER", "B", "-", "", "o", "b-PER", "BI-PER"])
def test_unknown_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"expected the tag O, or one of .* found {text!r}"):
        parse_tag(text)


@pytest.mark.parametrize("text", ["B-", "I-", "S- "])
def test_empty_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a label after the prefix"):
        parse_tag(text)


def test_label_may_hold_hyphens() -> None:
    assert parse_tag("B-creative-work") == FileTag("B", "creative-work")
