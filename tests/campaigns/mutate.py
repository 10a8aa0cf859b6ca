"""Bad inputs made of good ones: bytes, JSON, tables and safetensors, changed at random."""

import copy
import json
import random
import struct
import zlib

LONG = "a" * 300
NESTED = "[" * 3000 + "]" * 3000
# values that programs trip over, whatever was expected
ODD = (
    *(None, True, False, 0, 1, -1, 2**31, -(2**63), 2**64, 10**400, 1e308, -1e-308, float("nan"), float("inf"), 0.5),
    *("", " ", "\0", "nan", "-1", "1e999", "../../x", "/etc/hostname", "x\ny", "\ud800", "%s", "{}", LONG, "é" * 50),
    *([], {}, [[]], [None], {"": {}}, ["4", 0], ["4", 99], ["zz", 0], [1, 2, 3], {"a": [{"b": 1}]}),
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def scrambled(dice: random.Random, data: bytes, most: int = 6) -> bytes:
    """Bytes with a few changes: bits, numbers, pieces cut, doubled, moved or lost."""
    out = bytearray(data)
    for _ in range(dice.randint(1, most)):
        if not out:
            return bytes(out)
        at, size = dice.randrange(len(out)), dice.choice((1, 2, 4, 8, 64, 1024))
        kind = dice.randrange(8)
        if kind == 0:
            out[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            out[at] = dice.randrange(256)
        elif kind == 2:
            form = dice.choice(("<I", ">I", "<H", ">H"))
            number = dice.choice(NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
            out[at : at + struct.calcsize(form)] = struct.pack(form, number)
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            out[at:at] = out[at : at + size]
        elif kind == 5:
            other = dice.randrange(len(out))
            out[other : other + size] = out[at : at + size]
        elif kind == 6:
            out[at : at + size] = dice.randbytes(min(size, len(out) - at))
        elif dice.random() < 0.5:
            del out[at:]
    return bytes(out)


def headed(dice: random.Random, data: bytes) -> bytes:
    """Changes in the first bytes only, where sizes and kinds stand."""
    head = min(len(data), dice.choice((32, 64, 128, 512)))
    return scrambled(dice, data[:head], 3) + data[head:]


def png(dice: random.Random, data: bytes) -> bytes:
    """A PNG with a change inside a chunk whose checksum is right again, so that it is believed."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    number = dice.randrange(len(chunks))
    kind, content = chunks[number]
    chunks[number] = (kind, scrambled(dice, content, 2))
    if dice.random() < 0.2:
        chunks.insert(dice.randrange(len(chunks)), dice.choice(chunks))
    body = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return data[:8] + b"".join(body)


def places(value, path=()):
    """The paths of all values of nested JSON."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(dice: random.Random, content, most: int = 3):
    """A copy of JSON with a few values replaced, removed, doubled, swapped or renamed."""
    content = copy.deepcopy(content)
    for _ in range(dice.randint(1, most)):
        *way, last = dice.choice([path for path in places(content) if path] or [(None,)])
        if last is None:
            return dice.choice(ODD)
        holder = content
        for key in way:
            holder = holder[key]
        kind = dice.randrange(6)
        if kind == 0:
            del holder[last]
        elif kind == 1 and isinstance(holder, dict):
            holder[dice.choice(("", "x", LONG, str(last).upper(), "version"))] = holder.pop(last)
        elif kind == 2 and type(holder[last]) in (int, float) and abs(holder[last]) < 1e9:
            holder[last] = dice.choice((-holder[last], holder[last] * 1000, holder[last] + 0.5, str(holder[last])))
        elif kind == 3:
            holder[last] = [holder[last]] if dice.random() < 0.5 else {"x": holder[last]}
        else:
            holder[last] = copy.deepcopy(dice.choice(ODD))
    return content


def text(dice: random.Random, content) -> bytes:
    """JSON that is wrong as a value, as text or as bytes."""
    kind = dice.random()
    if kind < 0.03:
        return dice.choice((b"", b"\0", NESTED.encode(), b"\xff\xfe", b"null", b"[]", b'"x"', b"1e400", b"{}"))
    written = json.dumps(changed(dice, content) if kind < 0.85 else content)
    if kind < 0.03 + 0.03:
        return written.encode(dice.choice(("utf-16", "utf-32", "utf-8-sig")))
    data = written.encode("utf-8", "surrogatepass")
    return scrambled(dice, data, 3) if kind > 0.8 else data


def table(dice: random.Random, rows: list[list[str]], comma: str = ",") -> bytes:
    """A table with changed cells, rows and columns."""
    rows = [list(row) for row in rows]
    for _ in range(dice.randint(1, 4)):
        if not rows:
            break
        row = dice.choice(rows)
        kind = dice.randrange(6)
        if kind == 0 and row:
            row[dice.randrange(len(row))] = str(dice.choice(ODD))
        elif kind == 1 and row:
            del row[dice.randrange(len(row))]
        elif kind == 2:
            row.append(str(dice.choice(ODD)))
        elif kind == 3:
            rows.remove(row)
        elif kind == 4:
            rows.insert(dice.randrange(len(rows)), list(row))
        elif row:
            row[dice.randrange(len(row))] = dice.choice(('"', "'", "\r", "\n", "\t", ",", ";", "1" * 5000))
    data = "\n".join(comma.join(row) for row in rows).encode("utf-8", "surrogatepass")
    return scrambled(dice, data, 3) if dice.random() < 0.3 else data


def safetensors(dice: random.Random, data: bytes) -> bytes:
    """A safetensors file with another header that fits its length, or with changed bytes."""
    if dice.random() < 0.3:
        return dice.choice((scrambled, headed))(dice, data)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    for name, entry in header.items():
        if name != "__metadata__" and dice.random() < 0.15:
            entry["dtype"] = dice.choice(("F64", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3"))
        if name != "__metadata__" and dice.random() < 0.15:
            dice.shuffle(entry["shape"])
    if dice.random() < 0.7:
        notes = header.setdefault("__metadata__", {})
        if notes and dice.random() < 0.6:
            odd = [value for value in ODD if isinstance(value, str)]
            odd += ["1/0", "0", "25,5", "1e400", "1/3", NESTED, '{"head": [1e400]}', '{"head": [-1, 99]}', "[]", "{"]
            notes[dice.choice(sorted(notes))] = dice.choice(odd)
        elif notes:
            del notes[dice.choice(sorted(notes))]
    if dice.random() < 0.5:
        header = changed(dice, header, 2)
    encoded = json.dumps(header).encode("utf-8", "surrogatepass")
    body = bytearray(data[8 + size :])
    if body and dice.random() < 0.3:  # numbers that are none
        at = dice.randrange(len(body)) // 4 * 4
        body[at : at + 4] = struct.pack("<f", dice.choice((float("nan"), float("inf"), 1e38, -1e9)))
    return struct.pack("<Q", len(encoded)) + encoded + bytes(body)
