"""Machine-readable marks that the face in a finished file is synthetic.

The digital source type is the one that IPTC defines for a real recording into which trained models have composed
something (https://cv.iptc.org/newscodes/digitalsourcetype/). It is written as a plain tag in every container, and as
XMP in PNG and MP4, which is where checking tools look for it. The second layer is the watermark, see `marks`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .marks.embed import Watermark
from .marks.payload import Payload
from .marks.sign import Credentials

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo
    from torch import Tensor

VERSION = "0.1.0"  # of this extension, as in pyproject.toml
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_NOTICE = "Synthetic media: the face shown was animated by artificial intelligence (MIMAFace)."
# The box type that part 3 of the XMP specification gives to XMP in ISO media files.
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_GIF_BLOCK_BYTES = 255  # a comment extension is cut into blocks of at most this size


def synthetic_metadata(watermark: Watermark | None = None) -> dict[str, str]:
    """Metadata for `VideoWriter`: the face is synthetic, in words (`comment`) and for tools (`digitalSourceType`).

    Args:
        watermark: that of the file, which is named; where there is none, that is said.
    """
    mark = "off" if watermark is None else str(watermark.payload)
    return {"comment": _NOTICE, "digitalSourceType": SOURCE_TYPE, "watermark": mark}


def own_watermark() -> Watermark:
    """The watermark of this version of the extension, for `VideoWriter`."""
    return Watermark(Payload.of_version(VERSION))


def own_credentials(
    watermark: Payload | None, photograph: Tensor | None = None, certificate: Path | None = None
) -> Credentials:
    """What this version of the extension signs into a file.

    Args:
        watermark: what that of the file says; None for a file without one.
        photograph: uint8 [H, W, 3], where it is known.
        certificate: as of `Credentials`.
    """
    mark = None if watermark is None else str(watermark)
    return Credentials(VERSION, SOURCE_TYPE, mark, None if photograph is None else as_png(photograph), certificate)


def as_png(image: Tensor) -> bytes:
    """An image, uint8 [H, W, 3], as the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.numpy()).save(file, "PNG", compress_level=4)
    return file.getvalue()


def xmp_packet(metadata: dict[str, str]) -> str | None:
    """XMP with the digital source type and comment of `metadata`; None if it has no source type."""
    if "digitalSourceType" not in metadata:
        return None
    source_type, comment = escape(metadata["digitalSourceType"]), escape(metadata.get("comment", ""))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt></dc:description>'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )


def png_info(metadata: dict[str, str]) -> PngInfo:
    """PNG text chunks of `metadata`, and its XMP packet, for `Image.save(…, pnginfo=…)`."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, value)
    packet = xmp_packet(metadata)
    if packet is not None:
        chunks.add_itxt("XML:com.adobe.xmp", packet)
    return chunks


def mark_mp4(path: Path, metadata: dict[str, str]) -> None:
    """Append the XMP packet of `metadata` to a finished MP4 file as a box of its own, which players skip."""
    packet = xmp_packet(metadata)
    if packet is None:
        return
    payload = _XMP_BOX + packet.encode("utf-8")
    with open(path, "ab") as file:
        file.write((8 + len(payload)).to_bytes(4, "big") + b"uuid" + payload)


def mark_gif(path: Path, metadata: dict[str, str]) -> None:
    """Write `metadata`, one `key: value` a line, into a finished GIF file as a comment extension."""
    text = "\n".join(f"{key}: {value}" for key, value in metadata.items()).encode("utf-8")
    if not text:
        return
    blocks = [text[begin : begin + _GIF_BLOCK_BYTES] for begin in range(0, len(text), _GIF_BLOCK_BYTES)]
    comment = b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"
    with open(path, "r+b") as file:
        # In front of the trailer, which is the file's last byte.
        file.seek(-1, 2)
        trailer = file.read(1)
        file.seek(-1, 2)
        file.write(comment + trailer)
