"""Whatever is done to a good archive's bytes: the same files, or an error of ours; all inside."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.archive import extract
from paddlesrv.zoo.members import is_archive
from tests.attacks.surroundings import seen
from tests.attacks.writers import Zipped, long_name, member, pax, record, tar, zipped

BODIES = {"m/__model__": b"program" * 40, "m/w_0": bytes(range(256)) * 8, "readme": b"hello"}
DIGESTS = {name: hashlib.sha256(body).hexdigest() for name, body in BODIES.items()}


def plain_tar() -> bytes:
    """With every kind of header."""
    return tar(
        member("m/", kind=b"5"),
        pax(record("path", "m/__model__"), record("mtime", "1.5")),
        member("short", BODIES["m/__model__"]),
        long_name("m/w_0"),
        member("short", BODIES["m/w_0"]),
        member("readme", BODIES["readme"]),
    )


# Those whose format has a checksum over all that matters.
CHECKED: dict[str, Callable[[], bytes]] = {
    "tar.gz": lambda: gzip.compress(plain_tar(), mtime=0),
    "tar.bz2": lambda: bz2.compress(plain_tar()),
    "tar.xz": lambda: lzma.compress(plain_tar()),
}
FORMS = CHECKED | {
    "tar": plain_tar,
    "zip": lambda: zipped(
        Zipped("m/", mode=0o040755),
        *(Zipped(n, b, deflate=n != "readme") for n, b in BODIES.items()),
    ),
}
GOOD = {form: make() for form, make in FORMS.items()}

edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("flip"), st.integers(0, 1 << 16), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.just(None)),
        st.tuples(st.just("remove"), st.integers(0, 1 << 16), st.integers(1, 600)),
        st.tuples(st.just("insert"), st.integers(0, 1 << 16), st.binary(max_size=600)),
    ),
    min_size=1,
    max_size=3,
)


def edited(raw: bytes, changes: list[tuple[str, int, object]]) -> bytes:
    body = bytearray(raw)
    for kind, place, value in changes:
        at = place % max(1, len(body))
        if kind == "set":
            body[at : at + len(value)] = value
        elif kind == "flip" and body:
            body[at] ^= 1 << value
        elif kind == "cut":
            del body[at:]
        elif kind == "remove":
            del body[at : at + value]
        elif kind == "insert":
            body[at:at] = value
    return bytes(body)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any-bytes")


_number = iter(range(1 << 30))


def outcome(home: Path, raw: bytes) -> dict[str, str] | None:
    """Digests of what was written, as told and as they are on the disk; None if refused."""
    place = home / str(next(_number))
    place.mkdir()
    (place / "archive").write_bytes(raw)
    target = place / "in" / "out"
    try:
        told = extract(place / "archive", target) if is_archive(place / "archive") else None
    except IntegrityError as refused:
        told, words = None, [refused.message, *refused.context.values()]
    else:
        words = []
    assert all(text.isprintable() for text in words)
    assert {p.name for p in place.iterdir()} <= {"archive", "in"}
    assert {p.name for p in (place / "in").glob("*")} <= {"out"}
    if told is not None:
        files = {name: digest for name, (_, digest) in seen(target).items() if digest}
        assert files == told
    return told


@pytest.mark.parametrize("form", FORMS)
def test_untouched_it_gives_its_files(form: str, home: Path) -> None:
    assert outcome(home, GOOD[form]) == DIGESTS


@settings(max_examples=300, deadline=None)
@given(form=st.sampled_from(sorted(CHECKED)), changes=edits)
def test_a_changed_archive_gives_the_same_files_or_an_error(
    form: str, changes: list[tuple[str, int, object]], home: Path
) -> None:
    assert outcome(home, edited(GOOD[form], changes)) in (DIGESTS, None)


@settings(max_examples=300, deadline=None)
@given(changes=edits)
def test_a_changed_zip_gives_the_same_contents_or_an_error(
    changes: list[tuple[str, int, object]], home: Path
) -> None:
    found = outcome(home, edited(GOOD["zip"], changes))
    # Nothing in the format protects a name that is changed in both headers, nor how many there are.
    assert found is None or set(found.values()) <= set(DIGESTS.values())


@settings(max_examples=300, deadline=None)
@given(changes=edits)
def test_a_changed_tar_gives_files_inside_or_an_error(
    changes: list[tuple[str, int, object]], home: Path
) -> None:
    """A plain tar has no checksum over contents; that is for the digest of the whole."""
    outcome(home, edited(GOOD["tar"], changes))


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=3000), form=st.sampled_from(["", *sorted(FORMS)]))
def test_bytes_of_any_kind_are_refused_or_give_files_inside(
    raw: bytes, form: str, home: Path
) -> None:
    outcome(home, GOOD.get(form, b"")[:600] + raw)


parts = st.sampled_from(["..", ".", "", "a", "A", "a.", "~", "c:", "\\", "con", "\0", "\x1b", "é"])
names = st.one_of(
    st.lists(parts, min_size=1, max_size=6).map("/".join),
    st.text(max_size=40),
    st.lists(parts, min_size=1, max_size=4).map("\\".join),
)


@settings(max_examples=300, deadline=None)
@given(
    found=st.lists(st.tuples(names, st.booleans()), min_size=1, max_size=4),
    form=st.sampled_from(["tar", "zip"]),
)
def test_no_name_leads_out(found: list[tuple[str, bool]], form: str, home: Path) -> None:
    usable = [
        (n, is_directory)
        for n, is_directory in found
        if len(n.encode("utf-8", "surrogatepass")) <= 400
    ]
    raws = [(n.encode("utf-8", "surrogatepass"), is_directory) for n, is_directory in usable]
    raw = (
        tar(
            *(
                long_name(n) + member("x", b"" if d else b"evil", kind=b"5" if d else b"0")
                for n, d in raws
            )
        )
        if form == "tar"
        else zipped(*(Zipped(n + b"/" * d, b"" if d else b"evil", mode=0) for n, d in raws))
    )
    told = outcome(home, raw)
    assert told is None or all(".." not in name.split("/") for name in told)
