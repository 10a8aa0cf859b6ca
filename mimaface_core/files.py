"""Files that are whole or absent: write beside the target, then rename."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; what is written there replaces `path` when the block ends well.

    Whatever ends the block, no temporary file is left behind, and a `path` that was there stays whole until it is
    replaced at once. The folder must exist; errors of the file system (`OSError`) are the caller's to word.
    """
    part = path.with_name(f".part-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
