"""The arithmetic: index arrays, recurrent layers, embeddings and decoding. No label string is known here."""
