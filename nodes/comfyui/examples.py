"""Example portrait, clips and voice of the workflows, copied into ComfyUI's input folder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from ...mimaface_core.files import replacing

ASSETS = Path(__file__).resolve().parents[2] / "assets"
EXAMPLES = {  # name in the input folder, which the workflows ask for: file
    "mimaface_portrait.jpg": "portrait.jpg",  # Eileen Collins, by NASA, public domain
    "mimaface_driver.mp4": "demo_driver.mp4",
    "mimaface_laugh.jpg": "laugh.jpg",
    "mimaface_voice.ogg": "demo_voice.ogg",
}


def offer_examples(folder: Path) -> None:
    """Copy the examples into a folder; a file of the same name stays as it is, and a full disk is only logged."""
    for name, asset in EXAMPLES.items():
        target = folder / name
        if target.exists():
            continue
        try:
            with replacing(target) as part:
                shutil.copyfile(ASSETS / asset, part)
        except OSError as error:
            logging.getLogger(__name__).info("No examples in %s: %s", folder, error)
            return
