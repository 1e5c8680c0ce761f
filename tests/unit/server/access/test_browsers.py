"""Host and Origin headers: which are taken, which are refused."""

from __future__ import annotations

import pytest

from paddlesrv.errors import Forbidden, UsageError
from paddlesrv.server.access.hosts import Hosts
from paddlesrv.server.access.origins import Origins


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9393", "localhost.", "a.localhost:1", "127.0.0.1:9393", "127.9.9.9",
     "[::1]:9393", "[::1]", None],
)  # fmt: skip
def test_the_loopbacks_own_names_are_taken(host: str | None) -> None:
    Hosts.of(None, loopback=True).check(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9393", "localhost.evil.example", "127.0.0.1.evil.example",
     "10.0.0.5", "evil.example@localhost", "localhost/", "localhost:9393:1", "", "[::2]", "x y",
     "notlocalhost", "2130706433"],
)  # fmt: skip
def test_other_names_are_refused_on_the_loopback(host: str) -> None:
    with pytest.raises(Forbidden):
        Hosts.of(None, loopback=True).check(host)


def test_names_that_are_allowed_are_taken_besides() -> None:
    for loopback in (True, False):
        hosts = Hosts.of("models.example.com, 10.0.0.5", loopback=loopback)
        for name in ("models.example.com:443", "Models.Example.Com", "10.0.0.5", "localhost"):
            hosts.check(name)
        with pytest.raises(Forbidden, match=r"evil\.example"):
            hosts.check("evil.example")


def test_beyond_the_loopback_any_name_is_taken() -> None:
    Hosts.of(None, loopback=False).check("evil.example")


@pytest.mark.parametrize("names", ["", "a,,b", "a:80", "http://a", "a b"])
def test_what_is_no_name_is_refused(names: str) -> None:
    with pytest.raises(UsageError, match="no host name"):
        Hosts.of(names, loopback=True)


def test_by_default_pages_of_no_other_site_may_ask() -> None:
    origins = Origins.of(None)
    origins.check(None, "127.0.0.1:9393")
    origins.check("http://127.0.0.1:9393", "127.0.0.1:9393")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9394", ""):
        with pytest.raises(Forbidden):
            origins.check(origin, "127.0.0.1:9393")
    with pytest.raises(Forbidden):
        origins.preflight("http://127.0.0.1:9393")
    assert origins.headers("http://evil.example") == ()


def test_sites_that_are_named_may() -> None:
    origins = Origins.of("https://a.example, http://localhost:3000")
    origins.check("https://a.example", "models")
    shown = dict(origins.preflight("http://localhost:3000"))
    assert shown[b"access-control-allow-origin"] == b"http://localhost:3000"
    assert b"authorization" in shown[b"access-control-allow-headers"]
    assert b"access-control-allow-credentials" not in shown
    for origin in ("https://b.example", "https://a.example.evil", "http://a.example", "null"):
        with pytest.raises(Forbidden):
            origins.check(origin, "models")
        assert dict(origins.headers(origin)) == {b"vary": b"origin"}


def test_any_site_may_if_that_is_said() -> None:
    origins = Origins.of("*")
    origins.check("https://evil.example", None)
    assert dict(origins.headers("https://a.example"))[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize("text", ["", "example.com", "https://a/", "ftp://a", "https://A.example"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no origin"):
        Origins.of(text)
