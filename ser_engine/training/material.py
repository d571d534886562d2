"""What a head is trained on over a finished encoder: windows of several corpora, each in several augmented views.

Four kinds stand beside one another: labelled recordings (acted corpora), ordinary speech (nobody acts, nobody has
voted), recorded sounds without speech, and made ones: babble, a voice under music, bursts like laughter, noise and
tones. What the encoder makes of a view is kept in the work folder, in half precision, because making it costs more than
all trainings that use it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ser_engine.audio import decode
from ser_engine.errors import CorpusError, EngineError
from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.networks import EncoderNetwork
from ser_engine.segmenter import segment_pcm
from ser_engine.training import augment, made_sounds
from ser_engine.training.corpus import Clip, Corpus
from ser_engine.training.recipes import Progress
from ser_engine.training.tables import read_table
from ser_engine.types import WINDOW_SAMPLES, Pcm

Kind = Literal["labelled", "ordinary", "sound", "made"]
AS_RECORDED: Final = 0
"""The view that is the recording itself."""
OVER_A_CALL: Final = 99
"""The view that is the recording as a good connection carries it."""
SHORT: Final = 98
"""The view that is 0.8 to 1.5 s of the recording, otherwise as it was."""
SHORT_SHARE: Final = 0.3
"""Share of the augmented views of 0.8 to 1.5 s."""
_CLEANED_SHARE: Final = 0.4
_BATCH: Final = 16
_VOICES: Final = 64
CALLED_EVERY: Final = 4
"""One labelled recording in so many is also heard over a call, to be answered alike."""
_MADE: Final = 150
"""Windows of each made kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A window of speech or sound before augmentation."""

    kind: Kind
    corpus: str
    speaker: str
    """Of the corpus; the recorder of a sound."""
    name: str
    pcm: NDArray[np.int16]
    clip: Clip | None = None
    """What is known of a labelled recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """What an encoder makes of one view of some pieces, one after another."""

    steps: NDArray[np.float16]
    """Shape (all steps, width)."""
    starts: NDArray[np.int64]
    """Where each piece begins in `steps`, and the end: shape (pieces + 1,)."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, piece: int) -> Features:
        return np.asarray(self.steps[self.starts[piece] : self.starts[piece + 1]], np.float32)


def labelled_pieces(corpus: str, clips: Sequence[Clip]) -> list[Piece]:
    """A piece of each labelled recording: the whole of it, for a view may be of any part."""
    return [
        Piece(
            kind="labelled",
            corpus=corpus,
            speaker=clip.speaker,
            name=clip.path.name,
            pcm=_short(clip.read()),
            clip=clip,
        )
        for clip in clips
    ]


def ordinary_pieces(folder: Path) -> list[Piece]:
    """The windows of all recordings of ordinary speech in `folder`. Raises CorpusError."""
    pieces = []
    for path, row in recordings(folder, "corpus", "speaker"):
        for number, window in enumerate(segment_pcm(read_samples(path))):
            name = f"{row['file']}#{number}"
            about = {"corpus": row["corpus"], "speaker": row["speaker"], "name": name}
            pieces.append(Piece(kind="ordinary", pcm=_short(window.pcm), **about))  # type: ignore[arg-type]
    return pieces


def sound_pieces(folder: Path) -> list[Piece]:
    """Windows of all recorded sounds in `folder`, 3 s each. Raises CorpusError."""
    pieces = []
    for path, row in recordings(folder, "kind", "recorder"):
        pcm = read_samples(path)
        for start in range(0, max(1, len(pcm) - WINDOW_SAMPLES // 2), WINDOW_SAMPLES):
            part = _short(pcm[start : start + WINDOW_SAMPLES])
            about = {"corpus": row["kind"], "speaker": row["recorder"], "name": f"{row['file']}#{start}"}
            pieces.append(Piece(kind="sound", pcm=part, **about))  # type: ignore[arg-type]
    return pieces


def made_pieces(ordinary: Sequence[Piece], *, seed: int) -> list[Piece]:
    """What no single person said: babble, voices under music, bursts, noise and tones. `ordinary` lends the voices;
    where it is empty, there are noise and tones alone."""
    pieces = []
    for kind, make in _MAKERS.items() if ordinary else ((_VOICELESS, _MAKERS[_VOICELESS]),):
        for number in range(_MADE):
            rng = np.random.default_rng([seed, 17, *kind.encode(), number])
            pcm = make([_float(piece.pcm) for piece in _some(ordinary, rng)], rng)
            pieces.append(
                Piece(kind="made", corpus=kind, speaker=f"{kind}-{number}", name=f"{kind}-{number}", pcm=_short(pcm))
            )
    return pieces


_VOICELESS: Final = "not speech"
_MAKERS: Final[dict[str, Callable[[list[Pcm], np.random.Generator], Pcm]]] = {
    "babble": made_sounds.babble,
    "music": lambda voices, rng: made_sounds.over_music(voices[0], rng),
    "bursts": lambda voices, rng: made_sounds.bursts(voices[0], rng),
    _VOICELESS: lambda voices, rng: made_sounds.not_speech(rng),
}


def _some(pieces: Sequence[Piece], rng: np.random.Generator, count: int = 10) -> list[Piece]:
    return [pieces[int(k)] for k in rng.integers(0, len(pieces), count)] if pieces else []


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Whole corpora that a network does not hear, so that it can be asked about strangers."""

    corpora: tuple[str, ...]
    made: str
    """The group of made sounds that holds no voice of theirs."""


def leave_out(groups: dict[str, list[Piece]], *, seed: int) -> list[LeftOut]:
    """All acted corpora but the first, and half of the ordinary ones; then the other half, so that something is left to
    train on. The made sounds of each are added to `groups`."""
    sizes = Counter(piece.corpus for piece in groups["ordinary"])
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
    further = sorted({piece.corpus for piece in groups["further"]})
    out: list[LeftOut] = []
    for corpora in filter(None, ((*further, *ordered[::2]), tuple(ordered[1::2]))):
        out.append(LeftOut(corpora=corpora, made=f"made-{len(out) + 1}"))
        voices = [piece for piece in groups["ordinary"] if piece.corpus not in corpora]
        groups[out[-1].made] = made_pieces(voices, seed=seed)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is heard. The first corpus is the one that the engine was trained on."""

    corpora: Sequence[Corpus]
    ordinary: Path
    sounds: Path

    def groups(self, *, seed: int, strangers: bool = False) -> dict[str, list[Piece]]:
        """Pieces by the group that they belong to. Raises CorpusError, with `strangers` also for one corpus alone."""
        first, *further = self.corpora
        if strangers and not any(corpus.clips for corpus in further):
            raise CorpusError("Name a second corpus with --corpus: it tells how sure an answer to a stranger may be.")
        twice = [name for name, count in Counter(corpus.name for corpus in self.corpora).items() if count > 1]
        if twice:
            raise CorpusError(f"Two of the corpora are in folders named {twice[0]}: who is held out would not be.")
        own = [clip for clip in first.clips if clip.split in (None, "train")]
        judges = [clip for clip in first.clips if clip.split == "validation"]
        if not judges:
            raise CorpusError(f"{first.name} must state in its table who is held out: a column split with validation.")
        if not own:
            raise CorpusError(f"{first.name} must state in its table who trains: a column split with train.")
        ordinary, labelled = ordinary_pieces(self.ordinary), labelled_pieces(first.name, own)
        if not ordinary:
            raise CorpusError(f"No recording in {self.ordinary} holds a window of speech.")
        return {
            "judges": labelled_pieces(first.name, judges),
            "labelled": labelled,
            "called": labelled[::CALLED_EVERY],
            "further": [piece for corpus in further for piece in labelled_pieces(corpus.name, corpus.clips)],
            "ordinary": ordinary,
            "sounds": sound_pieces(self.sounds),
            "made": made_pieces(ordinary, seed=seed),
        }


class EncodedViews:
    """View after view of the same pieces, as an encoder hears them: made once, and kept in `folder`.

    It is named after the pieces (`digest_of`) and lies in that of their group.
    """

    def __init__(
        self, pieces: Sequence[Piece], settings: FeatureSettings, *, seed: int, folder: Path, progress: Progress
    ) -> None:
        self.pieces = pieces
        self._settings, self._seed, self._folder, self._progress = settings, seed, folder, progress

    def states(self, number: int, encoder: EncoderNetwork, called: str) -> States:
        """View `number` of every piece, as the encoder hears it that is `called` so."""
        path = self._folder / f"{called}-{number}.npy"
        if not path.is_file():
            self._make(number, encoder, path)
        return States(steps=np.load(path, mmap_mode="r"), starts=np.load(path.with_suffix(".starts.npy")))

    def _make(self, number: int, encoder: EncoderNetwork, path: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._progress.stage(f"view {number} of {self._folder.parent.name}", len(self.pieces))
        made: list[NDArray[np.float16]] = []
        others = self.others()
        for start in range(0, len(self.pieces), _BATCH):
            part = range(start, min(start + _BATCH, len(self.pieces)))
            mels = [extract(self.view(k, number, others), self._settings) for k in part]
            made += [states.astype(np.float16) for states in encoder.encode(mels)]
            self._progress.advance(len(part))
        np.save(path.with_suffix(".starts.npy"), np.cumsum([0, *map(len, made)]))
        draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
        np.save(draft, np.concatenate(made))
        draft.replace(path)

    def others(self) -> list[Pcm]:
        """Voices that augmented views may have in their background."""
        rng = np.random.default_rng([self._seed, 7])
        return [_float(piece.pcm) for piece in _some(self.pieces, rng, _VOICES)]

    def view(self, piece: int, number: int, others: Sequence[Pcm]) -> Pcm:
        """The samples of one view: the piece as recorded, or varied at random, but always the same for its number."""
        one = self.pieces[piece]
        pcm = _float(one.pcm)
        if number == AS_RECORDED:
            return pcm[:WINDOW_SAMPLES]
        rng = np.random.default_rng([self._seed, 31, number, piece])
        if number == SHORT:
            return np.ascontiguousarray(augment.cut_short(pcm, rng))
        if number == OVER_A_CALL:
            return augment.over_a_call(pcm[:WINDOW_SAMPLES], rng)
        cleaned = _CLEANED_SHARE if one.kind == "labelled" else 0.0
        return augment.vary(pcm, rng, others, cleaned=cleaned, short=SHORT_SHARE)


def digest_of(pieces: Sequence[Piece], *, seed: int) -> str:
    """12 hex digits that change with the pieces, their order and the seed: with what their views are."""
    found = hashlib.sha256(str(seed).encode())
    for piece in pieces:
        found.update(repr((piece.kind, piece.corpus, piece.speaker, piece.name, len(piece.pcm))).encode())
        found.update(piece.pcm.tobytes())
    return found.hexdigest()[:12]


def recordings(folder: Path, *columns: str) -> list[tuple[Path, Mapping[str, str]]]:
    """The files of the table of `folder`, each with its row, in which no one of `columns` is empty.

    Raises CorpusError, also when there is none.
    """
    table = read_table(folder, "file", *columns)
    for row in table.rows:
        if empty := [name for name in columns if not row.values[name]]:
            raise CorpusError(f"{row.where}: {empty[0]} must not be empty.")
    if not table.rows:
        raise CorpusError(f"{table.path} names no recording.")
    return [(table.recording(row), row.values) for row in table.rows]


def read_samples(path: Path) -> Pcm:
    try:
        return decode(path.read_bytes(), filename=path.name)
    except (OSError, EngineError) as error:
        raise CorpusError(f"{path} cannot be used: {error}") from error


def _short(pcm: Pcm) -> NDArray[np.int16]:
    return np.clip(np.round(pcm * 32768), -32768, 32767).astype(np.int16)


def _float(pcm: NDArray[np.int16]) -> Pcm:
    return pcm.astype(np.float32) / np.float32(32768)
