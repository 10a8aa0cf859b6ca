"""What the C library keeps of freed memory: on Linux, with glibc (mallopt(3)); elsewhere nothing is changed.

Threads each have a heap of their own by default, and keep at its end what they once took; so all share one here.
"""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, of malloc.h
ARENA_MAX, TRIM_THRESHOLD, MMAP_THRESHOLD = -8, -1, -3
HELD_BYTES, LARGE_BYTES = 1 << 30, 64 << 20


def share_one_heap() -> None:
    """Have the threads that start from now on take memory from one heap; `return_freed` gives all of it back."""
    _set(ARENA_MAX, 1)


def hold_freed() -> None:
    """Share one heap and hold up to 1 GB of what is freed, for a process that draws to its end: frames use it again.

    Fresh pages cost as much as an operation on what they hold: without them drawing takes 5 % less (Linux in a virtual
    machine).
    """
    share_one_heap()
    _set(TRIM_THRESHOLD, HELD_BYTES)
    _set(MMAP_THRESHOLD, LARGE_BYTES)


def return_freed() -> None:
    """Return freed memory to the system now: hundreds of MB after a run on the CPU."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _set(parameter: int, value: int) -> None:
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(parameter, value)


def _function(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of the C library; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
