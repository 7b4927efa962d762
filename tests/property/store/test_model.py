"""The folder store against a dict, for random puts, deletes and reads."""

from __future__ import annotations

import tempfile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from drystone.base.errors import KernelError, NotFoundError, UsageError
from drystone.store.folder import FolderStore

words = st.sampled_from(["a", "ab", "a.b", "b", "vol1", "vol10"])
keys = st.lists(words, min_size=1, max_size=3).map("/".join)
actions = st.lists(st.tuples(st.sampled_from(["put", "get", "delete", "list", "clean"]), keys, st.binary(max_size=9)))


@settings(max_examples=60, deadline=None)
@example([("put", "a", b""), ("put", "a/a", b"")])
@given(actions)
def test_a_folder_is_a_dict(script: list[tuple[str, str, bytes]]) -> None:
    model: dict[str, bytes] = {}
    folders: set[str] = set()
    with tempfile.TemporaryDirectory() as path:
        store = FolderStore(path)
        for action, key, data in script:
            parents = {key.rsplit("/", depth)[0] for depth in range(1, key.count("/") + 1)}
            if action == "put":
                # Where another object is a folder of this key, or this key a folder, a file system says no.
                if parents & set(model):
                    _put_is_refused(store, key)
                else:
                    won = store.put_if_absent(key, data)
                    assert won == (key not in model and key not in folders)
                    folders |= parents
                    if won:
                        model[key] = data
            elif action == "delete":
                store.delete(key)
                model.pop(key, None)
            elif action == "get":
                try:
                    assert store.get(key) == model[key]
                except NotFoundError:
                    assert key not in model
            elif action == "clean":
                assert store.clean() == 0
            wanted = {name: len(value) for name, value in model.items() if name.startswith(f"{key}/")}
            assert dict(store.list(key)) == wanted


def _put_is_refused(store: FolderStore, key: str) -> None:
    try:
        store.put_if_absent(key, b"")
    except (KernelError, UsageError):
        return
    raise AssertionError("an object lies below another one")
