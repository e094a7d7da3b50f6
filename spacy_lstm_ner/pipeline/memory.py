"""What to do when the memory of the machine or the GPU is full."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spacy.tokens import Doc

PREDICTION = "Lower batch_size of nlp.pipe (nlp.batch_size, [nlp] batch_size in the config), or divide long docs"
TRAINING = "Lower [training.batcher] size in the config, or divide long docs"


@contextmanager
def explained_memory_error(name: str, docs: Sequence[Doc], remedy: str) -> Iterator[None]:
    """Explain a MemoryError inside the block. NumPy raises it, and CuPy does when the memory of the GPU is full.

    Args:
        name (str): The name of the component.
        docs (Sequence[Doc]): The batch.
        remedy (str): What to do, `PREDICTION` or `TRAINING`.

    Raises:
        MemoryError: In place of the one in the block, with the size of the batch and the remedy.
    """
    try:
        yield
    except MemoryError as error:
        lengths = [len(doc) for doc in docs]
        raise MemoryError(
            f"'{name}': the memory is full at a batch of {len(lengths)} docs with {sum(lengths)} tokens, the longest "
            f"with {max(lengths, default=0)}. {remedy}." + (f" ({error})" if str(error) else "")
        ) from error
