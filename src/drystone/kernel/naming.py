"""Giving a file a name that nothing has, on any file system: what has the name already is never replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from drystone.kernel.libc import rename_to_free

NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""What link(2) answers on FAT and on some network and FUSE file systems."""

_NO_FLAGS = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
"""What renameat2(2) answers where it takes no flags."""

Call = Callable[[str, str], None]
"""(name, new name)."""


def give_free_name(path: Path, target: Path, *, link: Call = os.link, rename: Call = rename_to_free) -> None:
    """Give the file at `path` the name `target` too, or instead. Durable when the folder was synced after it.

    By link(2); where there is none by renameat2(2) with RENAME_NOREPLACE; where there is neither an empty file is made
    (O_EXCL) and replaced: whoever is killed between leaves that.

    :raises FileExistsError: something has the name, and is left as it was. :raises OSError: the folder refuses.
    """
    try:
        link(str(path), str(target))
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    try:
        rename(str(path), str(target))
        return
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.rename(target)
