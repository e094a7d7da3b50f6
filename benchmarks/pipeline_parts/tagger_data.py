"""Entities as tags, for a tagger, and back."""

from collections.abc import Sequence


def write(source: str, target: str) -> None:
    """Copy annotated docs, with each token's BILUO tag in `tag_`."""
    import spacy
    from spacy.tokens import Doc, DocBin
    from spacy.training import iob_to_biluo

    nlp, tagged = spacy.blank("en"), DocBin(attrs=["ORTH", "SPACY", "TAG", "ENT_IOB", "ENT_TYPE"])
    for doc in DocBin().from_disk(source).get_docs(nlp.vocab):
        iob = [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]
        words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
        copy = Doc(nlp.vocab, words=words, spaces=spaces, tags=iob_to_biluo(iob))
        copy.set_ents([spacy.tokens.Span(copy, ent.start, ent.end, ent.label_) for ent in doc.ents])
        tagged.add(copy)
    tagged.to_disk(target)


def spans(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The entities of BILUO tags. A tag that breaks the scheme begins a new entity."""
    found, start, label = set(), 0, ""
    for k, tag in enumerate([*tags, "O"]):
        role, _, own = tag.partition("-")
        if label and (role in "BUO" or own != label):
            found.add((start, k, label))
            label = ""
        if own and not label:
            start, label = k, own
        if label and role in "LU":
            found.add((start, k + 1, label))
            label = ""
    return found
