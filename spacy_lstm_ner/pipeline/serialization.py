"""Saving and loading the component: whole or not at all, in both directions.

A folder (or a message of bytes) has the parts

cfg            labels and settings, JSON
model          weights and attributes of the layers, see `model_files`
manifest.json  the form in which this is written, and the SHA-256 of the other two, by which damage and a mixture of
               two savings are recognised
vocab          the vocabulary; a pipeline keeps that elsewhere

Parts without a manifest, from before there was one, are read too.
"""

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, Optional, Union

import srsly
from spacy.errors import Errors
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.util import ensure_path
from spacy.vocab import Vocab

from ..files import intact, replaced_folder, write_atomically
from .predict import n_tags
from .settings import check_settings, read_settings
from .weights import apply_model, read_model, unpack

FORMAT = 1
"""The form of what is saved. A change that older versions would read wrongly raises it."""
PACKAGE = "spacy-lstm-ner"


_FILES = {"cfg": "cfg", "model": "model", "manifest": "manifest.json"}
Parts = Dict[str, bytes]


class SavedPipe(TrainablePipe):
    """A trainable pipe whose files are checked before anything of them is taken, and replaced only as a whole.

    A pipe has cfg["labels"] and settings, and its model is a tagger.
    """

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize the component. exclude: parts to leave out, see the module."""
        self._validate_serialization_attrs()
        exclude = tuple(exclude)
        parts: Dict[str, Any] = self._parts(exclude)
        if "vocab" not in exclude:
            parts["vocab"] = self.vocab.to_bytes(exclude=exclude)
        return srsly.msgpack_dumps(parts)

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        """Save the component in a folder. The old content stays until all of the new one is written.

        path: the folder. Among files that are not the component's, its own are replaced one by one; a writer that is
            killed in between leaves a mixture, which `from_disk` recognises.
        exclude: parts to leave out; an older saving's stay.
        """
        self._validate_serialization_attrs()
        path, exclude = Path(path), tuple(exclude)
        parts = self._parts(exclude, path)
        written = {*(_FILES[name] for name in parts), *(() if "vocab" in exclude else ("vocab",))}
        if path.is_dir() and any(entry.name not in written for entry in path.iterdir()):
            for name, data in parts.items():
                write_atomically(path / _FILES[name], data)
            if "vocab" not in exclude:
                self.vocab.to_disk(path / "vocab", exclude=exclude)
            return
        with replaced_folder(path) as new:
            for name, data in parts.items():
                (new / _FILES[name]).write_bytes(data)
            if "vocab" not in exclude:
                self.vocab.to_disk(new / "vocab", exclude=exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "SavedPipe":
        """Load the component from what `to_bytes` gave; parts that were left out there stay as they are.

        Raises ValueError, and leaves the component as it was, for bytes that are damaged, of another architecture or
        of a newer version.
        """
        self._validate_serialization_attrs()
        exclude = tuple(exclude)
        try:
            message = unpack(bytes_data)
            # Of what was left out there may be nothing, but there is nothing else.
            if not isinstance(message, dict) or not (_FILES.keys() & message or message.keys() <= {"vocab"}):
                raise ValueError("expected the bytes of a component, found something else")
            parts = {name: message[name] for name in (*_FILES, "vocab") if name in message and name not in exclude}
            for name, data in parts.items():
                if isinstance(data, str):
                    parts[name] = data.encode("utf-8")
                elif not isinstance(data, bytes):
                    raise ValueError(f"expected {name} as bytes, found {type(data).__name__}")
            vocab = None
            if "vocab" in parts:
                vocab = _foreign(lambda: Vocab().from_bytes(parts["vocab"], exclude=exclude), "the vocabulary")
            loaded = self._check(parts)
        except ValueError as error:
            raise self._cannot_load("these bytes", error) from None
        if vocab is not None:
            self.vocab.from_bytes(parts["vocab"], exclude=exclude)
        return self._take(loaded)

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "SavedPipe":
        """Load the component from a folder that `to_disk` wrote.

        Raises ValueError, and leaves the component as it was, for files that are damaged, of another architecture or
        of a newer version; FileNotFoundError if one is absent.
        """
        self._validate_serialization_attrs()
        exclude, path = tuple(exclude), intact(ensure_path(path))
        try:
            parts = {
                name: (path / file).read_bytes()
                for name, file in _FILES.items()
                if name not in exclude and (name != "manifest" or (path / file).exists())
            }
            if "vocab" not in exclude:
                _foreign(lambda: Vocab().from_disk(path / "vocab", exclude=exclude), "the vocabulary")
            loaded = self._check(parts)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"'{self.name}': cannot load {path}: there is no {error.filename}. Is the pipeline complete?"
            ) from None
        except ValueError as error:
            raise self._cannot_load(path, error) from None
        if "vocab" not in exclude:
            self.vocab.from_disk(path / "vocab", exclude=exclude)
        return self._take(loaded)

    def _parts(self, exclude: Iterable[str], folder: Optional[Path] = None) -> Parts:
        """The parts to save but for the vocabulary. folder: has what is left out, to be named in the manifest too."""
        parts: Parts = {}
        if "cfg" not in exclude:
            # Not by srsly, which rounds numbers.
            parts["cfg"] = json.dumps(self.cfg, indent=2, allow_nan=False).encode("utf-8")
        if "model" not in exclude:
            parts["model"] = self.model.to_bytes()
        if "manifest" not in exclude:
            covered = dict(parts)
            for name in ("cfg", "model"):
                if folder is not None and name not in covered and (folder / _FILES[name]).is_file():
                    covered[name] = (folder / _FILES[name]).read_bytes()
            hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(covered.items())}
            manifest = {"package": PACKAGE, "version": version(PACKAGE), "format": FORMAT, "sha256": hashes}
            parts["manifest"] = json.dumps(manifest, indent=2).encode("utf-8")
        return parts

    def _check(self, parts: Parts) -> "tuple[Optional[Dict[str, Any]], Any]":
        """Everything that can be wrong with the parts. RETURNS the new settings and weights; None: not in the parts."""
        check_manifest(parts)
        cfg = None
        if "cfg" in parts:
            cfg = {**self.cfg, **read_settings(_json(parts["cfg"], "the settings in cfg"))}
            check_settings(self.name, {name: value for name, value in cfg.items() if name in self.cfg})
        size = n_tags(self.model, (cfg or self.cfg)["labels"])
        if "model" in parts:
            return cfg, read_model(parts["model"], self.model, size)
        output = self.model.get_ref("output_layer")
        if output.has_param("W") and output.get_dim("nO") != size:
            raise ValueError(
                f"expected labels for the {output.get_dim('nO')} tags of the model, found labels for {size} tags "
                "and no model"
            )
        return cfg, None

    def _take(self, loaded: "tuple[Optional[Dict[str, Any]], Any]") -> "SavedPipe":
        cfg, message = loaded
        if message is not None:
            apply_model(self.model, message, n_tags(self.model, (cfg or self.cfg)["labels"]))
        self.cfg.update(cfg or {})
        for label in self.cfg["labels"]:
            self.vocab.strings.add(label)
        return self

    def _cannot_load(self, place: Any, error: ValueError) -> ValueError:
        return ValueError(f"'{self.name}': cannot load {place}: {error}. ({Errors.E149})")


def check_manifest(parts: Parts) -> None:
    """Compare parts with their manifest. Raises ValueError if they are damaged, mixed, or of a newer form."""
    if "manifest" not in parts:
        return
    manifest = _json(parts["manifest"], "manifest.json")
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
                f"{found[:12]}… in {len(parts[name])} bytes. It is cut off, damaged, edited, or of another saving; "
                "take a copy that is whole. To change a setting, load the pipeline, set it in the component's cfg, and "
                "save"
            )


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected {name} as JSON, found something else ({error})") from None


def _foreign(read: Any, name: str) -> Any:
    try:
        return read()
    except Exception as error:
        # spaCy's readers raise whatever the libraries below them say.
        raise ValueError(f"{name} cannot be read ({type(error).__name__}: {str(error)[:80]})") from None
