"""Writers of tar and zip that write whatever they are told, true or not.

Formats: POSIX ustar and pax (IEEE Std 1003.1), GNU tar's manual, PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

BLOCK = 512


def header(
    name: str | bytes,
    *,
    size: int = 0,
    kind: bytes = b"0",
    link: str = "",
    mode: int = 0o644,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """One block, with a right checksum."""
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    number = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block = struct.pack(
        "<100s8s8s8s12s12s8ss100s8s32s32s8s8s155s12x",
        raw, b"%07o\0" % mode, b"0000000\0", b"0000000\0", number, b"00000000000\0",
        b" " * 8, kind, link.encode(), magic, b"", b"", b"0000001\0", b"0000003\0", prefix,
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(
    name: str | bytes,
    body: bytes = b"",
    *,
    size: int | None = None,
    kind: bytes = b"0",
    link: str = "",
    mode: int = 0o644,
    **more: bytes,
) -> bytes:
    """A header and its data; `size` is what is said of them."""
    said = len(body) if size is None else size
    head = header(name, size=said, kind=kind, link=link, mode=mode, **more)
    return head + body + b"\0" * (-len(body) % BLOCK)


def long_name(name: str | bytes) -> bytes:
    """GNU's header for the next member's name."""
    raw = name if isinstance(name, bytes) else name.encode()
    return member("././@LongLink", raw + b"\0", kind=b"L", magic=b"ustar  \0")


def record(key: str, value: str | bytes) -> bytes:
    """One pax record, whose length counts itself."""
    raw = value if isinstance(value, bytes) else value.encode()
    rest = b" " + key.encode() + b"=" + raw + b"\n"
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """A pax header for the next member."""
    return member("PaxHeaders/x", b"".join(records), kind=kind)


def tar(*members: bytes) -> bytes:
    """The members, and the end."""
    return b"".join(members) + b"\0" * (2 * BLOCK)


@dataclass
class Zipped:
    """A member of a zip; `local` and `central` change fields of that header by name.

    `tail` follows its compressed data and is counted with it; `cut` bytes of it are left out.
    """

    name: str | bytes
    body: bytes = b""
    deflate: bool = True
    flags: int = 0x800
    mode: int = 0o100644
    extra: bytes = b""
    tail: bytes = b""
    cut: int = 0
    local: dict[str, object] = field(default_factory=dict)
    central: dict[str, object] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        raw = self.name if isinstance(self.name, bytes) else self.name.encode()
        return {
            "name": raw,
            "flags": self.flags,
            "method": 8 if self.deflate else 0,
            "crc": zlib.crc32(self.body),
            "packed": len(self.packed()),
            "size": len(self.body),
            "extra": self.extra,
        }

    def packed(self) -> bytes:
        if not self.deflate:
            return self.body
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        whole = packer.compress(self.body) + packer.flush()
        return whole[: len(whole) - self.cut] + self.tail

    def local_header(self) -> bytes:
        f = self.fields() | self.local
        return struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"], f["packed"],
            f["size"], len(f["name"]), len(f["extra"]),
        ) + f["name"] + f["extra"]  # fmt: skip

    def central_header(self, place: int) -> bytes:
        f = self.fields() | {"place": place, "mode": self.mode} | self.central
        return struct.pack(
            "<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, 0, f["flags"], f["method"], 0, 33, f["crc"],
            f["packed"], f["size"], len(f["name"]), len(f["extra"]), 0, 0, 0, f["mode"] << 16,
            f["place"],
        ) + f["name"] + f["extra"]  # fmt: skip


def zipped(*members: Zipped, before: bytes = b"") -> bytes:
    """A zip of these members, each at its place."""
    body, central = before, b""
    for one in members:
        central += one.central_header(len(body))
        body += one.local_header() + one.packed()
    return body + central + zip_end(len(members), len(central), len(body))


def zip_end(count: int, size: int, place: int, comment: bytes = b"") -> bytes:
    """The end of a zip."""
    return (
        struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, place, len(comment)) + comment
    )


def zip64_end(count: int, size: int, place: int) -> bytes:
    """The end of a zip64: its record and its locator; the short one is to follow."""
    at = place + size
    return struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, place
    ) + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
