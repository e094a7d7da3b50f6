"""Data: annotated text, corpora, plain texts, word vectors, augmentation, and reports on data."""
