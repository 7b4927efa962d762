"""Frames: what was put together comes apart, however it is cut on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.base.errors import UnavailableError, UsageError
from drystone.fleet.storage.frames import FrameReader, Unframer, frame_data, frame_document

FRAMES = st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=12)


def join(frames: list[tuple[bool, bytes]]) -> bytes:
    return b"".join(frame_document(data) if whole else frame_data(data) + data for whole, data in frames)


@given(FRAMES, st.lists(st.integers(0, 60), max_size=30))
def test_any_cut_gives_the_same_frames(frames: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    stream, unframer = join(frames), Unframer()
    got: list[tuple[bool, bytes]] = []
    for length in [*cuts, len(stream)]:
        part, stream = stream[:length], stream[length:]
        for whole, data in unframer.feed(part):
            if not whole and got and not got[-1][0]:
                got[-1] = (False, got[-1][1] + bytes(data))
            else:
                got.append((whole, bytes(data)))
    wanted: list[tuple[bool, bytes]] = []
    for whole, data in frames:
        if not whole and wanted and not wanted[-1][0]:
            wanted[-1] = (False, wanted[-1][1] + data)
        elif whole or data:
            wanted.append((whole, data))
    assert got == wanted


def test_a_document_of_gigabytes_is_refused_before_it_comes() -> None:
    with pytest.raises(UsageError):
        list(Unframer().feed(b"\xff\xff\xff\xff"))


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


def test_a_stream_is_documents_with_data_between() -> None:
    async def run() -> None:
        stream = frame_document(b"{}") + frame_data(b"abcdef") + b"abc", b"def" + frame_document(b"[1]")
        frames = FrameReader(pieces(*stream))
        assert await frames.document() == b"{}"
        assert b"".join([bytes(each) async for each in frames.data()]) == b"abcdef"
        assert await frames.document() == b"[1]"

    asyncio.run(run())


def test_data_without_the_document_after_it_broke_off() -> None:
    async def run() -> None:
        frames = FrameReader(pieces(frame_document(b"{}"), frame_data(b"abc") + b"abc"))
        await frames.document()
        with pytest.raises(UnavailableError):
            [bytes(each) async for each in frames.data()]

    asyncio.run(run())


def test_data_where_a_document_belongs_is_refused() -> None:
    async def run() -> None:
        with pytest.raises(UsageError):
            await FrameReader(pieces(frame_data(b"abc") + b"abc")).document()

    asyncio.run(run())
