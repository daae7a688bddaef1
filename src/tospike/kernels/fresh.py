"""``drop_stale``: compiled kernels that are older than the code they were made from go away.

Numba compiles callees into their callers, but compares a cache with the date of the caller's own
file only. After an edit of a callee the old machine code would run with new constants: wrong
results, or a crash. Installed packages are written as a whole and never stale.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).parent


def drop_stale(root: Path = _ROOT) -> int:
    """Delete all caches below ``root`` if one is older than the newest source; how many went.

    Folders that cannot be written are left as they are.
    """
    newest = max((path.stat().st_mtime for path in root.rglob("*.py")), default=0.0)
    caches = [path for path in root.rglob("*.nb[ic]") if path.is_file()]
    dates = []
    for path in caches:
        with suppress(OSError):  # another process may drop it at the same time
            dates.append(path.stat().st_mtime)
    if not dates or min(dates) >= newest:
        return 0
    for path in caches:
        with suppress(OSError):
            path.unlink()
    return len(caches)
