from __future__ import annotations

import threading

from drystone.backup.vault import create_vault
from drystone.backup.writing.writer import PackWriter
from drystone.testing.stores import MemoryStore


def putting() -> int:
    return sum(each.name.startswith("put") for each in threading.enumerate())


def test_the_threads_that_put_run_before_there_are_packs_and_end_with_the_writer() -> None:
    before = putting()
    with PackWriter(create_vault(MemoryStore()), b"w" * 12, 1 << 20) as writer:
        assert putting() == before + 2
        assert writer.packs == []
    assert putting() == before
