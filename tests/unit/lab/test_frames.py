"""Frames: whole, torn, and bytes that are none."""

from __future__ import annotations

import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.base.errors import DamagedError
from drystone.lab.frames import LONGEST_HEADER, LONGEST_PAYLOAD, FrameLine, FrameReader, encode_frame

_headers = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20) | st.none(), max_size=4)


@given(st.lists(st.tuples(_headers, st.binary(max_size=300)), max_size=5), st.integers(1, 50))
def test_frames_come_back_however_the_stream_is_cut(frames: list[tuple[dict[str, object], bytes]], step: int) -> None:
    stream = b"".join(encode_frame(header, payload) for header, payload in frames)
    reader = FrameReader()
    found = [frame for start in range(0, len(stream), step) for frame in reader.feed(stream[start : start + step])]
    assert found == frames


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_an_error_of_ours(data: bytes) -> None:
    try:
        frames = FrameReader().feed(data)
    except DamagedError:
        return
    assert sum(len(payload) for _, payload in frames) <= len(data)


@pytest.mark.parametrize("sizes", [(LONGEST_HEADER + 1, 0), (2, LONGEST_PAYLOAD + 1)])
def test_lengths_out_of_bounds_are_refused_before_anything_is_kept(sizes: tuple[int, int]) -> None:
    with pytest.raises(DamagedError, match="out of step"):
        FrameReader().feed(struct.pack(">II", *sizes))


@pytest.mark.parametrize("text", [b"[1]", b"nonsense", b"\xff\xfe", b"[" * 20000])
def test_a_header_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(DamagedError, match="header"):
        FrameReader().feed(struct.pack(">II", len(text), 0) + text)


def test_a_frame_too_long_is_not_written() -> None:
    with pytest.raises(DamagedError):
        encode_frame({}, bytes(LONGEST_PAYLOAD + 1))


def test_a_line_writes_no_more_than_the_other_side_has_room_for() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        line = FrameLine(near.fileno(), room=10)
        frame = encode_frame({"do": "run"}, b"payload")
        line.send({"do": "run"}, b"payload")
        assert not line.wants_write
        assert far.recv(100) == frame[:10]
        line.allow(1000)
        assert far.recv(100) == frame[10:]


def test_a_line_keeps_what_does_not_fit_and_says_when_the_other_side_is_gone() -> None:
    near, far = socket.socketpair()
    with near:
        for end in (near, far):
            end.setblocking(False)
        line, other = FrameLine(near.fileno()), FrameLine(far.fileno())
        for number in range(20):
            line.send({"n": number}, bytes(100_000))
        kept = line.wants_write
        assert kept
        found: list[int] = []
        while len(found) < 20:
            found += [header["n"] for header, _ in other.receive() or ()]
            line.flush()
        assert found == list(range(20))
        assert other.received > 2_000_000
        assert line.receive() == []
        far.close()
        assert line.receive() is None


def test_a_line_on_a_hung_up_terminal_is_gone() -> None:
    leader, follower = os.openpty()
    os.set_blocking(leader, False)
    os.close(follower)
    assert FrameLine(leader).receive() is None
    os.close(leader)
