"""Mutations of bytes: the same random source makes the same ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import SALTS, checksum_block

_NUMBERS = (0, 1, 2, 3, 8, 84, 126, 252, 253, 336, 509, 1018, 16320, 0xFF, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31)
_LARGE = ((1 << 32) - 1, 1 << 32, (1 << 40) - 1, 1 << 48, (1 << 56) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_HEADERS = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 72, 172, 180, 184, 188, 192, 200, 208, 216, 320, 328, 336)
"""Offsets at which the numbers of headers, and of superblocks, are."""

_WORDS = (
    *rb"""< > " / & - { [ ] } null true &a; <ref name='1'/> ' = 0x10 , : . /> -1 1e9 99999999999999999999""".split(),
    *(b"\n", b" ", b"\0", b"\xff", b"<!DOCTYPE x [<!ENTITY a 'b'>]>"),
)

Mutator = Callable[[bytearray, Random], None]


def mutate_file(data: bytes, random: Random) -> bytes:
    """One to four changes anywhere in a file of any kind."""
    mutated = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_FILE_MUTATORS)(mutated, random)
    return bytes(mutated)


def mutate_image(data: bytes, used: list[int], random: Random) -> bytes:
    """One to four blocks of an image changed, most of them with a checksum that fits again; or the image cut short.

    :param used: the blocks to choose from.
    """
    mutated = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        begin = random.choice(used) * BLOCK
        block = mutated[begin : begin + BLOCK]
        changed = bytearray(mutate_block(bytes(block), random))
        mutated[begin : begin + BLOCK] = changed
    if random.random() < 0.02:
        del mutated[random.randrange(len(mutated)) :]
    return bytes(mutated)


def mutate_block(block: bytes, random: Random) -> bytes:
    """One to three changes in a block of 4096 bytes; in nine of ten cases sealed again as what it was."""
    salt = int.from_bytes(block[:4], "little") ^ checksum_block(block, 0)
    mutated = bytearray(block)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(_BLOCK_MUTATORS)(mutated, random)
    if salt in SALTS.values() and random.random() < 0.9:
        if random.random() < 0.05:
            salt = random.choice(list(SALTS.values()))
        mutated[:4] = struct.pack("<I", checksum_block(bytes(mutated), salt))
    return bytes(mutated)


def _pick_number(random: Random) -> int:
    draw = random.random()
    if draw < 0.4:
        return random.choice(_NUMBERS)
    if draw < 0.6:
        return random.choice(_LARGE)
    return random.getrandbits(random.choice((4, 8, 16, 24, 32, 48, 64)))


def _put_header(data: bytearray, random: Random) -> None:
    size = random.choice((4, 8))
    at = random.choice(_HEADERS)
    data[at : at + size] = (_pick_number(random) % (1 << 8 * size)).to_bytes(size, "little")


def _put_number(data: bytearray, random: Random) -> None:
    at = random.randrange(0, BLOCK - 8, 4)
    data[at : at + 8] = _pick_number(random).to_bytes(8, "little")


def _nudge_number(data: bytearray, random: Random) -> None:
    at = random.choice((random.choice(_HEADERS), random.randrange(0, BLOCK - 8, 4)))
    number = int.from_bytes(data[at : at + 4], "little") + random.choice((-1, 1, 64, -64))
    data[at : at + 4] = (number % (1 << 32)).to_bytes(4, "little")


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _fill(data: bytearray, random: Random) -> None:
    begin = random.randrange(0, BLOCK, 8)
    size = min(random.choice((8, 64, 512, 4096)), BLOCK - begin)
    byte = random.choice((b"\0", b"\xff"))
    data[begin : begin + size] = byte * size


def _copy(data: bytearray, random: Random) -> None:
    source, target = (random.randrange(0, BLOCK - 64, 8) for _ in range(2))
    data[target : target + 64] = data[source : source + 64]


def _cut(data: bytearray, random: Random) -> None:
    if data:
        del data[random.randrange(len(data)) :]


def _drop(data: bytearray, random: Random) -> None:
    if data:
        begin = random.randrange(len(data))
        del data[begin : begin + random.choice((1, 2, 8, 64, 512))]


def _repeat(data: bytearray, random: Random) -> None:
    if data:
        begin = random.randrange(len(data))
        part = bytes(data[begin : begin + random.choice((1, 8, 40, 200))])
        data[begin:begin] = part * random.choice((1, 2, 20))


def _insert(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(_WORDS)


def _replace_digits(data: bytearray, random: Random) -> None:
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57] if len(data) < 20_000 else []
    if places:
        at = random.choice(places)
        data[at : at + 1] = str(_pick_number(random)).encode()
    else:
        _flip(data, random)


def _overwrite(data: bytearray, random: Random) -> None:
    if data:
        at = random.randrange(len(data))
        size = random.choice((1, 2, 4, 8))
        data[at : at + size] = _pick_number(random).to_bytes(8, "little")[:size]


def _move(data: bytearray, random: Random) -> None:
    if data:
        begin, target = random.randrange(len(data)), random.randrange(len(data))
        part = bytes(data[begin : begin + random.choice((10, 60, 300))])
        data[target:target] = part


_BLOCK_MUTATORS: tuple[Mutator, ...] = (
    _put_header, _put_header, _put_header, _put_number, _put_number, _nudge_number, _nudge_number, _flip, _fill, _copy,
)  # fmt: skip
_FILE_MUTATORS: tuple[Mutator, ...] = (
    _flip, _cut, _drop, _repeat, _insert, _replace_digits, _replace_digits, _overwrite, _move,
)  # fmt: skip
