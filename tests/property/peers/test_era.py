"""Our era tools against both lines of thin-provisioning-tools, on generated metadata: the same text where they are
right, and what is right where they are not (docs/reference/differences.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from drystone.testing.comparison import run_peer
from drystone.testing.differences import mend
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.peers import Peer

from .conftest import FEW, assert_same, restore_with_both, run_ours


@dataclass(frozen=True, slots=True)
class Device:
    """What an image says."""

    eras: list[int]
    writesets: dict[int, set[int]]
    current: set[int] | None
    current_era: int
    held: Held | None

    @property
    def image(self) -> bytes:
        return write_era_metadata(
            self.eras, self.writesets, current=self.current, current_era=self.current_era, held=self.held
        )

    def last_writes(self) -> list[int]:
        """The newest era of every block."""
        current = {} if self.current is None else {self.current_era: self.current}
        return fold(self.eras, self.writesets | current)


def fold(eras: list[int], writesets: dict[int, set[int]]) -> list[int]:
    newest = list(eras)
    for era, blocks in writesets.items():
        for block in blocks:
            newest[block] = max(newest[block], era)
    return newest


def make_device(seed: int, *, live: bool, archived: bool, held: bool = False) -> Device:
    """:param live: there is a current writeset. :param archived: there are archived ones."""
    random = Random(seed)
    size = random.choice((1, 63, 64, 65, 500, 1018, 1019, 3000, 40_000))
    digested = random.randrange(1, 6)
    eras = [0] * size
    for _ in range(random.randrange(5)):
        begin, length = random.randrange(size), random.choice((1, 50, 1000))
        eras[begin : begin + length] = [random.randrange(digested + 1)] * len(eras[begin : begin + length])

    def pick() -> set[int]:
        begin = random.randrange(size)
        return set(range(begin, min(size, begin + random.choice((1, 3, 200))))) | set(random.choices(range(size), k=3))

    writesets = {digested + 1 + i: pick() for i in range(random.randrange(1, 4))} if archived else {}
    # A device at rest has the writeset of its current era archived, unless it was made and never used.
    current_era = digested + len(writesets) + (1 if live else 0)
    snapshot = Held(eras, {era: blocks for era, blocks in writesets.items() if random.random() < 0.5}, current_era)
    return Device(eras, writesets, pick() if live else None, current_era, snapshot if held else None)


def spell_ranges(newest: list[int], since: int, *, blank: str) -> str:
    """What an era_invalidate that misses nothing prints."""
    lines, begin = ["<blocks>"], None
    for block, era in enumerate([*newest, -1]):
        if era >= since:
            begin = block if begin is None else begin
        elif begin is not None:
            one = block - begin == 1
            lines.append(
                f'  <block block="{begin}"/>' if one else f'  <range begin="{begin}" end{blank}={blank}"{block}"/>'
            )
            begin = None
    return "\n".join([*lines, "</blocks>", ""])


@given(seed=st.integers(0, 1 << 32), archived=st.booleans())
@FEW
def test_dumps_of_a_device_at_rest(peer: Peer, folder: Path, seed: int, *, archived: bool) -> None:
    device = make_device(seed, live=False, archived=archived)
    image = folder / "image"
    image.write_bytes(device.image)
    assert_same(peer, "era_dump", image)
    for tool in (run_ours("era_check", image), run_peer(peer, "era_check", image)):
        assert tool.code == 0


@given(seed=st.integers(0, 1 << 32))
@FEW
def test_dumps_of_a_device_that_was_not_shut_down(peer: Peer, folder: Path, seed: int) -> None:
    device = make_device(seed, live=True, archived=True)
    image = folder / "image"
    image.write_bytes(device.image)
    if peer.line == "1.x":
        assert_same(peer, "era_dump", image)
        return
    # 0.9 dumps no current writeset: all else is there, line by line
    ours = run_ours("era_dump", image).text.splitlines()
    begin = ours.index(f'  <writeset era="{device.current_era}" nr_bits="{len(device.eras)}">')
    end = ours.index("  </writeset>", begin)
    theirs = run_peer(peer, "era_dump", image).text.splitlines()
    assert ours[:begin] + ours[end + 1 :] == theirs


@given(seed=st.integers(0, 1 << 32), live=st.booleans(), archived=st.booleans())
@FEW
def test_logical_dumps_have_the_newest_era(peer: Peer, folder: Path, seed: int, *, live: bool, archived: bool) -> None:
    device = make_device(seed, live=live, archived=archived)
    image = folder / "image"
    image.write_bytes(device.image)
    ours = run_ours("era_dump", "--logical", image)
    expected = "".join(f'    <era block="{block}" era="{era}"/>\n' for block, era in enumerate(device.last_writes()))
    assert ours.text.split("  <era_array>\n")[1] == expected + "  </era_array>\n</superblock>\n"
    if peer.line == "1.x" or not (live or len(device.writesets) > 1):
        theirs = run_peer(peer, "era_dump", "--logical", image).text
        assert mend(peer.line, "era_dump", theirs) == ours.text


@given(seed=st.integers(0, 1 << 32), live=st.booleans(), archived=st.booleans(), ago=st.integers(-1, 4))
@FEW
def test_invalidate_misses_nothing(
    peer: Peer, folder: Path, seed: int, ago: int, *, live: bool, archived: bool
) -> None:
    device = make_device(seed, live=live, archived=archived)
    since = max(device.current_era - ago, 0)
    image = folder / "image"
    image.write_bytes(device.image)
    flags = ("--compat", "0.9") if peer.line == "0.9" else ()
    ours = run_ours("era_invalidate", *flags, "--written-since", str(since), image).text
    blank = " " if peer.line == "0.9" else ""
    assert ours == spell_ranges(device.last_writes(), since, blank=blank)
    theirs = mend(
        peer.line, "era_invalidate", run_peer(peer, "era_invalidate", "--written-since", str(since), image).text
    )
    if peer.line == "1.x" and not archived:
        assert theirs == "<blocks>\n</blocks>\n"  # 1.x invalidates nothing without archived writesets
    else:  # neither line counts the current writeset
        assert theirs == spell_ranges(fold(device.eras, device.writesets), since, blank=blank)


@given(seed=st.integers(0, 1 << 32), ago=st.integers(0, 4))
@FEW
def test_a_snapshot_is_read_where_it_is(peer: Peer, folder: Path, seed: int, ago: int) -> None:
    device = make_device(seed, live=True, archived=True, held=True)
    assert device.held is not None
    since = max(device.current_era - ago, 0)
    image = folder / "image"
    image.write_bytes(device.image)
    ours = run_ours("era_invalidate", "--metadata-snapshot", "--written-since", str(since), image).text
    shown = {era: set(blocks) for era, blocks in device.held.writesets.items()}
    assert ours == spell_ranges(fold(list(device.held.eras), shown), since, blank="")
    if peer.line == "0.9":  # reads the live superblock for a snapshot
        theirs = run_peer(peer, "era_invalidate", "--metadata-snapshot", "--written-since", str(since), image).text
        assert theirs == run_peer(peer, "era_invalidate", "--written-since", str(since), image).text
    elif shown:
        words = ("--metadata-snapshot", find_snapshot(image), "--written-since", str(since), image)
        assert mend("1.x", "era_invalidate", run_peer(peer, "era_invalidate", *words).text) == ours


def find_snapshot(image: Path) -> str:
    """The number of the block where the metadata snapshot is: u64 at byte 216 of the superblock."""
    return str(int.from_bytes(image.read_bytes()[216:224], "little"))


@given(seed=st.integers(0, 1 << 32), archived=st.booleans())
@FEW
def test_what_one_restores_the_other_reads(peer: Peer, folder: Path, seed: int, *, archived: bool) -> None:
    device = make_device(seed, live=False, archived=archived)
    image = folder / "image"
    image.write_bytes(device.image)
    for restored in restore_with_both(peer, "era", image):
        assert run_peer(peer, "era_dump", restored).text == run_peer(peer, "era_dump", image).text
