"""The labels for `initialize`, in the forms that files have."""

from typing import Any


def read_label_data(name: str, labels: Any) -> list[str]:
    """Read labels from a list, or from the mapping {action: {label: count}} that spaCy's `ner` writes.

    Args:
        name (str): The component's name, for the error.
        labels (Any): The list or mapping.

    Returns:
        list[str]: The labels.

    Raises:
        ValueError: If it is neither.
    """
    found = labels
    if isinstance(labels, dict) and all(isinstance(value, dict) for value in labels.values()):
        found = list({label: None for action in labels.values() for label in action if label})
    if not isinstance(found, (list, tuple)) or not all(isinstance(label, str) for label in found):
        raise ValueError(
            f"'{name}': labels must be a list of strings, as `spacy init labels` writes them, or the label data of "
            f"spaCy's ner, but got {type(labels).__name__} {str(labels)[:80]!r}"
        )
    return sorted(found) if isinstance(labels, dict) else list(found)
