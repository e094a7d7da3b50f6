"""Save and load the component, completely or not at all.

A folder (or a message of bytes) has the parts

cfg            labels and settings, JSON
model          weights and attributes of the layers, see `weights`
manifest.json  the format, and the SHA-256 of the other two. It shows damage and a mixture of two savings
vocab          the vocabulary; a pipeline keeps its own

Older files without a manifest can be loaded too.
"""

import hashlib
import json
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Protocol

import srsly
from spacy.errors import Errors
from spacy.util import load_config
from spacy.vocab import Vocab
from thinc.api import Model

from ..files import intact, replaced_folder, write_atomically
from ..layers.crf.head import head_scheme
from .settings import check_settings, default_settings, read_settings
from .weights import Message, apply_model, read_model, unpack

FORMAT = 1
"""The version of the format. It is raised with a change that older versions of the package would misread."""
PACKAGE = "spacy-lstm-ner"

_FILES = {"cfg": "cfg", "model": "model", "manifest": "manifest.json"}
Parts = Dict[str, bytes]
Exclude = Collection[str]


class Saved(Protocol):
    """The parts of a component that are saved: labels and settings in `cfg`, the model, and perhaps the vocabulary."""

    name: str
    cfg: Dict[str, Any]
    model: Model[Any, Any]
    vocab: Vocab


class Loaded(NamedTuple):
    """Parts that were read and checked; None for a part that was left out.

    Attributes:
        cfg (Optional[Dict[str, Any]]): Labels and settings.
        weights (Optional[Message]): The result of `weights.read_model`.
        n_tags (int): The number of tags that the model has with these labels.
    """

    cfg: Optional[Dict[str, Any]]
    weights: Optional[Message]
    n_tags: int


def to_bytes(component: Saved, exclude: Exclude) -> bytes:
    """Serialize a component.

    Args:
        component (Saved): The component.
        exclude (Collection[str]): The parts to leave out.

    Returns:
        bytes: The parts as a message.
    """
    parts: Dict[str, Any] = _parts(component, exclude)
    if "vocab" not in exclude:
        parts["vocab"] = component.vocab.to_bytes(exclude=exclude)
    return bytes(srsly.msgpack_dumps(parts))


def to_disk(component: Saved, path: Path, exclude: Exclude) -> None:
    """Save a component in a folder. The old content stays until all of the new content is written.

    Args:
        component (Saved): The component.
        path (Path): The folder. If it has other files as well, the component's files are replaced one by one; if the
            process is killed in between, `from_disk` recognizes the mixture.
        exclude (Collection[str]): The parts to leave out. If the folder has them already, they stay.
    """
    parts = _parts(component, exclude, path)
    written = {*(_FILES[name] for name in parts), *(() if "vocab" in exclude else ("vocab",))}
    if path.is_dir() and any(entry.name not in written for entry in path.iterdir()):
        for name, data in parts.items():
            write_atomically(path / _FILES[name], data)
        if "vocab" not in exclude:
            component.vocab.to_disk(path / "vocab", exclude=exclude)
        return
    with replaced_folder(path) as new:
        for name, data in parts.items():
            (new / _FILES[name]).write_bytes(data)
        if "vocab" not in exclude:
            component.vocab.to_disk(new / "vocab", exclude=exclude)


def from_bytes(component: Saved, data: bytes, exclude: Exclude) -> None:
    """Load a component from bytes. Parts that are not in them stay as they are.

    Args:
        component (Saved): The component.
        data (bytes): The result of `to_bytes`.
        exclude (Collection[str]): The parts to leave out.

    Raises:
        ValueError: If the bytes are damaged, of another architecture or of a newer version. The component then stays as
            it was.
    """
    try:
        message = unpack(data)
        # A message may be empty, but must not have anything else.
        if not isinstance(message, dict) or not (_FILES.keys() & message or message.keys() <= {"vocab"}):
            raise ValueError("expected the bytes of a component, found something else")
        parts = {name: message[name] for name in (*_FILES, "vocab") if name in message and name not in exclude}
        for name, part in parts.items():
            if isinstance(part, str):
                parts[name] = part.encode("utf-8")
            elif not isinstance(part, bytes):
                raise ValueError(f"expected {name} as bytes, found {type(part).__name__}")
        if "vocab" in parts:
            # First into a new vocabulary, because reading may fail.
            _read_vocab(lambda vocab: vocab.from_bytes(parts["vocab"], exclude=exclude))
        loaded = _check(component, parts)
    except ValueError as error:
        raise _cannot_load(component, "these bytes", error) from None
    if "vocab" in parts:
        component.vocab.from_bytes(parts["vocab"], exclude=exclude)
    _apply(component, loaded)


def from_disk(component: Saved, path: Path, exclude: Exclude, config_may_win: bool = False) -> None:
    """Load a component from a folder.

    Args:
        component (Saved): The component.
        path (Path): The folder.
        exclude (Collection[str]): The parts to leave out.
        config_may_win (bool): Whether a setting of the component that differs from the config of the saved pipeline
            was given to `spacy.load`, and so wins over the saved one. A setting that differs only from the saved one
            was changed before the pipeline was saved, and is read.

    Raises:
        ValueError: If files are damaged, of another architecture or of a newer version. The component then stays as it
            was.
        FileNotFoundError: If a file is missing.
    """
    folder, path = path, intact(path)
    try:
        parts = {
            name: (path / file).read_bytes()
            for name, file in _FILES.items()
            if name not in exclude and (name != "manifest" or (path / file).exists())
        }
        if "vocab" not in exclude:
            # spaCy's reader does not say what is missing.
            (path / "vocab").stat()
            _read_vocab(lambda vocab: vocab.from_disk(path / "vocab", exclude=exclude))
        loaded = _check(component, parts)
        if config_may_win and loaded.cfg is not None:
            loaded.cfg.update(_given_at_load(component, loaded.cfg, folder))
    except FileNotFoundError as error:
        reason = _why_absent(path, Path(error.filename))
        raise FileNotFoundError(
            f"'{component.name}': cannot load {path}: there is no {error.filename}. {reason}"
        ) from None
    except ValueError as error:
        raise _cannot_load(component, path, error) from None
    if "vocab" not in exclude:
        component.vocab.from_disk(path / "vocab", exclude=exclude)
    _apply(component, loaded)


def _why_absent(folder: Path, file: Path) -> str:
    """What the user may have done, if a file is missing in the folder of a component."""
    if (folder / "config.cfg").exists():
        return "The folder is a pipeline. Each of its folders is a component, to load with exclude=['vocab']"
    if file.name == "vocab":
        return "The component was saved as a part of a pipeline, which keeps the vocabulary. Pass exclude=['vocab']"
    return "Is the pipeline complete?"


def _parts(component: Saved, exclude: Exclude, folder: Optional[Path] = None) -> Parts:
    """The parts to save, without the vocabulary. The manifest also covers parts that are left out but in the folder."""
    parts: Parts = {}
    if "cfg" not in exclude:
        # Not by srsly, which rounds numbers.
        parts["cfg"] = json.dumps(component.cfg, indent=2, allow_nan=False).encode("utf-8")
    if "model" not in exclude:
        parts["model"] = component.model.to_bytes()
    if "manifest" not in exclude:
        covered = dict(parts)
        for name in ("cfg", "model"):
            if folder is not None and name not in covered and (folder / _FILES[name]).is_file():
                covered[name] = (folder / _FILES[name]).read_bytes()
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(covered.items())}
        manifest = {"package": PACKAGE, "version": version(PACKAGE), "format": FORMAT, "sha256": hashes}
        parts["manifest"] = json.dumps(manifest, indent=2).encode("utf-8")
    return parts


def _check(component: Saved, parts: Parts) -> Loaded:
    """Read the parts, and check everything before the component changes."""
    check_manifest(parts)
    cfg = None
    if "cfg" in parts:
        cfg = {**component.cfg, **read_settings(_read_json(parts["cfg"], "the settings in cfg"))}
        check_settings(component.name, {name: value for name, value in cfg.items() if name in component.cfg})
    model = component.model
    n_tags = head_scheme(model.get_ref("head")).n_tags(len((cfg or component.cfg)["labels"]))
    if "model" in parts:
        return Loaded(cfg, read_model(parts["model"], model, n_tags), n_tags)
    output = model.get_ref("output_layer")
    if output.has_param("W") and output.get_dim("nO") != n_tags:
        raise ValueError(
            f"expected labels for the {output.get_dim('nO')} tags of the model, found labels for {n_tags} tags "
            "and no model"
        )
    return Loaded(cfg, None, n_tags)


def _given_at_load(component: Saved, saved: Dict[str, Any], folder: Path) -> Dict[str, Any]:
    """The settings of a component that are neither the saved ones nor those of the saved pipeline's config."""
    config_path = folder.parent / "config.cfg"
    changed = [setting for setting in default_settings() if component.cfg[setting] != saved[setting]]
    if not changed or not config_path.is_file():
        return {}
    config = load_config(config_path, interpolate=True)["components"].get(folder.name, {})
    before = {**default_settings(), **config}
    return {setting: component.cfg[setting] for setting in changed if component.cfg[setting] != before[setting]}


def _apply(component: Saved, loaded: Loaded) -> None:
    if loaded.weights is not None:
        apply_model(component.model, loaded.weights, loaded.n_tags)
    component.cfg.update(loaded.cfg or {})
    for label in component.cfg["labels"]:
        component.vocab.strings.add(label)


def _cannot_load(component: Saved, place: Any, error: ValueError) -> ValueError:
    return ValueError(f"'{component.name}': cannot load {place}: {error}. ({Errors.E149})")


def check_manifest(parts: Parts) -> None:
    """Compare parts with their manifest.

    Args:
        parts (Dict[str, bytes]): The parts by name, with or without "manifest".

    Raises:
        ValueError: If parts are damaged, mixed from two savings, or of a newer format.
    """
    if "manifest" not in parts:
        return
    manifest = _read_json(parts["manifest"], "manifest.json")
    known = (
        isinstance(manifest, dict) and manifest.get("package") == PACKAGE and isinstance(manifest.get("format"), int)
    )
    if not known or not isinstance(manifest.get("sha256"), dict):
        raise ValueError(f"expected a manifest of {PACKAGE}, found {str(manifest)[:80]}")
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"{PACKAGE} {manifest.get('version')} wrote it, in the format {manifest['format']}, but this is "
            f"{PACKAGE} {version(PACKAGE)}, which reads formats up to {FORMAT}. Upgrade: "
            f"pip install --upgrade {PACKAGE}"
        )
    for name in ("cfg", "model"):
        if name not in parts:
            continue
        expected, found = manifest["sha256"].get(name), hashlib.sha256(parts[name]).hexdigest()
        if found != expected:
            raise ValueError(
                f"{name} is not the file that was saved: expected the SHA-256 {str(expected)[:12]}…, found "
                f"{found[:12]}… in {len(parts[name])} bytes. It is truncated, damaged, edited, or of another saving; "
                "use a complete copy. To change a setting, load the pipeline, set it in the component's cfg, and save"
            )


def _read_json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected {name} as JSON, found something else ({error})") from None


def _read_vocab(read: Callable[[Vocab], Any]) -> None:
    try:
        read(Vocab())
    except Exception as error:
        # spaCy's readers raise the errors of several libraries.
        raise ValueError(f"the vocabulary cannot be read ({type(error).__name__}: {str(error)[:80]})") from None
