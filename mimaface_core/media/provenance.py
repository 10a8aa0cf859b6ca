"""Machine-readable marks in finished files that say the face in them is synthetic.

The digital source type is the one that IPTC defines for a real recording into which trained models have
composed something (https://cv.iptc.org/newscodes/digitalsourcetype/). It is written as a plain tag in every
container, and as XMP in PNG and MP4, which is where checking tools look for it.
"""

from pathlib import Path
from xml.sax.saxutils import escape

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_NOTICE = "Synthetic media: the face shown was animated by artificial intelligence (MIMAFace)."
# The box type that part 3 of the XMP specification gives to XMP in ISO media files.
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def synthetic_metadata() -> dict[str, str]:
    """Says that the face is synthetic, in words (`comment`) and for tools (`digitalSourceType`)."""
    return {"comment": _NOTICE, "digitalSourceType": SOURCE_TYPE}


def xmp_packet(metadata: dict[str, str]) -> str | None:
    """XMP with the digital source type and comment of `metadata`; None where it names no source type."""
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


def mark_mp4(path: Path, metadata: dict[str, str]) -> None:
    """Appends the XMP packet to a finished MP4 file as a box of its own, which players skip."""
    packet = xmp_packet(metadata)
    if packet is None:
        return
    payload = _XMP_BOX + packet.encode("utf-8")
    with open(path, "ab") as file:
        file.write((8 + len(payload)).to_bytes(4, "big") + b"uuid" + payload)


def mark_gif(path: Path, metadata: dict[str, str]) -> None:
    """Writes `metadata`, one `key: value` a line, into a finished GIF file as a comment extension."""
    text = "\n".join(f"{key}: {value}" for key, value in metadata.items()).encode("utf-8")
    if not text:
        return
    parts = [text[begin : begin + 255] for begin in range(0, len(text), 255)]
    comment = b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"
    with open(path, "r+b") as file:
        # in front of the trailer, the file's last byte
        file.seek(-1, 2)
        trailer = file.read(1)
        file.seek(-1, 2)
        file.write(comment + trailer)
