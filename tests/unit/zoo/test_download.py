"""Downloads: what was asked for arrives whole and verified, or nothing does."""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, PaddlesrvError, SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.download import Means, Wanted
from paddlesrv.zoo.download import download as fetch
from paddlesrv.zoo.network import Retry, mask
from tests.unit.zoo.web import Web, cut, redirect, stall, status, wrong_range

BODY = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
AT_ONCE = Retry(delays=(0.0, 0.0, 0.0), connect_delays=())
NEVER = Retry(delays=(), connect_delays=())


def download(url: str, destination: Path, **options: object) -> str:
    wanted = {name: options.pop(name) for name in ("sha256", "size") if name in options}
    return fetch(Wanted(url=url, **wanted), destination, Means(**options))


def test_a_file_arrives_with_its_digest(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY)
    assert download(url, tmp_path / "f", sha256=SHA256, size=len(BODY), retry=NEVER) == SHA256
    assert (tmp_path / "f").read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert web.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("after", [1, 4096, 150_001, len(BODY) - 1])
def test_a_cut_within_a_run_is_continued(web: Web, tmp_path: Path, after: int) -> None:
    url = web.put("/f", BODY, faults=[cut(after)])
    download(url, tmp_path / "f", sha256=SHA256, retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(BODY)


@settings(max_examples=25, deadline=None)
@given(after=st.integers(0, len(BODY) - 1))
def test_cut_at_any_byte_the_next_run_fetches_only_the_rest(after: int) -> None:
    with tempfile.TemporaryDirectory() as name, Web() as web:
        target = Path(name, "f")
        url = web.put("/f", BODY, faults=[cut(after)])
        with pytest.raises(SourceUnreachable):
            download(url, target, sha256=SHA256, retry=NEVER)
        assert not target.exists()
        download(url, target, sha256=SHA256, retry=NEVER)
        assert target.read_bytes() == BODY
        assert web.bytes_sent == len(BODY)


def test_cuts_are_forgiven_as_long_as_bytes_come(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, faults=[cut(20_000)] * 12)
    download(url, tmp_path / "f", sha256=SHA256, retry=Retry(delays=(0.0,)))
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_file_that_changed_between_runs_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000)])
    with pytest.raises(SourceUnreachable):
        download(url, tmp_path / "f", retry=NEVER)
    other = BODY[::-1]
    web.put("/f", other, etag='"two"')
    assert download(url, tmp_path / "f", retry=NEVER) == hashlib.sha256(other).hexdigest()
    assert (tmp_path / "f").read_bytes() == other


def test_a_server_without_ranges_starts_again(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000)], ranges=False)
    download(url, tmp_path / "f", sha256=SHA256, retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("start", [0, 99_999, 100_001])
def test_another_range_than_asked_for_is_not_spliced(web: Web, tmp_path: Path, start: int) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000), wrong_range(start)])
    download(url, tmp_path / "f", retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY


def test_bytes_that_rotted_between_runs_are_fetched_anew(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000)])
    with pytest.raises(SourceUnreachable):
        download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    (tmp_path / "f.part").write_bytes(b"\0" * 100_000)
    download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_partial_file_longer_than_the_file_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000)])
    with pytest.raises(SourceUnreachable):
        download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    (tmp_path / "f.part").write_bytes(BODY + b"more")
    download(url, tmp_path / "f", sha256=SHA256, retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("known", [True, False])
def test_bytes_from_before_a_crash_of_the_machine_need_a_digest(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    url = web.put("/f", BODY, faults=[cut(100_000)])
    digest = {"sha256": SHA256} if known else {}
    with pytest.raises(SourceUnreachable):
        download(url, tmp_path / "f", retry=NEVER, **digest)
    monkeypatch.setattr("paddlesrv.zoo.download.this_boot", lambda: "another run of the machine")
    download(url, tmp_path / "f", retry=NEVER, **digest)
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(BODY) + (0 if known else 100_000)


def test_bytes_of_another_url_are_not_continued(web: Web, tmp_path: Path) -> None:
    first = web.put("/first", BODY[::-1], faults=[cut(100_000)])
    with pytest.raises(SourceUnreachable):
        download(first, tmp_path / "f", retry=NEVER)
    download(web.put("/f", BODY), tmp_path / "f", retry=NEVER)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("code", [500, 502, 503])
def test_server_errors_are_tried_again(web: Web, tmp_path: Path, code: int) -> None:
    url = web.put("/f", BODY, faults=[status(code), status(code)])
    download(url, tmp_path / "f", sha256=SHA256, retry=AT_ONCE)
    assert len(web.requests) == 3


def test_a_missing_file_is_asked_for_once(web: Web, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="404"):
        download(web.url + "/gone", tmp_path / "f", retry=AT_ONCE)
    assert len(web.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed_but_not_for_ever(web: Web, tmp_path: Path) -> None:
    web.put("/there", BODY)
    url = web.put("/f", b"", faults=[redirect(web.url + "/there")])
    download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    assert (tmp_path / "f").read_bytes() == BODY
    loop = web.put("/loop", b"", faults=[redirect(web.url + "/loop")] * 50)
    with pytest.raises(SourceUnreachable, match="redirect"):
        download(loop, tmp_path / "g", retry=AT_ONCE)


def test_a_wrong_digest_leaves_nothing_and_names_both(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY[:-1] + b"!")
    with pytest.raises(IntegrityError) as caught:
        download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    assert SHA256 in caught.value.context["expected"]
    assert hashlib.sha256(BODY[:-1] + b"!").hexdigest() in caught.value.context["got"]
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_is_refused_before_the_body(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY)
    with pytest.raises(IntegrityError, match="size"):
        download(url, tmp_path / "f", size=len(BODY) + 1, retry=NEVER)
    assert list(tmp_path.iterdir()) == []


def test_no_length_is_no_obstacle(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, length=False)
    assert download(url, tmp_path / "f", retry=NEVER) == SHA256


def test_a_cut_without_a_length_is_seen_by_the_known_size(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, length=False, faults=[cut(10_000)])
    download(url, tmp_path / "f", sha256=SHA256, size=len(BODY), retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_file_that_has_no_room_is_refused_before_it_is_written(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY, length=False, ranges=False)
    with pytest.raises(PaddlesrvError, match="space") as caught:
        download(url, tmp_path / "f", size=1 << 60, retry=NEVER)
    assert caught.value.exit_code == 1
    assert caught.value.context["needed"] == f"{1 << 60} bytes"
    assert not (tmp_path / "f").exists()


def test_a_server_that_stops_sending_is_left_and_continued(web: Web, tmp_path: Path) -> None:
    release = threading.Event()
    url = web.put("/f", BODY, faults=[stall(100_000, threading.Event(), release)])
    with network.open_client(stall_seconds=0.2) as client:
        download(url, tmp_path / "f", sha256=SHA256, client=client, retry=AT_ONCE)
    release.set()
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(BODY)


def test_a_local_file_is_copied_and_verified(tmp_path: Path) -> None:
    source = tmp_path / "source file"
    source.write_bytes(BODY)
    assert download(source.as_uri(), tmp_path / "f", sha256=SHA256) == SHA256
    with pytest.raises(IntegrityError):
        download(source.as_uri(), tmp_path / "g", sha256="0" * 64)
    with pytest.raises(SourceUnreachable):
        download((tmp_path / "none").as_uri(), tmp_path / "h")
    assert not (tmp_path / "g").exists()


def test_an_unreachable_host_names_itself_without_credentials(web: Web, tmp_path: Path) -> None:
    url = web.url.replace("http://", "http://me:secret@") + "/gone"
    with pytest.raises(SourceUnreachable) as caught:
        download(url, tmp_path / "f", retry=NEVER)
    assert "secret" not in str(caught.value)
    assert web.requests[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/a?b=c", "https://***@host/a?b=c"),
        ("see https://token@host:8/ now", "see https://***@host:8/ now"),
        ("https://host/a@b", "https://host/a@b"),
        ("me@host", "me@host"),
    ],
)
def test_credentials_in_urls_are_masked(text: str, shown: str) -> None:
    assert mask(text) == shown
