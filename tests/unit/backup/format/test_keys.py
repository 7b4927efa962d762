"""Names of objects: each is read back as what it was made of, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from drystone.backup.format import keys
from drystone.base.errors import UsageError

VOLUME = "11111111-1111-4111-8111-111111111111"
BACKUP = "22222222-2222-4222-8222-222222222222"
PACK = bytes(range(16))

MADE = {
    keys.manifest_key(VOLUME, BACKUP): (keys.parse_manifest_key, (VOLUME, BACKUP)),
    keys.slot_key(VOLUME): (keys.parse_slot_key, VOLUME),
    keys.state_key(7): (keys.parse_state_key, 7),
    keys.operation_key(VOLUME): (keys.parse_operation_key, VOLUME),
    keys.progress_key(VOLUME, 3): (keys.parse_progress_key, (VOLUME, 3)),
    keys.index_key("0a" * 12): (keys.parse_index_key, "0a" * 12),
    keys.pack_key(PACK): (keys.parse_pack_key, PACK),
}


@pytest.mark.parametrize("key", MADE)
def test_a_key_is_read_by_its_own_kind_only(key: str) -> None:
    for parse, wanted in MADE.values():
        assert parse(key) == (wanted if parse is MADE[key][0] else None)
        for wrong in (key + "/x", f"x/{key}", key + "\n", key[:-1]):
            assert parse(wrong) is None
    assert keys.parse_pack_key(f"{keys.PACKS}/ff/{PACK.hex()}") is None, "a pack in another's folder"


@pytest.mark.parametrize("name", ["", "../x", "0A" * 12, "0a" * 11, f"{VOLUME}\n", VOLUME.upper().replace("1", "A")])
def test_names_that_are_none_make_no_key(name: str) -> None:
    for make in (keys.index_key, keys.slot_key, keys.operation_key, keys.progress_of, keys.backups_of):
        with pytest.raises(UsageError):
            make(name)
    with pytest.raises(UsageError):
        keys.manifest_key(VOLUME, name)


def test_a_packs_id_tells_its_writer() -> None:
    writer = keys.new_writer()
    assert keys.pack_writer(keys.pack_id(writer, 5)) == writer
    assert keys.pack_id(writer, 5)[keys.WRITER :] == b"\0\0\0\5"
    assert keys.new_writer() != writer
