"""Sources in memory that the page may ask previews of, under keys that nobody can guess."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakValueDictionary

from ..mimaface_core.errors import InputError
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.preview import Preview, can_preview

MOST_SOURCES = 8  # that stay analysed, or outlive their run
KEY_BYTES = 16


class PreviewStore:
    """Previews by key, the last used ones; further sources only while ComfyUI itself keeps them.

    Attributes:
        active: whether a page can ask for previews; without, no source is kept.
    """

    def __init__(self) -> None:
        self.active = False
        self._previews: OrderedDict[str, Preview] = OrderedDict()
        self._sources: WeakValueDictionary[str, SourceFace] = WeakValueDictionary()
        self._lock, self._secret = threading.Lock(), secrets.token_bytes(KEY_BYTES)

    def offer(self, source: SourceFace) -> str | None:
        """The key of a source; None where nobody can ask, or nothing can be drawn."""
        if not self.active or not can_preview(source):
            return None
        with self._lock:
            key = self._key(source)
            self._sources[key] = source
            self._use(key, source)
        return key

    def _key(self, source: SourceFace) -> str:
        """The same for the same face, and not to be guessed."""
        digest = hashlib.blake2b(key=self._secret, digest_size=KEY_BYTES)
        for part in (source.crop, source.landmarks, source.track.coefficients.values, source.track.gaze):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def preview(self, key: str) -> Preview:
        """The preview of a key.

        Raises:
            InputError: the key is unknown, or its source is gone.
        """
        with self._lock:
            source = self._sources.get(key)
            if key not in self._previews and source is None:
                raise InputError("This face is no longer in memory; queue the workflow again to see it here.")
            return self._use(key, source)

    def _use(self, key: str, source: SourceFace | None) -> Preview:
        if key not in self._previews:
            assert source is not None
            self._previews[key] = Preview(source)
        self._previews.move_to_end(key)
        while len(self._previews) > MOST_SOURCES:
            self._previews.popitem(last=False)
        return self._previews[key]


STORE = PreviewStore()


def editor_ui(source: SourceFace | None, more: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What the editor on a node shows after a run; None where no page can ask for previews.

    Args:
        source: the face; None where none is connected.
        more: what it shows beside it: a timeline its length and waveform, an edit the positions of its sliders.
    """
    if not STORE.active:
        return None
    shown = dict(more or {})
    key = None if source is None else STORE.offer(source)
    if source is not None and key is not None:
        side = source.crop.shape[-1]
        shown |= {"source": key, "size": [side, side]}
    return {"mimaface_editor": [shown]} if shown else None
