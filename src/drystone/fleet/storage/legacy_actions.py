"""The actions of the legacy interface that are about this server, its disks and its hosts."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import NotFoundError, UnavailableError
from drystone.base.files import replace_file
from drystone.fleet.calls import Mappers
from drystone.fleet.documents import Allocation, Placement, Slot
from drystone.fleet.orders import DiskMark, DiskOrder, NewBucket
from drystone.fleet.storage.legacy_torrents import LegacyTorrents
from drystone.fleet.storage.standing import Standing, Standings
from drystone.fleet.storage.upkeep import has_copy, leave_placement

log = logging.getLogger(__name__)

ActionAnswer = bytes
"""A JSON document."""
Answered = tuple[int, str | ActionAnswer]
Parameters = Mapping[str, str]

ENTRY_FILES = ("bad_disk", "to_be_promoted", "dirty_files", "copy_completed", "to_be_deleted")
_INVALID: Answered = (400, "Invalid arguments.")


class EntryFiles:
    """The lists of entries that tools add to and remove from; kept in a file, durable when a method returns.

    :param path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, list[str]]:
        """All lists."""
        try:
            return decode(self._path.read_bytes(), dict[str, list[str]], str(self._path))
        except FileNotFoundError:
            return {}

    def change(self, kind: str, entry: str, *, there: bool) -> None:
        """Have an entry be in a list, or not."""
        lists = self.read()
        entries = [each for each in lists.get(kind, []) if each != entry]
        lists[kind] = [*entries, entry] if there else entries
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.encode(lists))

    def empty(self, kind: str) -> None:
        """Take all entries of a list away."""
        lists = self.read()
        lists.pop(kind, None)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.encode(lists))


class LegacyActions:
    """`/api?action=...` of a storage server.

    :param entries: the lists of entries. :param mappers: to which marks of disks and new hosts go.
    :param torrents: None when all copies are made by HTTP.
    """

    def __init__(
        self, standings: Standings, mappers: Mappers, entries: EntryFiles, torrents: LegacyTorrents | None = None
    ) -> None:
        self._standings = standings
        self._mappers = mappers
        self._entries = entries
        self._torrents = torrents
        self._lock = asyncio.Lock()
        self._table: dict[str, Callable[[Parameters], Awaitable[Answered]]] = {
            "get_config": self._get_config,
            "add_entry": self._add_entry,
            "remove_entry": self._remove_entry,
            "get_file": self._get_file,
            "delete_file": self._delete_file,
            "initialize_host": self._initialize_host,
            "get_game_id": self._get_game_id,
            "get_mtime": self._get_mtime,
            "make_spare": self._make_spare,
            "copy_host": self._copy_host,
            "create_torrent": self._create_torrent,
            "start_download": self._start_download,
        }

    async def act(self, method: str, query: Parameters) -> Answered:
        """The answer to an action. :raises DrystoneError: it failed."""
        action = self._table.get(query.get("action", ""))
        return await action(query) if action is not None and method in {"GET", "POST"} else _INVALID

    async def make_namespace(self, name: str) -> None:
        """A namespace of the legacy policy. :raises DrystoneError: no mapper answers, or the name is wrong."""
        answer = await self._mappers.call("POST", "/internal/buckets", NewBucket(name, "exclusive"))
        if answer.status >= 300 and answer.status != 409:
            raise answer.error()
        await self._standings.refresh()

    # ------------------------------------------------------------------ disks

    async def _get_config(self, _: Parameters) -> Answered:
        """Each disk with who is in its slots: a host, several with a comma between, or "spare"."""
        held: dict[tuple[str, Slot], list[str]] = {}
        for standing in self._standings.own():
            own = standing.placement.member(self._standings.server)
            if own is not None:
                held.setdefault((own.disk, own.slot), []).append(standing.placement.folder)
        document = {
            name: {slot: ",".join(sorted(held.get((name, slot), ["spare"]))) for slot in _SLOTS}
            for name in reversed(self._standings.shelf.bays)
        }
        return 200, json.dumps(document).encode()

    async def _make_spare(self, query: Parameters) -> Answered:
        """Delete what is left over in a slot; refused while a host has its copy there."""
        bay = self._standings.shelf.bays.get(query.get("disk", ""))
        slot = next((each for each in _SLOTS if each == query.get("type")), None)
        if bay is None or bay.disk is None or slot is None:
            return _INVALID
        if any(each.bay is bay and _slot(each, self._standings.server) == slot for each in self._standings.own()):
            return 400, "Disk is not spare."
        disk, disk_id = bay.disk, bay.disk.identity.disk_id
        for id_ in [each for each in disk.placements() if disk.slot_of(each) == slot]:
            stop = functools.partial(has_copy, self._standings, id_, disk_id)
            if not await leave_placement(self._standings, bay, id_, stop=stop):
                return 400, "Disk is not spare."
        return 200, "Disk is spare."

    # ------------------------------------------------------------------ entries

    async def _add_entry(self, query: Parameters) -> Answered:
        return await self._change_entry(query, there=True, text="Successfully add entry to file.")

    async def _remove_entry(self, query: Parameters) -> Answered:
        return await self._change_entry(query, there=False, text="Successfully removed entry from file.")

    async def _change_entry(self, query: Parameters, *, there: bool, text: str) -> Answered:
        kind, entry = query.get("type", ""), query.get("entry", "")
        if kind not in ENTRY_FILES:
            return 400, "Invalid file type"
        if not entry:
            return _INVALID
        if kind == "bad_disk":
            if entry not in self._standings.shelf.bays:
                return _INVALID
            mark: DiskMark = "bad" if there else ""
            order = DiskOrder(self._standings.server, entry, mark, "said by the legacy interface")
            answer = await self._mappers.call("POST", "/internal/disks", order)
            if answer.status >= 300:
                raise answer.error()
        async with self._lock:
            await asyncio.to_thread(self._entries.change, kind, entry, there=there)
        return 200, text

    async def _get_file(self, query: Parameters) -> Answered:
        if query.get("type") not in ENTRY_FILES:
            return 400, "Invalid file type"
        entries = (await asyncio.to_thread(self._entries.read)).get(query["type"], [])
        return 200, "".join(f"{each}\n" for each in entries)

    async def _delete_file(self, query: Parameters) -> Answered:
        if query.get("type") not in ENTRY_FILES:
            return 400, "Invalid file type"
        async with self._lock:
            await asyncio.to_thread(self._entries.empty, query["type"])
        return 200, "Successfully removed entry from file."

    # ------------------------------------------------------------------ hosts

    def _find_host(self, query: Parameters) -> Standing | None:
        name = query.get("host_name", "")
        return next((each for each in self._standings.own() if name and each.placement.folder == name), None)

    async def _initialize_host(self, query: Parameters) -> Answered:
        """A place for a host: the mapper decides which; refused when the slot that is named is taken."""
        name, namespace, disk = (query.get(each, "") for each in ("host_name", "game_id", "disk"))
        slot = next((each for each in _SLOTS if each == query.get("type")), None)
        if not name or not namespace or slot is None or disk not in self._standings.shelf.bays:
            return _INVALID
        for each in self._standings.own():
            if each.bay.name == disk and _slot(each, self._standings.server) == slot:
                return 400, "Disk is not spare."
        await self.make_namespace(namespace)
        answer = await self._mappers.call("POST", "/internal/allocate", Allocation(namespace, name))
        if answer.status != 200:
            raise answer.error()
        await self._standings.learn_placement(answer.document(Placement))
        return 201, "Host initialized"

    async def _get_game_id(self, query: Parameters) -> Answered:
        standing = self._find_host(query)
        return (200, standing.placement.namespace) if standing is not None else (400, "Host not found.")

    async def _get_mtime(self, query: Parameters) -> Answered:
        """When a file of a host was stored, in whole seconds since 1970."""
        standing = self._find_host(query)
        path = query.get("file_name", query.get("path", "")).strip("/")
        if standing is None or not path:
            return _INVALID
        host = standing.placement.host
        try:
            entry = await standing.bay.run(
                standing.disk.find, standing.placement.id, f"{host}/{path}" if host else path
            )
        except NotFoundError:
            entry = None
        return (200, str(int(entry.info.modified))) if entry is not None else (404, "File not found.")

    async def _copy_host(self, query: Parameters) -> Answered:
        """Copies are made by themselves, by HTTP: whether this host has another copy that is whole."""
        standing = self._find_host(query)
        if standing is None:
            return _INVALID
        if len(standing.placement.in_sync()) < 2:
            raise UnavailableError(f"host {standing.placement.folder} is being copied", hint="ask again later")
        return 200, "Host copied"

    async def _create_torrent(self, query: Parameters) -> Answered:
        standing = self._find_host(query)
        if self._torrents is None or standing is None:
            return await self._copy_host(query)
        return await self._torrents.create(standing, query)

    async def _start_download(self, query: Parameters) -> Answered:
        standing = self._find_host(query)
        own = standing.placement.member(self._standings.server) if standing is not None else None
        if self._torrents is None or standing is None or own is None or own.state == "in_sync":
            return await self._copy_host(query)
        return await self._torrents.start(standing, query)


_SLOTS: tuple[Slot, ...] = ("primary", "secondary")


def _slot(standing: Standing, server: str) -> Slot | None:
    own = standing.placement.member(server)
    return own.slot if own is not None else None
