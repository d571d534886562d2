"""Model directories: what is in one, how it is found, and why it is trusted.

A directory holds ``model.json`` (a `Manifest`) and the files it states, each with its SHA-256:

``network.keras``
    The artifact of record. One input ``(batch, frames, D)`` (padding recognised by its own Masking layer), or two:
    ``features`` and ``lengths``. Its output is ``probabilities`` or ``logits``, as the manifest's `keras_output` says.
    Layers that are not Keras's own live in the module that `keras_layers` names and are registered there with
    ``@keras.saving.register_keras_serializable``.
``network.onnx``
    The same network for ONNX Runtime. Inputs ``features`` float32 ``(batch, frames, D)`` and ``lengths`` int32
    ``(batch,)``; output ``logits`` float32 ``(batch, labels)``, BEFORE temperature and softmax. Only `D` and the number
    of labels are fixed. ``features`` are standardised by the scaler and padded with zeros after their true length;
    frames after it must not change the logits.
``encoder.onnx`` (optional)
    Stands before the network. One input float32 ``(batch, frames, features.dims)`` whose windows all have the same true
    length, one output float32 ``(batch, frames', D)``. The network then gets the encoder's output, with true lengths
    ``frames'``. All but the widths are dynamic.
``scaler.json`` (optional)
    ``{"mean": [D numbers], "scale": [D numbers]}``, applied to the network's input: the features, or the encoder's
    output where there is an encoder. Absent: nothing is scaled.
``baseline.npz`` (optional, with an encoder)
    The weights of the head that compares a window with its speaker's earlier ones: see `ser_engine.baseline`.
    ``baseline.keras`` beside it is the artifact of record. It may hold the measure of strangeness as well.

`D` is `features.dims` without an encoder. With ``padding: pad_then_standardise`` (the old app) features are padded with
zeros to `features.max_frames`, standardised with the padding, and every length is `max_frames`.

The answer is softmax(logits / temperature); *unclear* when its maximum is under `unclear_below`, or a gate of
`ser_engine.gates` closes. Where the model measures strangeness (`ser_engine.strangeness`) both go with it:
`strange_temperature`, `strange_unclear_below`. With several `speeds` the window is played at each, and the logits are
the logarithms of the mean of their probabilities.

A directory of the old app holds ``final_ser_model.keras`` and ``scaler.pkl`` instead; a pickle runs code when it is
read, so it is only read when its hash is stated.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ser_engine.errors import ModelError
from ser_engine.features import FeatureSettings

CHEAPER: Final = "fast"
"""The model that stands in for a slower one while more speech comes than that can recognise."""
MAX_LABEL_CHARS: Final = 32
MAX_NAME_CHARS: Final = 64
"""What a stored window and session have room for."""
MANIFEST: Final = "model.json"
NETWORK_KERAS: Final = "network.keras"
NETWORK_ONNX: Final = "network.onnx"
ENCODER_ONNX: Final = "encoder.onnx"
SCALER_JSON: Final = "scaler.json"
BASELINE_KERAS: Final = "baseline.keras"
BASELINE_NPZ: Final = "baseline.npz"
OLD_NETWORK_KERAS: Final = "final_ser_model.keras"
OLD_SCALER_PICKLE: Final = "scaler.pkl"
KNOWN_FILES: Final = (
    *(NETWORK_KERAS, NETWORK_ONNX, ENCODER_ONNX, SCALER_JSON, BASELINE_KERAS, BASELINE_NPZ),
    *(OLD_NETWORK_KERAS, OLD_SCALER_PICKLE),
)

_MAX_MANIFEST_BYTES: Final = 2_000_000
_UNKNOWN: Final = "extra_forbidden"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The content of ``model.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    labels: tuple[str, ...] = Field(min_length=2, max_length=32)
    """In the order of the logits."""
    features: FeatureSettings
    features_hash: str = ""
    """`FeatureSettings.hash` when the weights were trained; `write_manifest` fills it."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Divides the logits; fitted on held-out speakers."""
    context_temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The temperature towards which it goes with the number of the speaker's earlier windows; None: it stays."""
    unclear_below: float = Field(default=0.0, ge=0, le=1)
    """Calibrated confidence under which a window is *unclear*; chosen from the risk-coverage curve."""
    strange_temperature: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    """What the temperature is multiplied by for a window wholly unlike the corpus that confidence was fitted on."""
    strange_unclear_below: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """By label, the threshold of *unclear* of such a window; a label that is missing keeps `unclear_below`."""
    speeds: tuple[Annotated[float, Field(ge=0.8, le=1.25)], ...] = Field(default=(1.0,), min_length=1, max_length=5)
    """A window is heard at each of these speeds, pitch and all; the probabilities are averaged before calibration."""
    quick: dict[str, str] = Field(default_factory=dict)
    """What of the ONNX files is computed in bytes when they are loaded: see `ser_engine.quick`."""
    keras_output: Literal["probabilities", "logits"] = "probabilities"
    keras_layers: str | None = Field(default=None, pattern=r"^ser_engine(\.[a-z_][a-z0-9_]*)+$")
    """Module of ser_engine that registers the Keras layers of ``network.keras`` when it is imported."""
    files: dict[str, Sha256] = Field(default_factory=dict)
    """SHA-256 of each file by its name; `write_manifest` fills it."""
    training: dict[str, Any] = Field(default_factory=dict)
    """How it was trained: recipe, seed, corpus, actors, duration."""
    evaluation: dict[str, Any] = Field(default_factory=dict)
    """Figures of ``undertone evaluate``, with the command that made them."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Package versions at training time."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Anything else worth keeping; nothing reads it."""

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels) or not all(labels):
            raise ValueError("labels must differ and must not be empty")
        if long := next((label for label in labels if len(label) > MAX_LABEL_CHARS or not label.isprintable()), None):
            raise ValueError(f"a label is a word of at most {MAX_LABEL_CHARS} letters, which {long!r} is not")
        return labels

    @field_validator("files")
    @classmethod
    def _files_are_plain_names(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if name not in KNOWN_FILES:
                raise ValueError(f"{name!r} is not a file of a model directory ({', '.join(KNOWN_FILES)})")
        return files

    @model_validator(mode="after")
    def _hash_fits(self) -> Manifest:
        if self.features_hash and self.features_hash != self.features.hash:
            raise ValueError(
                f"the feature settings hash to {self.features.hash}, but the weights were trained with "
                f"{self.features_hash}; settings were edited, or this version computes features differently"
            )
        return self

    def threshold(self, label: str, strangeness: float = 0.0) -> float:
        """The confidence that `label` needs to be called clear, in a window so strange (0 to 1)."""
        strange = max(self.unclear_below, self.strange_unclear_below.get(label, self.unclear_below))
        return (1 - strangeness) * self.unclear_below + strangeness * strange

    @property
    def version(self) -> str:
        """12 hex digits that change with the weights: of the network file's SHA-256, or of one over those of the
        network, the encoder and the baseline's head. Scaler, temperatures and thresholds do not change it."""
        network = next((name for name in (NETWORK_KERAS, OLD_NETWORK_KERAS, NETWORK_ONNX) if name in self.files), None)
        if network is None:
            return "0" * 12
        others = [self.files[name] for name in (ENCODER_ONNX, BASELINE_NPZ) if name in self.files]
        if not others:
            return self.files[network][:12]
        return hashlib.sha256("".join([self.files[network], *others]).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDirectory:
    """A directory with a valid manifest. Its files are only handed out after their hashes were compared."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The folder's, as far as a session has room for it."""
        return "".join(letter if letter.isprintable() else "?" for letter in self.path.name[:MAX_NAME_CHARS])

    def has(self, name: str) -> bool:
        return name in self.manifest.files

    def read(self, name: str) -> bytes:
        """Content of a stated file. Raises ModelError when it is unstated, missing or not what was stated."""
        if name not in self.manifest.files:
            why = " A pickle runs code when it is read." if name.endswith(".pkl") else ""
            raise ModelError(
                f"{self.path / name} is not stated in {MANIFEST}, so it is not read.{why} "
                f"If you trust it, run: undertone model adopt {self.path}"
            )
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{self.path / name} is stated in {MANIFEST} but cannot be read: {error.strerror}."
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.manifest.files[name]:
            raise ModelError(
                f"{self.path / name} is not the file that {MANIFEST} states: its SHA-256 is {found[:12]}…, "
                f"stated is {self.manifest.files[name][:12]}…. Restore the file, or train or adopt the model again."
            )
        return data


def load_manifest(directory: Path) -> Manifest:
    """Read and validate ``model.json`` of `directory`. Raises ModelError in words."""
    path = directory / MANIFEST
    try:
        if not path.is_file():
            old = (directory / OLD_NETWORK_KERAS).is_file()
            hint = f" It may be the old app's; if you trust it, run: undertone model adopt {directory}" if old else ""
            raise ModelError(f"{directory} is not a model directory: it has no {MANIFEST}.{hint}")
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ModelError(f"{path} is larger than {_MAX_MANIFEST_BYTES} bytes, so it is not a manifest.")
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        newer = " A newer Undertone may have written it." if where == "format" or first["type"] == _UNKNOWN else ""
        said = first["msg"].removeprefix("Value error, ")
        raise ModelError(f"{path} is not valid: {where}: {said}.{newer}") from error
    if not manifest.features_hash:
        raise ModelError(f"{path} does not state features_hash; write it with write_manifest.")
    if not set(manifest.files) & {NETWORK_KERAS, NETWORK_ONNX, OLD_NETWORK_KERAS}:
        raise ModelError(f"{path} states no network file ({NETWORK_KERAS} or {NETWORK_ONNX}).")
    return manifest


def open_directory(directory: Path) -> ModelDirectory:
    """The directory with its manifest; its files are checked when they are read."""
    return ModelDirectory(path=directory.resolve(), manifest=load_manifest(directory))


def verify(directory: Path) -> Manifest:
    """Check every stated file of `directory`. Raises ModelError for a missing or a changed file.

    The number of labels is compared with the network when a `Recognizer` loads it.
    """
    opened = open_directory(directory)
    for name in opened.manifest.files:
        opened.read(name)
    return opened.manifest


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write ``model.json`` with the hashes of every known file that lies in `directory`; returns what was written.
    Raises ModelError when it cannot be written; what was there before is still there then.

    A valid `Manifest` without `files` and `features_hash` is what a trainer hands in. Nothing here depends on the clock
    or the machine, so the same training gives the same bytes.
    """
    files = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for name in KNOWN_FILES
        if (directory / name).is_file()
    }
    whole = manifest.model_copy(update={"files": files, "features_hash": manifest.features.hash})
    text = json.dumps(whole.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    draft = directory / f".{MANIFEST}.draft"
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(directory / MANIFEST)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise ModelError(f"{directory / MANIFEST} cannot be written: {error.strerror}.") from error
    return whole


def model_roots() -> tuple[Path, ...]:
    """Where named models live: the checkout's ``model/``, then where an installed wheel's data goes (beside the package
    with ``pip install --target``, the environment's, the user's)."""
    around = Path(__file__).resolve().parent.parent
    user = sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))
    installed = dict.fromkeys((around, Path(sysconfig.get_path("data")), Path(user)))
    return around / "model", *(data / "share" / "undertone" / "model" for data in installed)


def available_models() -> tuple[str, ...]:
    """Names of the model directories that are present and have a manifest, sorted."""
    names = {path.parent.name for root in model_roots() for path in root.glob(f"*/{MANIFEST}")}
    return tuple(sorted(names))


def find_model(name_or_path: str | Path) -> Path:
    """The directory of a model, by its name (``seed``, ``fast``, ``default``) or by its path.

    ``default`` is ``seed`` as long as there is no ``default``. Raises ModelError when nothing is there.
    """
    path = Path(name_or_path)
    try:
        if len(path.parts) == 1 and str(path) not in (".", ".."):
            for name in (str(path), "seed") if str(path) == "default" else (str(path),):
                for root in model_roots():
                    if (root / name / MANIFEST).is_file():
                        return root / name
        if path.is_dir():
            return path
    except OSError as error:  # of a folder above it, or of a name that is too long
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    known = ", ".join(available_models()) or "none is installed"
    raise ModelError(f"There is no model {str(name_or_path)!r}. Known: {known}; or give the path of a directory.")
