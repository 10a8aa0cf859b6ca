"""The 48 bits of the watermark, and their error-correcting code (extended Golay)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

EXTENSION = 0x4D46  # "MF"
BITS, CODED_BITS = 48, 96
_BLOCK, _DATA = 24, 12  # the extended binary Golay code: 12 bits in 24, any two words differ in 8 places
_GENERATOR = 0b101011100011  # of the cyclic Golay code of length 23


@dataclass(frozen=True)
class Payload:
    """What the watermark says: the extension (16 bits) and its version (16 bits); 16 bits of checksum follow.

    Attributes:
        version: major, minor and patch, in 4, 6 and 6 bits.
    """

    version: tuple[int, int, int]

    @classmethod
    def of_version(cls, text: str) -> Payload:
        """The payload of a version such as "0.1.0"; parts that are missing or no numbers count as 0."""
        parts = [int("".join(c for c in part if c.isdigit()) or 0) for part in text.split("+")[0].split(".")[:3]]
        major, minor, patch = (*parts, 0, 0, 0)[:3]
        return cls((min(major, 15), min(minor, 63), min(patch, 63)))

    def __str__(self) -> str:
        return f"MIMAFace {'.'.join(map(str, self.version))}"

    def bits(self) -> np.ndarray:
        """All 48 bits, 0 or 1."""
        major, minor, patch = self.version
        word = EXTENSION << 16 | major << 12 | minor << 6 | patch
        return _as_bits(word << 16 | _checksum(word), BITS)

    @classmethod
    def of_bits(cls, bits: np.ndarray) -> Payload | None:
        """The payload of 48 bits; None where the extension is another one or the checksum is wrong."""
        number = int("".join(map(str, bits.astype(int))), 2)
        word, check = number >> 16, number & 0xFFFF
        if word >> 16 != EXTENSION or _checksum(word) != check:
            return None
        return cls((word >> 12 & 15, word >> 6 & 63, word & 63))


def encode(bits: np.ndarray) -> np.ndarray:
    """48 bits as 96 coded signs ±1, the blocks interleaved."""
    words = bits.reshape(-1, _DATA) @ (1 << np.arange(_DATA)[::-1])
    return _code()[words].T.reshape(-1)


def decode(soft: np.ndarray) -> np.ndarray:
    """The most likely 48 bits of 96 noisy signs."""
    words = (_code() @ soft.reshape(_BLOCK, -1)).argmax(0)
    return np.concatenate([_as_bits(int(word), _DATA) for word in words])


@lru_cache
def _code() -> np.ndarray:
    """All words of the code [4096, 24] as signs."""
    words = np.zeros((1 << _DATA, _BLOCK), np.float32)
    for data in range(1 << _DATA):
        rest = data << 11
        for place in range(22, 10, -1):
            if rest >> place & 1:
                rest ^= _GENERATOR << place - 11
        bits = _as_bits(data << 11 | rest, 23)
        words[data] = 2 * np.append(bits, bits.sum() % 2).astype(np.float32) - 1
    return words


def _checksum(word: int) -> int:
    """CRC-16 (CCITT) of 32 bits."""
    rest = 0xFFFF
    for byte in word.to_bytes(4, "big"):
        rest ^= byte << 8
        for _ in range(8):
            rest = (rest << 1 ^ 0x1021 if rest & 0x8000 else rest << 1) & 0xFFFF
    return rest


def _as_bits(number: int, count: int) -> np.ndarray:
    return np.array([number >> place & 1 for place in reversed(range(count))], dtype=np.int64)
