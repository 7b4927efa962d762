"""Bytes of clients, whatever they are: an answer or the end of the connection, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drystone.wire.nbd import protocol
from drystone.wire.nbd.protocol import Description, ProtocolError

EXPORT = Description("image", 1 << 20)


@given(st.integers(0, 20), st.binary(max_size=200), st.booleans())
def test_any_option_is_answered_or_ends_it(option: int, data: bytes, no_zeroes: bool) -> None:
    try:
        answer = protocol.answer_option(option, data, EXPORT, no_zeroes=no_zeroes)
    except ProtocolError:
        assert option == protocol.Option.EXPORT_NAME
        return
    assert answer.data
    if option != protocol.Option.EXPORT_NAME:
        rest = answer.data
        while rest:
            magic, its_option, _, length = protocol.OPTION_REPLY.unpack_from(rest)
            assert (magic, its_option) == (protocol.REPLY_MAGIC, option)
            rest = rest[protocol.OPTION_REPLY.size + length :]


@given(st.binary(min_size=4, max_size=4) | st.integers(0, 3).map(lambda flags: flags.to_bytes(4, "big")))
def test_flags_of_clients(data: bytes) -> None:
    try:
        assert protocol.parse_client_flags(data) in {True, False}
    except ProtocolError:
        assert int.from_bytes(data, "big") > 3


REQUESTS = st.builds(
    lambda magic, command, cookie, offset, length: protocol.REQUEST.pack(magic, 0, command, cookie, offset, length),
    st.sampled_from([protocol.REQUEST_MAGIC, 0]),
    st.integers(0, 9),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 21) | st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 21) | st.integers(0, (1 << 32) - 1),
)


@given(REQUESTS)
def test_only_reads_within_the_export_and_flushes_are_done(data: bytes) -> None:
    try:
        request = protocol.parse_request(data)
    except ProtocolError:
        return
    assert request.payload <= protocol.LARGEST_WRITE
    if protocol.refusal(request, EXPORT.size) == 0 and request.command != protocol.Command.FLUSH:
        assert request.command == protocol.Command.READ
        assert request.offset + request.length <= EXPORT.size
        assert request.length <= protocol.LARGEST_READ
