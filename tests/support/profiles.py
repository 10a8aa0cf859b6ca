"""Colour profiles (ICC, version 2) made of numbers: screens and cameras by primaries and gamma, grey by gamma."""

import struct

# Red, green and blue as XYZ under D50, and gamma.
RGB_SPACES = {
    "display p3": (((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)), 2.2),
    "adobe rgb": (((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 2.19921875),
    "prophoto": (((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82491)), 1.8),
}
_D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(name):
    primaries, gamma = RGB_SPACES[name]
    tags = {key: _xyz(value) for key, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries)}
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma)))


def grey_profile(gamma):
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def _xyz(value):
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in value)


def _gamma(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))


def _profile(space, tags):
    name = b"made for a test\0"
    tags = tags | {
        b"wtpt": _xyz(_D50),
        b"cprt": b"text\0\0\0\0" + name,
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += key + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s12s4s", start + len(data), b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ",
                         struct.pack(">6H", 2026, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    header += bytes(68 - len(header)) + b"".join(struct.pack(">i", round(v * 65536)) for v in _D50)
    return header + bytes(128 - len(header)) + table + data
