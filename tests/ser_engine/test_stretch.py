"""A stream is looked at as its bytes are."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_engine import stretch
from ser_engine.audio import decode
from ser_engine.chained import links
from ser_engine.errors import AudioError
from ser_engine.guess import protected
from ser_engine.stretch import Looked, content_of

pytestmark = pytest.mark.unit

PAGE = b"OggS" + bytes(22) + b"\x01\x10" + bytes(16)


@given(st.binary(max_size=40).map(lambda data: data.replace(b"\x00", b"Og")), st.integers(0, 50), st.integers(4, 9))
def test_bytes_are_found_where_they_stand(data: bytes, begin: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "_CHUNK_BYTES", chunk)
        assert Looked(io.BytesIO(data)).find(b"OgOg", begin) == data.find(b"OgOg", begin)


@given(st.lists(st.sampled_from([PAGE, b"OggS", b"junk", bytes(30)]), max_size=8).map(b"".join), st.integers(4, 40))
def test_a_stream_has_the_links_of_its_bytes(data: bytes, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "_CHUNK_BYTES", chunk)
        assert links(content_of(io.BytesIO(data))) == links(data)


@pytest.mark.parametrize("size", [0, 30, len(PAGE) + 5])
def test_a_file_that_is_cut_off_while_it_is_looked_at_ends_nothing(size: int, tmp_path: Path) -> None:
    (tmp_path / "a.ogg").write_bytes(PAGE * 2000 + b"junk" + PAGE)
    with (tmp_path / "a.ogg").open("rb") as stream:
        content = content_of(stream)
        os.truncate(tmp_path / "a.ogg", size)
        assert links(content) == [(0, None)]
        assert not protected(content)
        with pytest.raises(AudioError):
            decode(stream)
