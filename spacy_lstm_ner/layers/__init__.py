"""The layers: index arrays, embeddings, recurrent layers, and the chain of tags. Labels are numbers here."""
