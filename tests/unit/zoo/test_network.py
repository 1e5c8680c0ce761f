"""Speaking HTTP with what a user's machine is set up for: netrc, proxies, certificates."""

from __future__ import annotations

import gzip
import hashlib
import random
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError, SourceUnreachable, UsageError
from paddlesrv.zoo.network import Retry
from tests.unit.zoo import models
from tests.unit.zoo.proxy import Proxy
from tests.unit.zoo.test_download import download
from tests.unit.zoo.web import Web, cut, redirect

BODY = random.Random(5).randbytes(100_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
NEVER = Retry(delays=(), connect_delays=())
AT_ONCE = Retry(delays=(0.0,), connect_delays=(0.0,))


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without a netrc file, and an environment without proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl to make a certificate")
    place = tmp_path_factory.mktemp("tls")
    made = place / "certificate.pem", place / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", made[0], "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def login(web: Web, number: int = 0) -> str | None:
    return web.requests[number].headers.get("Authorization")


def test_the_netrc_file_logs_in_where_it_knows_the_host(
    web: Web, user: Path, tmp_path: Path
) -> None:
    url = web.put("/f", BODY)
    download(url, tmp_path / "f", retry=NEVER)
    assert login(web) is None
    (user / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (user / ".netrc").chmod(0o600)
    download(url, tmp_path / "f", retry=NEVER)
    assert login(web, 1) == "Basic bWU6c2VjcmV0"
    download(url.replace("127.0.0.1", "localhost"), tmp_path / "f", retry=NEVER)
    assert login(web, 2) is None


def test_another_netrc_file_can_be_named(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "my netrc"
    named.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(named))
    download(web.put("/f", BODY), tmp_path / "f", retry=NEVER)
    assert login(web) == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("named", [False, True])
def test_a_netrc_file_that_makes_no_sense_is_said(
    web: Web, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    path = user / ".netrc"
    path.write_text("machine 127.0.0.1 nonsense\n")
    path.chmod(0o600)
    if named:
        monkeypatch.setenv("NETRC", str(path))
    with pytest.raises(UsageError, match=r"netrc file .* cannot be used") as caught:
        download(web.put("/f", BODY), tmp_path / "f", retry=NEVER)
    assert str(path) in caught.value.message
    assert web.requests == []


def test_a_netrc_file_that_is_named_and_missing_is_said(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="netrc"):
        download(web.put("/f", BODY), tmp_path / "f", retry=NEVER)


@pytest.mark.parametrize("source", ["url", "netrc"])
def test_a_redirect_to_another_host_does_not_take_the_password_along(
    web: Web, user: Path, tmp_path: Path, source: str
) -> None:
    with Web() as other:
        other.put("/there", BODY)
        away = other.url.replace("127.0.0.1", "localhost") + "/there"
        url = web.put("/f", b"", faults=[redirect(away)])
        if source == "url":
            url = url.replace("http://", "http://me:secret@")
        else:
            (user / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
            (user / ".netrc").chmod(0o600)
        download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
        assert login(web) == "Basic bWU6c2VjcmV0"
        assert login(other) is None
        assert (tmp_path / "f").read_bytes() == BODY


def test_the_environment_s_proxy_is_used_also_after_a_cut(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/f", BODY, faults=[cut(1000)])
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        download(url, tmp_path / "f", sha256=SHA256, retry=AT_ONCE)
        assert proxy.asked == [f"GET {url}"] * 2
    assert (tmp_path / "f").read_bytes() == BODY


def test_hosts_that_need_no_proxy_are_asked_themselves(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        download(web.put("/f", BODY), tmp_path / "f", sha256=SHA256, retry=NEVER)
        assert proxy.asked == []


def test_https_goes_through_the_proxy_s_tunnel(
    certificate: tuple[Path, Path],
    tls: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Web(tls) as web, Proxy() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        download(web.put("/f", BODY), tmp_path / "f", sha256=SHA256, retry=NEVER)
        assert proxy.asked == ["CONNECT " + web.url.removeprefix("https://")]
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_certificate_that_nobody_signed_is_refused_at_once(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with Web(tls) as web:
        with pytest.raises(SourceUnreachable, match="certificate cannot be verified"):
            download(web.put("/f", BODY), tmp_path / "f", retry=Retry(connect_delays=(3600.0,)))
        assert web.requests == []


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}, {"sha256": SHA256, "size": len(BODY)}])
def test_what_is_compressed_on_the_way_arrives_as_it_was(
    web: Web, tmp_path: Path, known: dict[str, object]
) -> None:
    url = web.put("/labels.txt", gzip.compress(BODY), encoding="gzip", etag=None)
    assert download(url, tmp_path / "f", retry=NEVER, **known) == SHA256
    assert (tmp_path / "f").read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["f"]


@pytest.mark.parametrize("known", ["nothing", "digest", "size"])
def test_an_archive_that_is_called_gzip_encoded_stays_an_archive(
    web: Web, tmp_path: Path, known: str
) -> None:
    archive = models.serving_archive()
    url = web.put("/m.tar.gz", archive, encoding="gzip")
    facts = {
        "nothing": {},
        "digest": {"sha256": models.sha256(archive)},
        "size": {"size": len(archive)},
    }
    download(url, tmp_path / "f", retry=NEVER, **facts[known])
    assert (tmp_path / "f").read_bytes() == archive


def test_an_encoded_download_is_continued_as_it_is_on_the_wire(web: Web, tmp_path: Path) -> None:
    encoded = gzip.compress(BODY)
    url = web.put("/f", encoded, encoding="gzip", faults=[cut(50_000)])
    with pytest.raises(SourceUnreachable):
        download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    download(url, tmp_path / "f", sha256=SHA256, retry=NEVER)
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(encoded)


@pytest.mark.parametrize(
    "body",
    [b"no gzip at all", gzip.compress(BODY)[:-9], gzip.compress(bytes(300_000_000), 9)],
    ids=["not-gzip", "cut", "bomb"],
)
def test_what_cannot_be_decoded_is_refused(web: Web, tmp_path: Path, body: bytes) -> None:
    url = web.put("/labels.txt", body, encoding="gzip")
    with pytest.raises(IntegrityError):
        download(url, tmp_path / "f", retry=NEVER)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_an_encoding_that_is_unknown_is_named(web: Web, tmp_path: Path) -> None:
    url = web.put("/labels.txt", BODY, encoding="br")
    with pytest.raises(SourceUnreachable, match="encoding that was not asked for"):
        download(url, tmp_path / "f", retry=NEVER)


def test_more_than_was_said_is_no_file(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", BODY + b"more", length=False)
    with pytest.raises(IntegrityError, match="more than it said"):
        download(url, tmp_path / "f", size=len(BODY), retry=NEVER)
    assert not (tmp_path / "f").exists()
