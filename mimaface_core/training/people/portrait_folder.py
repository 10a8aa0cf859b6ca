"""A folder of portraits: which of them teach, and which are kept for reports."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError

HELD_OUT = 79  # last portraits by name, kept out of training for reports


def portraits_of(folder: Path, held_out: bool) -> list[Path]:
    """JPEG files of a folder of portraits by name: all but the last HELD_OUT, or only these.

    Raises:
        InputError: there are none.
    """
    paths = sorted(folder.glob("*.jpg"))
    chosen = paths[-HELD_OUT:] if held_out else paths[:-HELD_OUT]
    if not chosen:
        raise InputError(
            f"{folder} holds {len(paths)} JPEG files; more than {HELD_OUT} portraits are needed, the last by name are "
            "kept for reports."
        )
    return chosen
