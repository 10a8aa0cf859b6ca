"""What marks of synthetic media a file carries: metadata, content credentials (C2PA), the watermark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from ...errors import InputError
from ...tensors import to_uint8
from ..container import Source, existing_file, name_of, warn_once
from ..frames import Frames
from ..image import DAMAGED
from .find import Found, find_watermark
from .sign import CheckedCredentials, checked_credentials

_MOST_FRAMES = 32  # of a video, evenly spread, in which the watermark is looked for
_BLOCK_BYTES, _OVERLAP_BYTES = 1 << 22, 512
# IPTC's digital source types (https://cv.iptc.org/newscodes/digitalsourcetype/): those of synthetic media, and others.
_SYNTHETIC = (
    "compositeWithTrainedAlgorithmicMedia",
    "trainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicMedia",
    "dataDrivenMedia",
    "virtualRecording",
)
_REAL = (
    "digitalCapture",
    "computationalCapture",
    "negativeFilm",
    "positiveFilm",
    "print",
    "minorHumanEdits",
    "humanEdits",
    "compositeCapture",
    "algorithmicallyEnhanced",
    "digitalArt",
    "digitalCreation",
    "screenCapture",
)
_SOURCE_TYPE = re.compile(rb"digitalsourcetype/(" + "|".join(_SYNTHETIC + _REAL).encode("ascii") + rb")")
_UNCHECKED = "content credentials are in the file (not verified here; install c2pa-python for that)."
_OURS = b"animated by artificial intelligence (MIMAFace)"
# The type of a C2PA manifest store, as JUMBF has it in every container.
_C2PA = b"c2pa" + bytes.fromhex("00110010800000aa00389b71")
# What other generators write: bytes that are sought first, as that is faster; the whole mark; its name.
_OTHERS = (
    (b"Steps: ", re.compile(rb"Steps: \d+, Sampler: "), "the settings of a Stable Diffusion sampler"),
    (b'"class_type"', re.compile(rb'"class_type"'), "a ComfyUI graph"),
    (b"AIGC", re.compile(rb"TC260[:/]AIGC|\"AIGC\"|AIGC\{\""), "the Chinese label AIGC"),
    (b"Firefly", re.compile(rb"Adobe Firefly"), "Adobe Firefly"),
    (b"Midjourney", re.compile(rb"Midjourney"), "Midjourney"),
    (b"Google AI", re.compile(rb"Made with Google AI"), "Made with Google AI"),
)


@dataclass(frozen=True)
class Marks:
    """What was found in a file.

    Attributes:
        ours: this extension's notice stands in the metadata.
        source_types: IPTC digital source types that the metadata name.
        c2pa: the file carries content credentials.
        credentials: what they say, where c2pa-python is installed to check them; None where they were not checked.
        others: marks of other generators, in words.
        watermark: what was found in the pixels; None where they were not looked at.
    """

    ours: bool = False
    source_types: tuple[str, ...] = ()
    c2pa: bool = False
    others: tuple[str, ...] = ()
    watermark: Found | None = None
    credentials: CheckedCredentials | None = None

    @property
    def any(self) -> bool:
        """Whether anything says that the file is synthetic, or may be: content credentials are not read here."""
        marked = self.watermark is not None and self.watermark.certain
        synthetic = set(self.source_types) & set(_SYNTHETIC)
        return bool(self.ours or synthetic or self.c2pa or self.others or marked)

    def sentences(self) -> list[str]:
        """The findings in words."""
        found = ["Metadata: made with MIMAFace."] if self.ours else []
        found += [f"Metadata: IPTC digital source type {name}." for name in self.source_types]
        if self.c2pa:
            found.append("C2PA: " + (self.credentials.words() if self.credentials else _UNCHECKED))
        found += [f"Metadata: {name}." for name in self.others]
        if self.watermark is not None:
            found.append(_watermark_words(self.watermark))
        return found if self.any else [*found, "No mark of synthetic media was found, which proves nothing."]

    def as_json(self) -> dict:
        """The findings for programs."""
        mark = self.watermark
        return {
            "marked": self.any,
            "metadata": {
                "mimaface": self.ours,
                "digital_source_types": list(self.source_types),
                "others": list(self.others),
            },
            "c2pa": self.c2pa,
            "credentials": None if self.credentials is None else asdict(self.credentials),
            "watermark": None
            if mark is None
            else {
                "found": mark.certain,
                "payload": None if mark.payload is None else str(mark.payload),
                "confidence": round(mark.coherence, 3),
                "bits_agreeing": round(mark.agreement, 3),
                "mirrored": mark.mirrored if mark.certain else None,
                "turned_degrees": round(mark.turn, 1) if mark.certain else None,
            },
        }


def _watermark_words(found: Found) -> str:
    if not found.certain:
        return f"Watermark: none found (confidence {found.coherence:.2f})."
    says = f"it says {found.payload}" if found.payload else "its payload cannot be read"
    return f"Watermark of MIMAFace: found, {says} (confidence {found.coherence:.2f})."


def marks_in_file(source: Source) -> Marks:
    """The marks in a file's metadata; its pixels are not looked at.

    Raises:
        InputError: the file is missing.
    """
    ours, c2pa, types, others = False, False, dict[str, None](), dict[str, None]()
    for block in _blocks(source):
        ours = ours or _OURS in block
        c2pa = c2pa or _C2PA in block
        types |= {name.decode("ascii"): None for name in _SOURCE_TYPE.findall(block)}
        for needle, mark, name in _OTHERS:
            if needle in block and mark.search(block):
                others[name] = None
    return Marks(ours, tuple(types), c2pa, tuple(others))


def marks_of(source: Source) -> Marks:
    """All marks of an image or video, the watermark included.

    Raises:
        InputError: the file is missing, damaged, or neither an image nor a video.
    """
    told = marks_in_file(source)
    frames = Frames.of_video(source) if isinstance(source, io.BytesIO) else Frames.open(source)
    checked = checked_credentials(source) if told.c2pa and not isinstance(source, io.BytesIO) else None
    return replace(told, watermark=watermark_of(frames), credentials=checked)


def watermark_of(frames: Frames) -> Found:
    """The watermark of frames; of many, evenly spread ones are looked at."""
    step = max(1, frames.count // _MOST_FRAMES)
    return find_watermark(_every(frames, step))


def _every(frames: Iterable[Tensor], step: int) -> Iterator[Tensor]:
    for number, frame in enumerate(frames):
        if number % step == 0:
            if number // step >= 2 * _MOST_FRAMES:  # the count was an estimate
                return
            yield to_uint8(frame) if frame.is_floating_point() else frame


def name_marks(source: Source, role: str) -> None:
    """Log, once, what marks an input carries: what is made of it no longer is what its credentials vouch for.

    Args:
        source: path or bytes of the file.
        role: of the file, such as "the source".
    """
    try:
        marks = marks_in_file(source)
    except (InputError, OSError, ValueError):  # which the reader of the file will word
        return
    found = [
        *(name for name in marks.source_types if name in _SYNTHETIC),
        *marks.others,
        *(["C2PA content credentials"] if marks.c2pa else []),
    ]
    if found:
        sentence = "%s is marked already (%s); the result carries its own mark and not that one."
        warn_once(source, sentence, name_of(source, role), ", ".join(found))


def _blocks(source: Source) -> Iterator[bytes]:
    """The bytes of a file, and its texts where they are compressed or cut into pieces."""
    if isinstance(source, io.BytesIO):
        yield source.getvalue()
    else:
        with existing_file(source).open("rb") as file:
            tail = b""
            while block := file.read(_BLOCK_BYTES):
                yield tail + block
                tail = block[-_OVERLAP_BYTES:]
    yield from _texts(io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else Path(source))


def _texts(file: io.BytesIO | Path) -> Iterator[bytes]:
    try:
        with Image.open(file) as image:
            # Of PNG, texts that stand behind the pixels are found only in the bytes.
            values = list(image.info.values())
    except (*DAMAGED, InputError, Image.DecompressionBombError):
        return
    for value in values:
        if isinstance(value, (str, bytes)):
            yield value.encode("utf-8", "replace") if isinstance(value, str) else value
