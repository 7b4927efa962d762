"""Mutations of bytes: the same random source makes the same ones.

Images are mutated by chance, and by the kinds of `testing.damage`, which know where pointers and counts are: loops and
wrong counts are hardly met by chance.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from random import Random

from drystone.base.errors import UsageError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import checksum_block
from drystone.testing.damage.fields import FIELDS, SALTS, Place, Shape
from drystone.testing.damage.sites import Anatomy
from drystone.testing.damage.table import KINDS, Target, apply_damage, list_places, plan_damage

_NUMBERS = (0, 1, 2, 3, 8, 84, 126, 252, 253, 336, 509, 1018, 16320, 0xFF, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31)
_LARGE = ((1 << 32) - 1, 1 << 32, (1 << 40) - 1, 1 << 48, (1 << 56) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_SHAPES: dict[int, Shape] = {salt: shape for shape, salt in SALTS.items()}
_PLACES: dict[Shape, list[Place]] = {
    shape: [place for name, place in names.items() if name != "checksum"] for shape, names in FIELDS.items()
}
"""Where the numbers of headers, and of superblocks, are."""

_WORDS = (
    *rb"""< > " / & - { [ ] } null true &a; <ref name='1'/> ' = 0x10 , : . /> -1 1e9 99999999999999999999""".split(),
    *(b"\n", b" ", b"\0", b"\xff", b"<!DOCTYPE x [<!ENTITY a 'b'>]>"),
)

Mutator = Callable[[bytearray, Random], None]
BlockMutator = Callable[[bytearray, Shape, Random], None]
FixedMutator = Callable[[bytearray, int, Random], None]


def mutate_file(data: bytes, random: Random) -> bytes:
    """One to four changes anywhere in a file of any kind."""
    mutated = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_FILE_MUTATORS)(mutated, random)
    return bytes(mutated)


def mutate_fixed(data: bytes, random: Random) -> bytes:
    """One to four changes in a structure that keeps its length: mostly in its beginning, and where it is no zeros."""
    mutated = bytearray(data)
    used = [at for at, byte in enumerate(data) if byte] or [0]
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.choice((random.choice(used), random.randrange(min(len(data), 128)), random.randrange(len(data))))
        random.choice(_FIXED_MUTATORS)(mutated, at, random)
    return bytes(mutated[: len(data)])


def mutate_image(data: bytes, used: list[int], random: Random) -> bytes:
    """One to four blocks of an image changed, most of them with a checksum that fits again; or the image cut short.

    :param used: the blocks to choose from; the superblock is taken more often than the others.
    """
    mutated = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        begin = 0 if random.random() < 0.1 else random.choice(used) * BLOCK
        block = mutated[begin : begin + BLOCK]
        changed = bytearray(mutate_block(bytes(block), random))
        mutated[begin : begin + BLOCK] = changed
    if random.random() < 0.02:
        del mutated[random.randrange(len(mutated)) :]
    return bytes(mutated)


def damage_image(target: Target, data: bytes, anatomy: Anatomy, random: Random) -> bytes:
    """One or two kinds of damage on purpose to a sound image; now and then with other mutations on top.

    :param anatomy: of the image.
    """
    damaged = data
    for _ in range(random.choice((1, 1, 2))):
        kind = random.choice([*KINDS[target].values()])
        if list_places(anatomy, kind):
            # Planned for the sound image: what two plans both change is as the second has it.
            with contextlib.suppress(UsageError):
                plan = plan_damage(target, kind.name, anatomy.reader, seed=random.getrandbits(32), anatomy=anatomy)
                damaged = apply_damage(plan, damaged)
    if random.random() < 0.8:
        return damaged
    whole = len(damaged) // BLOCK
    return mutate_image(damaged, [block for block in sorted(anatomy.sites) if block < whole], random)


def mutate_block(block: bytes, random: Random) -> bytes:
    """One to three changes in a block of 4096 bytes; in nine of ten cases sealed again as what it was."""
    salt = int.from_bytes(block[:4], "little") ^ checksum_block(block, 0)
    shape = _SHAPES.get(salt)
    mutated = bytearray(block)
    fields_of: Shape = random.choice([*FIELDS]) if shape is None else shape
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(_BLOCK_MUTATORS)(mutated, fields_of, random)
    if shape is not None and random.random() < 0.9:
        if random.random() < 0.05:
            salt = random.choice([*SALTS.values()])
        mutated[:4] = struct.pack("<I", checksum_block(bytes(mutated), salt))
    return bytes(mutated)


def _pick_number(random: Random) -> int:
    draw = random.random()
    if draw < 0.4:
        return random.choice(_NUMBERS)
    if draw < 0.6:
        return random.choice(_LARGE)
    return random.getrandbits(random.choice((4, 8, 16, 24, 32, 48, 64)))


def _put_field(data: bytearray, shape: Shape, random: Random) -> None:
    at, size = random.choice(_PLACES[shape])
    data[at : at + size] = (_pick_number(random) % (1 << 8 * size)).to_bytes(size, "little")


def _put_number(data: bytearray, _: Shape, random: Random) -> None:
    at = random.randrange(0, BLOCK - 8, 4)
    data[at : at + 8] = _pick_number(random).to_bytes(8, "little")


def _nudge_field(data: bytearray, shape: Shape, random: Random) -> None:
    _nudge(data, random.choice(_PLACES[shape])[0], random)


def _nudge_number(data: bytearray, _: Shape, random: Random) -> None:
    _nudge(data, random.randrange(0, BLOCK - 8, 4), random)


def _nudge(data: bytearray, at: int, random: Random) -> None:
    number = int.from_bytes(data[at : at + 4], "little") + random.choice((-1, 1, 64, -64))
    data[at : at + 4] = (number % (1 << 32)).to_bytes(4, "little")


def _flip_bit(data: bytearray, _: Shape, random: Random) -> None:
    _flip(data, random)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _fill(data: bytearray, _: Shape, random: Random) -> None:
    begin = random.randrange(0, BLOCK, 8)
    size = min(random.choice((8, 64, 512, 4096)), BLOCK - begin)
    byte = random.choice((b"\0", b"\xff"))
    data[begin : begin + size] = byte * size


def _put_at(data: bytearray, at: int, random: Random) -> None:
    size = random.choice((1, 2, 4, 8))
    at -= at % size
    data[at : at + size] = (_pick_number(random) % (1 << 8 * size)).to_bytes(size, "little")


def _nudge_at(data: bytearray, at: int, random: Random) -> None:
    at -= at % 4
    if at + 4 <= len(data):
        _nudge(data, at, random)


def _fill_at(data: bytearray, at: int, random: Random) -> None:
    size = min(random.choice((1, 8, 64, 512)), len(data) - at)
    data[at : at + size] = random.choice((b"\0", b"\xff")) * size


def _copy_at(data: bytearray, at: int, random: Random) -> None:
    source, size = random.randrange(len(data)), random.choice((8, 32, 40, 256))
    size = min(size, len(data) - source, len(data) - at)
    data[at : at + size] = data[source : source + size]


def _copy(data: bytearray, _: Shape, random: Random) -> None:
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


_BLOCK_MUTATORS: tuple[BlockMutator, ...] = (
    _put_field, _put_field, _put_field, _put_number, _put_number, _nudge_field, _nudge_number, _flip_bit, _fill, _copy,
)  # fmt: skip
_FIXED_MUTATORS: tuple[FixedMutator, ...] = (_put_at, _put_at, _put_at, _nudge_at, _nudge_at, _fill_at, _copy_at)
_FILE_MUTATORS: tuple[Mutator, ...] = (
    _flip, _cut, _drop, _repeat, _insert, _replace_digits, _replace_digits, _overwrite, _move,
)  # fmt: skip
