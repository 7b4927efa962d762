from __future__ import annotations

from drystone.formats.era.superblock import parse_superblock
from drystone.formats.era.tag import Session, read_sessions, read_tag, tag_sector
from drystone.testing.era_metadata import write_era_metadata

TAG = "11111111-2222-4333-8444-555555555555"


def test_a_tag_is_written_and_read() -> None:
    block = write_era_metadata([1, 2, 3], current_era=4)[:4096]
    assert read_tag(block) == ""
    assert read_sessions(block) == ()
    sector = tag_sector(block, TAG, Session(7, 5))
    assert len(sector) == 512
    tagged = sector + block[512:]
    assert read_tag(tagged) == TAG
    assert parse_superblock(tagged) == parse_superblock(block)
    assert read_sessions(tagged) == (Session(7, 5),)
    other = tag_sector(tagged, TAG.replace("1", "9"), Session(1 << 63, 6)) + block[512:]
    assert (read_tag(other), read_sessions(other)) == (TAG.replace("1", "9"), (Session(1 << 63, 6),))
    parse_superblock(other)


def test_the_last_sessions_are_kept() -> None:
    block = write_era_metadata([1, 2, 3], current_era=4)[:4096]
    for session in range(1, 41):
        block = tag_sector(block, TAG, Session(session, (1 << 32) - session)) + block[512:]
    assert read_sessions(block) == tuple(Session(each, (1 << 32) - each) for each in range(40, 19, -1))
    assert read_tag(block) == TAG
    parse_superblock(block)
