"""A folder as one archive file and back: tar in the pax format (POSIX.1-2001), as any tar program reads it.

Kept: modes, owners (by number), times to the nanosecond, symbolic and hard links, fifos and device nodes, empty
folders, extended attributes (`SCHILY.xattr.*`, the spelling of GNU tar and star). A hole in a file is a hole in the
archive file, so a sparse disk image of 100 GiB with 1 GiB in it takes 1 GiB; other programs read zeros there.
Sockets are left out, as tar programs do, and so is a file that is gone when its turn comes: the folder may be in use.
Anything else that cannot be read is an error: an archive is whole, or it is not made.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from pathlib import Path, PurePosixPath

from drystone.base.errors import DamagedError
from drystone.base.files import sync_folder, write_all
from drystone.volumes.drivers.holes import copy_range

_XATTR = "SCHILY.xattr."
_END = bytes(2 * tarfile.BLOCKSIZE)


def pack(folder: Path, archive: Path) -> int:
    """Write the content of `folder` to the new file `archive`; its length in bytes. Durable when it returns.

    :raises OSError: no room, no rights; the half-written file is removed.
    """
    handle = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        seen: dict[tuple[int, int], str] = {}
        end = _add(handle, 0, folder, ".", seen)
        for parent, folders, files in os.walk(folder, onerror=_refuse):
            folders.sort()
            for name in sorted([*folders, *files]):
                path = Path(parent, name)
                end = _add(handle, end, path, str(path.relative_to(folder)), seen)
        os.lseek(handle, end, os.SEEK_SET)
        write_all(handle, _END)
        length = -(-(end + len(_END)) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
        os.ftruncate(handle, length)
        os.fsync(handle)
    except BaseException:
        archive.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    sync_folder(archive.parent)
    return length


def _add(handle: int, end: int, path: Path, name: str, seen: dict[tuple[int, int], str]) -> int:
    """Write one member at `end`; where the next one begins."""
    try:
        facts = path.lstat()
        if stat.S_ISSOCK(facts.st_mode):
            return end
        member = _describe(path, name, facts, seen)
        # Without waiting, should it have become a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        source = os.open(path, flags) if member.isreg() and member.size else None
    except FileNotFoundError:
        return end
    if member.isreg():
        seen[facts.st_dev, facts.st_ino] = name
    try:
        return _write(handle, end, member, source)
    finally:
        if source is not None:
            os.close(source)


def _refuse(error: OSError) -> None:
    """A folder cannot be listed. :raises OSError: that, unless it is gone."""
    if error.errno != errno.ENOENT:
        raise error


def _write(handle: int, end: int, member: tarfile.TarInfo, source: int | None) -> int:
    """Write a member's header and content at `end`; where the next one begins."""
    header = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    os.lseek(handle, end, os.SEEK_SET)
    write_all(handle, header)
    end += len(header)
    if source is not None:
        copy_range(source, 0, handle, end, member.size)
        end += -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if os.fstat(handle).st_size < end:
            os.ftruncate(handle, end)
    return end


def _describe(path: Path, name: str, facts: os.stat_result, seen: dict[tuple[int, int], str]) -> tarfile.TarInfo:
    """The header of one member."""
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(facts.st_mode)
    member.uid, member.gid = facts.st_uid, facts.st_gid
    member.mtime = facts.st_mtime_ns // 10**9
    member.pax_headers = {"mtime": _spell_time(facts.st_mtime_ns), "atime": _spell_time(facts.st_atime_ns)}
    with contextlib.suppress(OSError):  # a file system without attributes has none to keep
        for key in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, key, follow_symlinks=False)
            member.pax_headers[_XATTR + key] = value.decode("utf-8", "surrogateescape")
    mode = facts.st_mode
    if stat.S_ISDIR(mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(mode):
        member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISFIFO(mode):
        member.type = tarfile.FIFOTYPE
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        member.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        member.devmajor, member.devminor = os.major(facts.st_rdev), os.minor(facts.st_rdev)
    elif facts.st_nlink > 1 and (facts.st_dev, facts.st_ino) in seen:
        member.type, member.linkname = tarfile.LNKTYPE, seen[facts.st_dev, facts.st_ino]
    else:
        member.size = facts.st_size
    return member


def _spell_time(nanoseconds: int) -> str:
    """Seconds with nine digits, exact."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    return f"{sign}{seconds}.{rest:09d}"


def _read_time(text: str) -> int:
    """Nanoseconds from `_spell_time`'s text, or another program's with fewer digits."""
    whole, _, part = text.lstrip("-").partition(".")
    try:
        value = int(whole or "0") * 10**9 + int(part[:9].ljust(9, "0"))
    except ValueError as error:
        raise DamagedError(f"the archive holds the time {text!r}") from error
    return -value if text.startswith("-") else value


def unpack(archive: Path, folder: Path) -> None:
    """Make the content of `archive` in the empty folder `folder`. Durable when it returns.

    Nothing is written outside `folder`, whatever the archive says: a member lies in a folder that was made here.

    :raises DamagedError: it is no archive, or names a place outside.
    """
    folders: dict[PurePosixPath, tarfile.TarInfo] = {}
    handle = os.open(archive, os.O_RDONLY)
    try:
        with tarfile.open(archive, "r:") as members:
            for member in members:
                place = _check_place(member.name, folders)
                if member.isdir():
                    if place != PurePosixPath():
                        (folder / place).mkdir(mode=0o700)
                    folders[place] = member
                else:
                    _extract(handle, member, folder, place, folders)
    except (tarfile.TarError, ValueError, OverflowError) as error:  # the latter for names and numbers no system takes
        raise DamagedError(f"{archive} is no archive of a volume: {error}") from error
    finally:
        os.close(handle)
    # Deepest first: making a thing in a folder changes the folder's time, and its mode may keep us out.
    for place in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        _set_facts(folder / place, folders[place])
        sync_folder(folder / place)


def _check_place(name: str, folders: dict[PurePosixPath, tarfile.TarInfo]) -> PurePosixPath:
    """The member's place within the folder. :raises DamagedError: not within, or in a folder that is not there."""
    place = PurePosixPath(name)
    known = place.parent in folders or place == PurePosixPath() or place.parent == PurePosixPath()
    if place.is_absolute() or ".." in place.parts or not known:
        raise DamagedError(f"the archive holds {name!r}, which is not within the volume")
    return place


def _extract(
    handle: int,
    member: tarfile.TarInfo,
    folder: Path,
    place: PurePosixPath,
    folders: dict[PurePosixPath, tarfile.TarInfo],
) -> None:
    """Make one member that is no folder."""
    path = folder / place
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        target = folder / _check_place(member.linkname, folders)
        if target.is_symlink():
            raise DamagedError(f"the archive holds a hard link to the symbolic link {member.linkname!r}")
        os.link(target, path)
        return
    elif member.isfifo():
        os.mkfifo(path, 0o600)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))
    elif member.isreg():
        target_handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            copy_range(handle, member.offset_data, target_handle, 0, member.size)
            os.fsync(target_handle)
        finally:
            os.close(target_handle)
    else:
        raise DamagedError(f"the archive holds {member.name!r} of an unknown type")
    _set_facts(path, member)


def _set_facts(path: Path, member: tarfile.TarInfo) -> None:
    """Owner, attributes, mode and times, in the order in which one does not undo another."""
    with contextlib.suppress(PermissionError):  # only root gives files away; others keep their own
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        path.chmod(member.mode)
    for key, value in member.pax_headers.items():
        if key.startswith(_XATTR):
            _set_attribute(path, key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
    modified = _read_time(member.pax_headers.get("mtime", str(int(member.mtime))))
    accessed = _read_time(member.pax_headers.get("atime", str(int(member.mtime))))
    os.utime(path, ns=(accessed, modified), follow_symlinks=False)


def _set_attribute(path: Path, key: str, value: bytes) -> None:
    """Set an extended attribute; one that this user or this file system may not have is left out."""
    try:
        os.setxattr(path, key, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES, errno.ENOTSUP}:
            raise
