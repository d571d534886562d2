"""The convolutions before the encoder's layers: Whisper's own, and pruned ones that give nearly the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ser_engine.training import stem
from tests.fakes.whisper import made_tensors

pytestmark = pytest.mark.integration

TENSORS = made_tensors(1)


def moving_mel(frames: int, seed: int) -> NDArray[np.float32]:
    """As speech is: what stands in a frame stands nearly so in the next."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((frames + 12, 80))
    smooth = np.stack([np.convolve(band, np.hanning(13), mode="valid") for band in steps.T], axis=1)
    return np.asarray(smooth / smooth.std(), np.float32)


def given(made: stem.Stem, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """What stands before the last activation."""
    first, second = made.convolutions
    inner = np.asarray(stem.gelu(stem.convolved(mel, first)), np.float32)
    return stem.convolved(inner, second)


@pytest.mark.parametrize(("frames", "states"), [(1, 1), (8, 1), (9, 2), (296, 37), (297, 38), (300, 38)])
def test_a_thinned_stem_gives_a_state_for_eight_frames(frames: int, states: int) -> None:
    made = stem.pruned(TENSORS, [moving_mel(120, 1)], 16)
    assert made.step == 8
    assert given(made, moving_mel(frames, 2)).shape == (states, 384)
    assert made.positions.shape == (38, 384)


def test_its_positions_are_the_means_of_those_it_stands_for() -> None:
    own, made = stem.whole(TENSORS), stem.pruned(TENSORS, [moving_mel(120, 1)], 16)
    assert np.allclose(made.positions[3], own.positions[12:16].mean(axis=0), atol=1e-6)
    assert np.allclose(made.positions[37], own.positions[148:150].mean(axis=0), atol=1e-6)


def test_it_is_nearer_to_the_mean_of_four_states_than_each_of_the_four_is() -> None:
    made = stem.pruned(TENSORS, [moving_mel(300, seed) for seed in range(60)], 256)
    mel = moving_mel(296, 1000)  # which it was not fitted to
    states = given(stem.whole(TENSORS), mel).reshape(37, 4, 384)
    wanted = states.mean(axis=1)
    each = [float(np.square(states[:, k] - wanted).sum()) for k in range(4)]
    assert float(np.square(given(made, mel) - wanted).sum()) < min(each)


def test_more_channels_are_nearer() -> None:
    mels = [moving_mel(300, seed) for seed in range(60)]
    mel = moving_mel(296, 1000)
    wanted = given(stem.whole(TENSORS), mel).reshape(37, 4, 384).mean(axis=1)
    missed = [float(np.square(given(stem.pruned(TENSORS, mels, count), mel) - wanted).sum()) for count in (16, 64)]
    assert missed[1] < missed[0]


@pytest.mark.parametrize("channels", [0, -1, 385])
def test_channels_that_there_are_not_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 384 channels, not {channels}"):
        stem.pruned(TENSORS, [moving_mel(120, 1)], channels)
