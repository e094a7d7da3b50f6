"""Draw the entities that a trained pipeline finds in a text, with their probabilities, as an SVG.

Usage: python scripts/render_example.py training/embedded/default/model-best docs/images/example.svg ["A text."]

`make train` trains the pipeline of this example. The default text is from the test part of the embedded corpus.
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Doc, Span

TEXT = (
    "Lecturers at the University of Ibadan suspended their strike on 17 October after the government agreed to pay "
    "half of the salaries withheld since February. The organisers of the Argungu Fishing Festival have postponed the "
    "contest to 18 March because of an outbreak of Lassa fever in Kebbi."
)
WIDTH, MARGIN = 560, 20
SIZE, LABEL_SIZE = 17, 12
ADVANCE, LABEL_ADVANCE = 0.6 * SIZE, 0.6 * LABEL_SIZE
"""Width of a character: `textLength` makes every monospaced font keep to it."""
LINE = 54
PADDING = 5
COLOURS = ["#cfe5ff", "#ffe0b8", "#cdeed2", "#f6d3ea", "#e3dbff", "#fff0a8", "#c9eef0", "#ffd6d2"]


def pieces(doc: Doc) -> Iterator[tuple[str, Span | None, bool]]:
    """The text in order, and whether a space stands before each piece: entities, and the words between them."""
    entities = {ent.start: ent for ent in doc.ents}
    inside = {token.i for ent in doc.ents for token in ent}
    for token in doc:
        spaced = token.i > 0 and bool(doc[token.i - 1].whitespace_)
        if token.i in entities:
            yield entities[token.i].text, entities[token.i], spaced
        elif token.i not in inside:
            yield token.text, None, spaced


def draw_text(x: float, y: float, text: str, size: int, advance: float, colour: str) -> str:
    """A line of text whose width does not depend on the font that is there."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" textLength="{len(text) * advance:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )


def draw(doc: Doc) -> str:
    """The picture of a doc."""
    labels = sorted({ent.label_ for ent in doc.ents})
    shapes: list[str] = []
    x, y = float(MARGIN), MARGIN + SIZE
    for text, ent, spaced in pieces(doc):
        note = "" if ent is None else f"{ent.label_} {ent._.lstm_ner_score:.2f}"
        width = len(text) * ADVANCE
        if ent is not None:
            width = max(width, len(note) * LABEL_ADVANCE) + 2 * PADDING
        if spaced:
            x += ADVANCE
            if x + width > WIDTH - MARGIN:
                x, y = float(MARGIN), y + LINE
        if ent is None:
            shapes.append(draw_text(x, y, text, SIZE, ADVANCE, "#1f2328"))
        else:
            colour = COLOURS[labels.index(ent.label_) % len(COLOURS)]
            shapes.append(
                f'<rect x="{x:.1f}" y="{y - SIZE - 2}" width="{width:.1f}" height="{SIZE + LABEL_SIZE + 14}" rx="5" '
                f'fill="{colour}"/>'
            )
            shapes.append(draw_text(x + PADDING, y, text, SIZE, ADVANCE, "#1f2328"))
            shapes.append(draw_text(x + PADDING, y + LABEL_SIZE + 5, note, LABEL_SIZE, LABEL_ADVANCE, "#3d444d"))
        x += width
    height = y + LABEL_SIZE + MARGIN
    found = "; ".join(f"{ent.text}: {ent.label_}, probability {ent._.lstm_ner_score:.2f}" for ent in doc.ents)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
            "<title>Entities and their probabilities</title>",
            f"<desc>{escape(doc.text)} Entities: {escape(found)}</desc>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="#ffffff" stroke="#d1d9e0"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def main() -> None:
    pipeline, output, *text = sys.argv[1:]
    doc = spacy.load(pipeline)(text[0] if text else TEXT)
    Path(output).write_text(draw(doc), encoding="utf-8")


if __name__ == "__main__":
    main()
