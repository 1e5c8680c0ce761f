"""Archives that attack, by name; each holds a whole model besides, so that nothing else is wrong.

The list is that of the CVEs and of the unpackers' own test suites: paths that lead out, links,
devices, collisions, bombs, lies in headers, and files that two readers see differently.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.attacks.writers import (
    Zipped,
    header,
    long_name,
    member,
    pax,
    record,
    tar,
    zip64_end,
    zip_end,
    zipped,
)
from tests.unit.zoo.models import PARAMS, PROGRAM

MODEL = {"inference.pdmodel": PROGRAM, "inference.pdiparams": PARAMS}
IN_TAR = b"".join(member(name, body) for name, body in MODEL.items())
IN_ZIP = tuple(Zipped(name, body) for name, body in MODEL.items())
GIGABYTE = 1_000_000_000
LINK, FIFO, SOCKET, DEVICE = 0o120777, 0o010644, 0o140644, 0o020644

PATH = "a path that leads out of its directory"
REGULAR = "neither a regular file nor a directory"
CONTROL = "control characters or bytes that are no text in its name"
TWICE = "its name is there twice"
ALIKE = "its name differs only in case or in how letters are encoded"
RATIO = "more than 200 times the archive's own size"
LONG = "a name that is too long"
FOLLOWS = "something follows its end"
FOLLOWS_PACKED = "something follows its compressed data"
LOCAL = "a local header that is not as its directory"
OVERLAP = "members that overlap"
NO_MEMBER = "something that is no member"
CUT = "it ends in the middle of a member"
KEPT = "a name kept for the store"


@dataclass(frozen=True)
class Attack:
    """An archive, and what the refusal must say: the rule, and the member if it is one's fault."""

    name: str
    form: str
    build: Callable[[], bytes]
    rule: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.name}.{self.form}"


def evil_tar(*parts: bytes) -> bytes:
    """A model, and these."""
    return tar(IN_TAR, *parts)


def evil_zip(*members: Zipped) -> bytes:
    """The same as a zip."""
    return zipped(*IN_ZIP, *members)


def attacks() -> Iterator[Attack]:
    """All of them, in every form that they exist in."""
    for name, evil, rule, named in NAMES:
        yield from _tars(name, rule, named, member(evil, b"evil"))
        yield Attack(name, "zip", _zip(Zipped(evil, b"evil")), rule, named)
    for name, members, rule, named in SEVERAL_NAMES:
        parts = [member(n, kind=b"5") if n[-1] == "/" else member(n, b"x") for n in members]
        yield from _tars(name, rule, named, *parts)
        bodies = [Zipped(n, b"" if n[-1] == "/" else b"x", mode=0) for n in members]
        yield Attack(name, "zip", _zip(*bodies), rule, named)
    for name, parts, rule, named in TARS:
        yield from _tars(name, rule, named, *parts)
    for name, form, build, rule in STREAMS:
        yield Attack(name, form, build, rule)
    for name, members, rule, named in ZIPS:
        yield Attack(name, "zip", _zip(*members), rule, named)
    for name, build, rule, named in RAW_ZIPS:
        yield Attack(name, "zip", build, rule, named)


def _tars(name: str, rule: str, named: str, *parts: bytes) -> Iterator[Attack]:
    yield Attack(name, "tar", lambda: evil_tar(*parts), rule, named)
    yield Attack(name, "tar.gz", lambda: gzip.compress(evil_tar(*parts), 1), rule, named)


def _zip(*members: Zipped) -> Callable[[], bytes]:
    return lambda: evil_zip(*members)


# Name of the attack, the member's name, the rule, the name as it must be shown.
NAMES = [
    ("parent", "../evil", PATH, "../evil"),
    ("parent-within", "a/../../evil", PATH, "a/../../evil"),
    ("parent-at-the-end", "a/..", PATH, "a/.."),
    ("absolute", "/tmp/evil", "an absolute path", "/tmp/evil"),
    ("two-slashes", "//evil", "an absolute path", "//evil"),
    ("drive", "C:/evil", "a drive letter", "C:/evil"),
    ("drive-relative", "C:evil", "a drive letter", "C:evil"),
    ("backslash", "..\\evil", "a backslash", "..\\\\evil"),
    ("unc", "\\\\host\\share\\evil", "a backslash", "\\\\\\\\host"),
    ("newline", "evil\nname", CONTROL, "evil\\nname"),
    ("carriage-return", "evil\rname", CONTROL, "evil\\rname"),
    ("terminal-codes", "evil\x1b[2J", CONTROL, "evil\\x1b[2J"),
    ("right-to-left", "evil\u202egnp", CONTROL, "evil\\u202egnp"),
    ("no-text", b"evil\xff", CONTROL, "evil\\udcff"),
    ("dot", ".", "no name", "."),
    ("no-name", "", "no name", ""),
    ("dots-and-slashes", "././.", "no name", "././."),
    ("planted-spec", "spec.json", KEPT, "spec.json"),
    ("planted-record", "./install.json", KEPT, "install.json"),
]

SEVERAL_NAMES = [
    ("twice", ["evil", "evil"], TWICE, "evil"),
    ("twice-once-normalised", ["d/evil", "./d//./evil"], TWICE, "./d//./evil"),
    ("twice-the-program", ["inference.pdmodel"], TWICE, "inference.pdmodel"),
    ("case", ["Labels.txt", "labels.txt"], ALIKE, "labels.txt"),
    ("case-of-a-directory", ["D/a", "d/b"], ALIKE, "d/b"),
    ("case-beyond-ascii", ["stra\u00dfe", "STRASSE"], ALIKE, "STRASSE"),
    ("composed-and-decomposed", ["caf\u00e9", "cafe\u0301"], ALIKE, "cafe\\u0301"),
    ("file-as-directory", ["evil", "evil/inside"], TWICE, "evil/inside"),
    ("file-then-directory", ["evil", "evil/"], TWICE, "evil/"),
    ("directory-as-file", ["evil/", "evil"], TWICE, "evil"),
    ("directory-implied-as-file", ["evil/inside", "evil"], TWICE, "evil"),
]


def long_named(name: str, body: bytes = b"evil") -> bytes:
    """A member with a name by GNU's header."""
    return long_name(name) + member("short", body)


def resized(field: bytes) -> bytes:
    """A header with these bytes for its size, and a right checksum."""
    block = header("evil")
    block = block[:124] + field + block[136:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def pax_named(name: str | bytes, body: bytes = b"evil") -> bytes:
    """A member with a name by pax."""
    return pax(record("path", name)) + member("short", body)


TARS = [
    ("symlink", [member("evil", kind=b"2", link="/etc/passwd")], REGULAR, "evil"),
    ("symlink-inside", [member("evil", kind=b"2", link="inference.pdmodel")], REGULAR, "evil"),
    (
        "symlink-then-through-it",
        [member("d", kind=b"2", link="../../.."), member("d/evil", b"evil")],
        REGULAR, "d",
    ),
    (
        "symlink-chain",
        [
            member("a", kind=b"5"),
            member("a/b", kind=b"2", link=".."),
            member("a/c", kind=b"2", link="b/.."),
            member("a/c/evil", b"evil"),
        ],
        REGULAR, "a/b",
    ),
    (
        "symlink-over-a-directory",
        [member("d/", kind=b"5"), member("d", kind=b"2", link="/tmp")],
        REGULAR, "d",
    ),
    ("hardlink-outside", [member("evil", kind=b"1", link="../../evil")], REGULAR, "evil"),
    ("hardlink-inside", [member("evil", kind=b"1", link="inference.pdmodel")], REGULAR, "evil"),
    (
        "hardlink-with-data",
        [member("evil", kind=b"1", link="/etc/passwd", size=512)], REGULAR, "evil",
    ),
    ("character-device", [member("evil", kind=b"3")], REGULAR, "evil"),
    ("block-device", [member("evil", kind=b"4")], REGULAR, "evil"),
    ("fifo", [member("evil", kind=b"6")], REGULAR, "evil"),
    ("unknown-kind", [member("evil", kind=b"s")], REGULAR, "evil"),
    ("contiguous", [member("evil", kind=b"7")], REGULAR, "evil"),
    ("multi-volume", [member("evil", kind=b"M")], REGULAR, "evil"),
    ("sparse-gnu", [member("evil", kind=b"S", size=1 << 40)], "larger than", "evil"),
    ("sparse-gnu-small", [member("evil", b"x" * 512, kind=b"S")], REGULAR, "evil"),
    (
        "sparse-pax",
        [
            pax(
                record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0"),
                record("GNU.sparse.name", "evil"), record("GNU.sparse.realsize", str(1 << 40)),
            ),
            member("GNUSparseFile.0/evil", b"0\n" + b"\0" * 510),
        ],
        "a sparse file", "GNUSparseFile.0/evil",
    ),
    (
        "sparse-pax-old",
        [pax(record("GNU.sparse.size", str(1 << 40))), member("evil", b"x")],
        "a sparse file", "evil",
    ),
    ("nul-by-pax", [pax_named("evil\0.txt")], CONTROL, "evil\\x00.txt"),
    ("nul-by-long-name", [long_named("evil\0.txt")], CONTROL, "evil\\x00.txt"),
    ("parent-by-pax", [pax_named("../evil")], PATH, "../evil"),
    ("parent-by-long-name", [long_named("../" + "a" * 120)], PATH, "../aaa"),
    ("parent-by-prefix", [member("evil", b"x", prefix=b"..")], PATH, "../evil"),
    ("absolute-by-prefix", [member("evil", b"x", prefix=b"/tmp")], "absolute", "/tmp/evil"),
    ("pax-record-too-long", [pax(b"99 path=evil\n"), member("a", b"x")], "record's length", ""),
    ("pax-record-too-short", [pax(b"9 path=evil\n"), member("a", b"x")], "record's length", ""),
    ("pax-record-without-end", [pax(b"13 path=evil."), member("a", b"x")], "record's length", ""),
    ("pax-record-of-no-length", [pax(b"0 path=evil\n"), member("a", b"x")], "record's length", ""),
    (
        "pax-record-of-huge-length",
        [pax(b"9" * 5000 + b" path=evil\n"), member("a", b"x")], "record's length", "",
    ),
    (
        "pax-size-lies",
        [pax(record("size", "0")), member("evil", member("../hidden", b"x"))],
        "two sizes that differ", "evil",
    ),
    (
        "pax-size-huge",
        [pax(record("size", str(10**19))), member("evil", size=0)], "larger than", "evil",
    ),
    ("pax-size-negative", [pax(record("size", "-1")), member("evil")], "no number", ""),
    (
        "pax-size-of-many-digits",
        [pax(record("size", "9" * 5000)), member("evil")], "no number", "",
    ),
    (
        "pax-for-everybody",
        [pax(record("path", "../evil"), kind=b"g"), member("a", b"x")],
        "changes every member", "",
    ),
    (
        "header-of-a-gigabyte",
        [header("x", size=GIGABYTE, kind=b"x"), b"\0" * 512], "a header of more than", "",
    ),
    (
        "long-name-of-a-gigabyte",
        [header("x", size=GIGABYTE, kind=b"L"), b"\0" * 512], "a header of more than", "",
    ),
    ("long-name-absurd", [long_named("a/" * 9000 + "evil")], "a header of more than", ""),
    ("long-name-of-one-part", [long_named("a" * 300)], LONG, "aaa"),
    ("long-path", [long_named("/".join(["ab"] * 400))], LONG, "ab/ab"),
    ("headers-in-a-row", [*[long_name("a")] * 5, member("a")], "extension headers in a row", ""),
    ("header-of-nobody", [long_name("evil")], "belongs to no member", ""),
    ("deep-10000-levels", [pax_named("a/" * 10_000 + "evil")], LONG, "a/a/"),
    ("deep-100-levels", [pax_named("a/" * 100 + "evil")], "32 directories deep", "a/a/"),
    ("deep-directories", [pax(record("path", "a/" * 100)), header("d", kind=b"5")],
     "32 directories deep", "a/a/"),
    ("file-with-slash", [member("evil/", b"x")], "named as a directory", "evil/"),
    ("old-file-with-slash", [member("evil/", b"x", kind=b"\0")], "directory that has a size", ""),
    ("directory-with-size", [member("d", b"x", kind=b"5")], "directory that has a size", "d"),
    ("size-negative", [resized(b"\xff" * 12)], "size is no number", ""),
    ("size-of-letters", [resized(b"0000000zz\0\0\0")], "size is no number", ""),
    ("size-beyond-the-end", [header("evil", size=GIGABYTE // 100)], CUT, ""),
    ("bomb-10-gigabytes", [header("evil", size=10 * GIGABYTE), b"\0" * 4096], RATIO, "evil"),
    ("bomb-of-an-exabyte", [header("evil", size=1 << 60), b"\0" * 512], "larger than", "evil"),
    ("header-checksum", [member("evil").replace(b"evil", b"elfs")], "checksum", ""),
    ("no-checksum", [b"evil" + b"\0" * 508], "checksum", ""),
]  # fmt: skip


def bomb_of_empty_members() -> bytes:
    """Ten million directory entries, in parts of gzip that are all alike."""
    return gzip.compress(IN_TAR) + gzip.compress(header("d", kind=b"5") * 10_000, 9) * 1000


def tiny_files(number: int) -> bytes:
    """A tar of files with nothing in them."""
    return tar(IN_TAR, *(header(f"d/{i}") for i in range(number)))


def bomb_of_middling_files() -> bytes:
    """A hundred files of 8 MB of zeros, none of them large."""
    zeros = gzip.compress(b"\0" * 8_000_000, 9)
    parts = [gzip.compress(header(f"evil{i}", size=8_000_000), 9) + zeros for i in range(100)]
    padding = gzip.compress(b"\0" * (-8_000_000 % 512))
    return gzip.compress(IN_TAR) + padding.join(parts)


def bomb_after_the_end(packer: Callable[[bytes], bytes]) -> bytes:
    """Zeros without end after a good archive, which any tar takes for padding."""
    return packer(evil_tar()) + packer(b"\0" * 4_000_000) * 60


def with_wrong_crc() -> bytes:
    """The trailer of the gzip stream is another file's."""
    packed = gzip.compress(evil_tar())
    return packed[:-8] + struct.pack("<2L", 1234567, len(evil_tar()))


def with_wrong_length() -> bytes:
    """The trailer of the gzip stream says another length."""
    packed = gzip.compress(evil_tar())
    return packed[:-4] + struct.pack("<L", 5)


SECOND = tar(member("hidden", b"evil"))
PACKED_EARLY = "its compressed data ends too early"

# What is wrong with the stream as a whole. None of it is one member's.
STREAMS = [
    ("bomb-of-members", "tar.gz", bomb_of_empty_members, "more than 20000 members"),
    ("tiny-files", "tar.gz", lambda: gzip.compress(tiny_files(20_001), 1), "20000 members"),
    ("bomb-in-parts", "tar.gz", bomb_of_middling_files, RATIO),
    ("bomb-after-the-end", "tar.gz", lambda: bomb_after_the_end(gzip.compress), RATIO),
    ("bomb-after-the-end", "tar.bz2", lambda: bomb_after_the_end(bz2.compress), RATIO),
    ("bomb-after-the-end", "tar.xz", lambda: bomb_after_the_end(lzma.compress), RATIO),
    ("xz-of-much-memory", "tar.xz",
     lambda: lzma.compress(evil_tar(), filters=[
         {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3,
          "nice_len": 8}]), "Memory usage limit"),
    ("truncated-in-a-body", "tar", lambda: evil_tar()[: len(IN_TAR) - 512], CUT),
    ("truncated-in-a-header", "tar", lambda: IN_TAR + member("a")[:100], CUT),
    ("truncated-between-members", "tar", lambda: IN_TAR, CUT),
    ("truncated-between-members", "tar.gz", lambda: gzip.compress(IN_TAR), CUT),
    ("truncated-stream", "tar.gz", lambda: gzip.compress(evil_tar())[:-300], PACKED_EARLY),
    ("truncated-trailer", "tar.gz", lambda: gzip.compress(evil_tar())[:-1], PACKED_EARLY),
    ("truncated-stream", "tar.bz2", lambda: bz2.compress(evil_tar())[:-1], PACKED_EARLY),
    ("truncated-stream", "tar.xz", lambda: lzma.compress(evil_tar())[:-1], PACKED_EARLY),
    ("wrong-crc", "tar.gz", with_wrong_crc, "incorrect data check"),
    ("wrong-length", "tar.gz", with_wrong_length, "incorrect length check"),
    ("another-archive-after-it", "tar", lambda: evil_tar() + SECOND, FOLLOWS),
    ("another-archive-after-it", "tar.gz", lambda: gzip.compress(evil_tar() + SECOND), FOLLOWS),
    ("another-part-after-it", "tar.gz",
     lambda: gzip.compress(evil_tar()) + gzip.compress(SECOND), FOLLOWS),
    ("words-after-it", "tar", lambda: evil_tar() + b"words", FOLLOWS),
    ("words-after-it", "tar.gz", lambda: gzip.compress(evil_tar()) + b"words", FOLLOWS_PACKED),
    ("words-after-it", "tar.bz2", lambda: bz2.compress(evil_tar()) + b"words", FOLLOWS_PACKED),
    ("words-after-it", "tar.xz", lambda: lzma.compress(evil_tar()) + b"words!", FOLLOWS_PACKED),
    ("words-after-it", "zip", lambda: evil_zip() + b"words", FOLLOWS),
    ("polyglot-of-tar-and-zip", "tar", lambda: evil_tar() + evil_zip(), FOLLOWS),
    ("polyglot-of-tar-and-zip", "zip", lambda: evil_tar() + evil_zip(), FOLLOWS),
    ("polyglot-of-tar-and-adjusted-zip", "zip",
     lambda: zipped(*IN_ZIP, before=evil_tar()), FOLLOWS),
    ("polyglot-that-begins-as-both", "zip",
     lambda: zipped(*IN_ZIP, before=header(b"PK\3\4") + IN_TAR), NO_MEMBER),
    ("polyglot-that-begins-as-both", "tar",
     lambda: zipped(*IN_ZIP, before=header(b"PK\3\4") + IN_TAR), NO_MEMBER),
    ("polyglot-of-zip-and-tar", "zip", lambda: evil_zip() + evil_tar(), FOLLOWS),
    ("polyglot-of-zip-and-tar", "tar", lambda: evil_zip() + evil_tar(), FOLLOWS),
    ("empty-file", "zip", lambda: b"", "no model was found"),
]  # fmt: skip

ZIPS = [
    ("symlink", [Zipped("evil", b"/etc/passwd", mode=LINK)], REGULAR, "evil"),
    ("symlink-then-through-it", [Zipped("d", b"../..", mode=LINK), Zipped("d/evil", b"x")],
     REGULAR, "d"),
    ("fifo", [Zipped("evil", mode=FIFO)], REGULAR, "evil"),
    ("socket", [Zipped("evil", mode=SOCKET)], REGULAR, "evil"),
    ("device", [Zipped("evil", mode=DEVICE)], REGULAR, "evil"),
    ("directory-by-mode-alone", [Zipped("evil", b"x", mode=0o040755)], REGULAR, "evil"),
    ("file-with-slash", [Zipped("evil/", b"x")], REGULAR, "evil/"),
    ("directory-with-content", [Zipped("evil/", b"x", mode=0)], "directory that has a size",
     "evil/"),
    ("encrypted", [Zipped("evil", b"x", flags=0x801)], "an encrypted member", "evil"),
    ("other-compression", [Zipped("evil", b"x", local={"method": 14}, central={"method": 14})],
     "a compression other than deflate", "evil"),
    ("nul", [Zipped("evil\0.txt", b"x")], CONTROL, "evil\\x00.txt"),
    ("long-part", [Zipped("a" * 300, b"x")], LONG, "a" * 100),
    ("deep-10000-levels", [Zipped("a/" * 10_000 + "evil", b"x")], LONG, "a/a/"),
    ("deep-100-levels", [Zipped("a/" * 100 + "evil", b"x")], "32 directories deep", "a/a/"),
    ("other-name-inside", [Zipped("good", b"x", local={"name": b"../evil"})], LOCAL, "good"),
    ("other-size-inside", [Zipped("evil", b"xy", local={"size": 1})], LOCAL, "evil"),
    ("other-packed-size-inside", [Zipped("evil", b"xy", local={"packed": 1})], LOCAL, "evil"),
    ("other-crc-inside", [Zipped("evil", b"xy", local={"crc": 1})], LOCAL, "evil"),
    ("other-method-inside", [Zipped("evil", b"xy", local={"method": 0})], LOCAL, "evil"),
    ("encrypted-inside-only", [Zipped("evil", b"xy", local={"flags": 0x801})], LOCAL, "evil"),
    ("says-less", [Zipped("evil", b"xyz", local={"size": 1}, central={"size": 1})],
     "evil is longer", ""),
    ("says-more", [Zipped("evil", b"x", local={"size": 9}, central={"size": 9})],
     "evil is shorter", ""),
    ("wrong-crc", [Zipped("evil", b"x", local={"crc": 9}, central={"crc": 9})],
     "evil has another CRC", ""),
    ("packed-says-less",
     [Zipped("evil", b"x" * 99, local={"packed": 3}, central={"packed": 3})],
     NO_MEMBER, "its directory"),
    ("packed-has-a-tail", [Zipped("evil", b"x" * 99, tail=b"hidden")],
     "evil: its compressed data has another length", ""),
    ("packed-is-cut", [Zipped("evil", b"x" * 99, tail=b"", cut=1)],
     "evil: its compressed data has another length", ""),
    ("no-deflate", [Zipped("evil", b"\xff" * 9, deflate=False, local={"method": 8},
     central={"method": 8})], "evil: Error", ""),
    ("nowhere", [Zipped("evil", b"x", central={"place": 1 << 31})], "more than there is", ""),
    ("not-there", [Zipped("evil", b"x", central={"place": 7})], "not where its directory says",
     ""),
    ("same-place-twice", [Zipped("evil", b"x"), Zipped("evil", central={"place": 0})], LOCAL,
     "evil"),
    ("bomb-10-gigabytes", [Zipped(f"evil{i}", central={"size": 2 * GIGABYTE}) for i in range(5)],
     RATIO, "evil0"),
    ("zip64-lies", [Zipped("evil", b"x", central={
        "size": 0xFFFFFFFF, "extra": struct.pack("<2HQ", 1, 8, 77)})], LOCAL, "evil"),
    ("zip64-huge", [Zipped("evil", b"x", central={
        "size": 0xFFFFFFFF, "extra": struct.pack("<2HQ", 1, 8, 1 << 63)})], "larger than", "evil"),
    ("zip64-too-short", [Zipped("evil", b"x", central={
        "size": 0xFFFFFFFF, "extra": struct.pack("<2HL", 1, 4, 77)})], "field is too short", ""),
    ("zip64-twice", [Zipped("evil", b"x", central={
        "size": 0xFFFFFFFF, "extra": struct.pack("<2HQ", 1, 8, 1) * 2})], "two zip64 fields", ""),
]  # fmt: skip


def _same_place() -> bytes:
    """The very same member, at the same place, ten times: each is read whole again."""
    one = Zipped("evil", b"\0" * 1_000_000)
    body = b"".join(m.local_header() + m.packed() for m in IN_ZIP)
    central, place = b"", 0
    for each in IN_ZIP:
        central += each.central_header(place)
        place += len(each.local_header() + each.packed())
    central += one.central_header(place) * 10
    body += one.local_header() + one.packed()
    return body + central + zip_end(12, len(central), len(body))


def _hidden() -> bytes:
    """A member between two others that the directory does not tell of."""
    first, hidden, last = IN_ZIP[0], Zipped("hidden", b"evil"), IN_ZIP[1]
    parts = [one.local_header() + one.packed() for one in (first, hidden, last)]
    central = first.central_header(0) + last.central_header(len(parts[0]) + len(parts[1]))
    body = b"".join(parts)
    return body + central + zip_end(2, len(central), len(body))


def _quoted() -> bytes:
    """A member whose data is another member, header and all (as in Fifield's bombs)."""
    inner = Zipped("inner", b"x" * 1000, deflate=False)
    outer = Zipped("outer", inner.local_header() + inner.body, deflate=False)
    body = outer.local_header() + outer.body
    central = outer.central_header(0) + inner.central_header(len(outer.local_header()))
    return body + central + zip_end(2, len(central), len(body))


def _over_the_directory() -> bytes:
    """A member whose data goes on into the central directory."""
    one = Zipped("evil", b"x" * 60, deflate=False)
    one.local, one.central = ({"size": 100, "packed": 100} for _ in range(2))
    return zipped(one)


def _end_says(count: int, size: int = 0, place: int = 0) -> Callable[[], bytes]:
    """A good zip, but for the numbers at its end; zero for the right ones."""

    def build() -> bytes:
        whole = evil_zip()
        _, _, _, _, _, right_size, right_place, _ = struct.unpack("<4s4H2LH", whole[-22:])
        return whole[:-22] + zip_end(count, size or right_size, place or right_place)

    return build


def _zip64(count: int, short_count: int) -> bytes:
    """A good zip64, but for its numbers of members."""
    whole = evil_zip()
    _, _, _, _, _, size, place, _ = struct.unpack("<4s4H2LH", whole[-22:])
    return whole[:-22] + zip64_end(count, size, place) + zip_end(short_count, 0xFFFFFFFF, place)


RAW_ZIPS = [
    ("overlap-same-place", _same_place, OVERLAP, "evil"),
    ("overlap-quoted", _quoted, OVERLAP, "inner"),
    ("overlap-with-the-directory", _over_the_directory, OVERLAP, "its directory"),
    ("count-too-small", _end_says(1), "longer than it says", ""),
    ("count-too-large", _end_says(9), "shorter than it says", ""),
    ("count-of-65000", _end_says(65_000), "more than 20000 members", ""),
    ("directory-elsewhere", _end_says(2, place=7), "not where its end says", ""),
    ("directory-shorter", _end_says(2, size=9), "not where its end says", ""),
    ("directory-beyond-the-end", _end_says(2, size=1 << 31), "not where its end says", ""),
    ("zip64-count-of-ten-million", lambda: _zip64(10_000_000, 0xFFFF), "20000 members", ""),
    ("zip64-two-counts", lambda: _zip64(2, 1), "two ends do not agree", ""),
    ("zip64-count-lies", lambda: _zip64(3, 3), "shorter than it says", ""),
    ("zip64-without-a-locator", _end_says(0xFFFF), "zip64 end is not where", ""),
    ("comment-of-another-end",
     lambda: evil_zip()[:-22] + zip_end(2, 9, 9, comment=zip_end(0, 0, 0)), "not where", ""),
    ("tiny-files", lambda: zipped(*(Zipped(f"d/{i}", deflate=False) for i in range(20_001))),
     "more than 20000 members", ""),
    ("hidden-member", _hidden, NO_MEMBER, "inference.pdiparams"),
    ("truncated", lambda: evil_zip()[:-1], "its end is missing", ""),
    ("truncated-directory", lambda: evil_zip()[:-50], "its end is missing", ""),
    ("something-before-it", lambda: b"PK\5\6" + evil_zip(), "not where its end says", ""),
]  # fmt: skip
