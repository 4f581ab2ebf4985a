"""How much memory the objects of a process take, as it says itself when it gets a signal.

What the system counts is more: an allocator keeps what the most that was ever held at once took, and takes it by steps
of a megabyte. So a process whose resident memory rises for minutes may hold no more than before, and one that leaks a
little may show nothing for as long.
"""

import ctypes
import gc
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

ASK = signal.SIGUSR1

_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def answer(path: Path) -> None:
    """Write to a file, from now on, what this process holds whenever it is asked by a signal."""
    signal.signal(ASK, lambda *_: path.write_text(str(held())))


def read(path: Path) -> int:
    """Return the bytes that a process has written last; 0 if it has not yet."""
    said = path.read_text() if path.exists() else ""
    return int(said or 0)


def held() -> int:
    """Return the bytes that the objects of this process take: Python's small ones, and what is got by malloc."""
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return _small() + found.uordblks + found.hblkhd


def _small() -> int:
    """Return what Python's own allocator has given out. It tells that to nobody but the standard error."""
    with tempfile.TemporaryFile() as file:
        error = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            os.dup2(error, 2)
            os.close(error)
        file.seek(0)
        found = re.search(rb"bytes in allocated blocks\s*=\s*([\d,]+)", file.read())
    return int(found[1].replace(b",", b"")) if found else 0
