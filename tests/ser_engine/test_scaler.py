"""Standardising and padding keep the two orders apart, and a scaler survives its file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from ser_engine.errors import ModelError
from ser_engine.features import FeatureSettings
from ser_engine.networks import unpickled
from ser_engine.scaler import Scaler, collate

pytestmark = pytest.mark.unit


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [(rng.standard_normal((n, 5)) * [1, 2, 3, 4, 0] + 7).astype(np.float32) for n in (4, 9, 6)]


def scaler_of(frames: np.ndarray) -> Scaler:
    return Scaler.checked(frames.mean(axis=0).tolist(), [*frames.std(axis=0)[:4].tolist(), 1.0])


@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}], ids=str)
def test_a_pickled_scaler_scales_as_it_did(options: dict[str, bool]) -> None:
    frames = np.concatenate(clips())
    fitted = StandardScaler(**options).fit(frames)
    scaler = unpickled(pickle.dumps(fitted), Path("scaler.pkl"))
    assert np.allclose((frames - scaler.mean) / scaler.scale, fitted.transform(frames), atol=1e-5)


@pytest.mark.parametrize("other", [MinMaxScaler(), StandardScaler(), {"mean_": [1]}, b"\x80"], ids=repr)
def test_what_is_no_fitted_scaler_is_refused_in_words(other: object) -> None:
    data = other if isinstance(other, bytes) else pickle.dumps(other)
    with pytest.raises(ModelError, match=r"scaler\.pkl is not a fitted StandardScaler"):
        unpickled(data, Path("scaler.pkl"))


def test_file_round_trip_is_exact() -> None:
    scaler = scaler_of(np.concatenate(clips()))
    again = Scaler.from_json(scaler.to_json())
    assert np.array_equal(again.mean, scaler.mean)
    assert np.array_equal(again.scale, scaler.scale)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"mean": [1], "scale": [1, 2]}',
        '{"mean": [1], "scale": [0]}',
        '{"mean": [NaN], "scale": [1]}',
        '{"mean": "a", "scale": "b"}',
        '{"mean": 1, "scale": 1}',
    ],
)
def test_broken_scaler_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Scaler.from_json(text)


def test_new_order_pads_with_zeros_after_true_lengths() -> None:
    scaler = scaler_of(np.concatenate(clips()))
    batch, lengths = collate(clips(), scaler, FeatureSettings(max_frames=8))
    assert batch.shape == (3, 8, 5)
    assert lengths.tolist() == [4, 8, 6]
    assert lengths.dtype == np.int32
    assert not batch[0, 4:].any()
    assert np.array_equal(batch[2, :6], scaler.apply(clips()[2]))


def test_old_order_standardises_its_padding() -> None:
    scaler = scaler_of(np.concatenate(clips()))
    settings = FeatureSettings(max_frames=12, padding="pad_then_standardise")
    batch, lengths = collate(clips(), scaler, settings)
    assert batch.shape == (3, 12, 5)
    assert lengths.tolist() == [12, 12, 12]
    assert np.allclose(batch[0, 4:], -scaler.mean / scaler.scale)
