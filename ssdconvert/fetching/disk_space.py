"""Whether a file has room on the disk, said in bytes when it has not."""

import errno
import shutil
import sys
from pathlib import Path

from ssdconvert.errors import FetchError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def available(folder: Path, have: int = 0) -> int:
    """Return how many bytes a file in a folder can have more than it has.

    That is the free space, or what this process's limit of a file's size leaves. The folder need not be there yet.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if sys.platform == "win32":
        return free
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return free if limit == resource.RLIM_INFINITY else min(free, max(0, limit - have))


def refuse_without_room(folder: Path, needed: int, name: str, have: int = 0) -> None:
    """Raise FetchError unless a file in a folder can have `needed` bytes more than it has."""
    if needed > available(folder, have):
        raise no_room(folder, needed, name, have)


def no_room(folder: Path, needed: int | None, name: str, have: int = 0) -> FetchError:
    """Return the failure of a disk that is full, or nearly so; `needed` more bytes, None where nobody knows."""
    wanted = "more room" if needed is None else f"{needed} bytes more ({needed / 1e6:.1f} MB)"
    free = available(folder, have)
    return FetchError(
        f"{name} does not fit on the disk: it needs {wanted}, "
        f"available are {free} bytes ({free / 1e6:.1f} MB) in {folder}",
        hint="make room (`ssdconvert cache prune` removes what nobody uses), or give another folder with --cache; "
        "what arrived is kept, and the next run goes on from there",
    )


def is_full(error: OSError) -> bool:
    """Whether writing failed for want of space: the disk's, a quota, or a limit of the size of files."""
    return error.errno in FULL
