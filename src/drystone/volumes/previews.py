"""What a change of the volume service would do, its refusals included (`--dry-run`); nothing is changed."""

from __future__ import annotations

from dataclasses import replace

from drystone.volumes.driver import Change, Preview, Wish
from drystone.volumes.resizing import plan_resize, preview_growth
from drystone.volumes.service import (
    Origin,
    VolumeService,
    check_mount_point,
    check_mounted,
    check_not_mounted,
    is_mounted,
)


def preview_delete(
    service: VolumeService, reference: str, *, keep_data: bool = False, refuse_snapshots: bool = False
) -> tuple[Preview, ...]:
    """What `delete` would do, its refusals included: a part a snapshot, then the volume's.

    Each part is compiled from the state as it is now, so all name the same transaction.
    """
    volume = service.find_volume(reference)
    driver = service.driver_of(volume.driver)
    snapshots = service.catalogue.list_snapshots(volume.uuid)
    service.check_deletable(volume, snapshots, refuse_snapshots=refuse_snapshots)
    if keep_data:
        service.catalogue.check_idle(volume)
        return (driver.preview(Change("forget", volume)),)
    if snapshots:
        check_not_mounted(driver, volume)
    parts = [(f"snapshot {each.name}", Change("snapshot-delete", volume, each)) for each in snapshots]
    parts.append((f"volume {volume.name}", Change("delete", volume)))
    return tuple(replace(driver.preview(change), title=title) for title, change in parts)


def preview_mount(service: VolumeService, reference: str, mount_point: str) -> tuple[Preview, ...]:
    """What `mount` would do."""
    check_mount_point(mount_point)
    volume = service.find_volume(reference)
    driver = service.driver_of(volume.driver)
    if is_mounted(driver, volume, mount_point):
        return (Preview("", (f"nothing: it is mounted at {volume.mount_point} already",)),)
    service.catalogue.check_content(volume)
    return (driver.preview(Change("mount", volume, None, mount_point)),)


def preview_umount(service: VolumeService, reference: str, *, force: bool = False) -> tuple[Preview, ...]:
    """What `umount` would do."""
    volume = service.find_volume(reference)
    if not force:
        service.check_umountable(volume)
    check_mounted(volume)
    return (service.driver_of(volume.driver).preview(Change("umount", volume)),)


def preview_delete_snapshot(service: VolumeService, reference: str) -> tuple[Preview, ...]:
    """What `delete_snapshot` would do."""
    snapshot = service.find_snapshot(reference)
    service.uses.check_free(snapshot.uuid, f"snapshot {snapshot.name}")
    volume = service.catalogue.get_volume(snapshot.volume)
    return (service.driver_of(volume.driver).preview(Change("snapshot-delete", volume, snapshot)),)


def preview_create(service: VolumeService, wish: Wish, driver_name: str, origin: Origin | None) -> tuple[Preview, ...]:
    """What `create` would do."""
    volume = service.plan(wish, driver_name, origin)
    return (service.drivers[volume.driver].preview(Change("create", volume, restored=origin is not None)),)


def preview_snapshot(service: VolumeService, reference: str, name: str) -> tuple[Preview, ...]:
    """What `create_snapshot` would do."""
    volume, snapshot = service.plan_snapshot(reference, name)
    return (service.driver_of(volume.driver).preview(Change("snapshot-create", volume, snapshot)),)


def preview_resize(
    service: VolumeService, reference: str, size: int | None, *, filesystem: bool
) -> tuple[Preview, ...]:
    """What `resize` would do."""
    volume = service.find_volume(reference)
    driver = service.driver_of(volume.driver)
    service.catalogue.check_idle(volume)
    larger = plan_resize(driver, volume, size, filesystem=filesystem)
    return (preview_growth(driver, larger, filesystem=filesystem),)
