"""Stores against a dict, for random puts, deletes and reads; and text that names no store, or says nothing."""

from __future__ import annotations

import contextlib
import tempfile
import uuid

from hypothesis import example, given, settings
from hypothesis import strategies as st

from drystone.base.errors import KernelError, NotFoundError, UnsupportedError, UsageError
from drystone.store import open_store
from drystone.store.answers import read_answer
from drystone.store.destination import parse_destination
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


@settings(max_examples=60, deadline=None)
@given(actions, st.sampled_from(["", "/vol1", "/vol10", "/a/b"]))
def test_a_remote_store_is_a_dict(script: list[tuple[str, str, bytes]], path: str) -> None:
    name = uuid.uuid4()
    store = open_store(f"memory:{name}{path}")
    neighbours = [open_store(f"memory:{name}/vol"), open_store(f"memory:{name}/vol1x")]
    for each in neighbours:
        assert each.put_if_absent("a", b"mine")
    model: dict[str, bytes] = {"vol/a": b"mine", "vol1x/a": b"mine"} if not path else {}
    for action, key, data in script:
        if action == "put":
            assert store.put_if_absent(key, data) == (key not in model)
            model.setdefault(key, data)
        elif action == "delete":
            store.delete(key)
            model.pop(key, None)
        elif action == "get":
            try:
                assert store.get(key) == model[key]
                assert store.get_range(key, 0, len(model[key])) == model[key]
            except NotFoundError:
                assert key not in model
        elif action == "clean":
            assert store.clean() == 0
        wanted = {name: len(value) for name, value in model.items() if name.startswith(f"{key}/")}
        assert dict(store.list(key)) == wanted
        assert dict(store.list("")) == {name: len(value) for name, value in model.items()}
    for each in neighbours:
        assert each.get("a") == b"mine"


@given(st.text(max_size=40), st.sampled_from(["", "s3://", "gs://", "az://", "memory:", "vfs://", "abfss://b@"]))
def test_any_text_is_a_place_or_one_line(text: str, scheme: str) -> None:
    with contextlib.suppress(UsageError, UnsupportedError):
        place = parse_destination(scheme + text)
        prefix = getattr(place, "prefix", "")
        assert not {"", ".", ".."} & set(prefix.split("/")) or not prefix
        assert "\n" not in prefix


@given(st.text(), st.sampled_from([FileNotFoundError, ValueError]), st.sampled_from(["get", "put", "list", "delete"]))
def test_any_failure_is_an_error_of_ours(text: str, kind: type[Exception], operation: str) -> None:
    error = read_answer(kind(text), "s3://b", operation, "key").error
    assert "s3://b" in error.message
    assert "\n" not in str(error)


def _put_is_refused(store: FolderStore, key: str) -> None:
    try:
        store.put_if_absent(key, b"")
    except (KernelError, UsageError):
        return
    raise AssertionError("an object lies below another one")
