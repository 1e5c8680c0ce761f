"""Package indexes: found as pip would find it, believed only as far as the digest goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.zoo import pip_config
from paddlesrv.zoo.index import Link, PackageIndex
from paddlesrv.zoo.pip_config import PipConfig, config_from, options_from
from tests.unit.zoo.web import Web

FILE = "tiny_models-1.0-py3-none-any.whl"
DIGEST = "a" * 64
JSON = "application/vnd.pypi.simple.v1+json"


def find(*indexes: str, **config: object) -> Link:
    index = PackageIndex(PipConfig(indexes=indexes, **config))
    try:
        return index.find("Tiny.Models", FILE, DIGEST)
    finally:
        index.close()


def offer(web: Web, form: str, path: str = "/simple", digest: str = DIGEST) -> str:
    if form == "json":
        files = [{"filename": FILE, "url": f"../../f/{FILE}", "hashes": {"sha256": digest}}]
        body, kind = json.dumps({"meta": {"api-version": "1.1"}, "files": files}).encode(), JSON
    else:
        page = f'<html><a href="../../f/{FILE}#sha256={digest}" data-yanked="">{FILE}</a></html>'
        body, kind = page.encode(), "text/html; charset=UTF-8"
    web.put(f"{path}/tiny-models/", body, content_type=kind)
    return web.url + path


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_file_is_found_in_both_forms_of_the_simple_api(web: Web, form: str) -> None:
    assert find(offer(web, form) + "/") == Link(url=f"{web.url}/f/{FILE}", sha256=DIGEST)
    assert JSON in web.requests[0].headers["Accept"]


def test_a_file_is_found_in_a_directory(tmp_path: Path) -> None:
    project = tmp_path / "tiny-models"
    project.mkdir()
    (project / "index.html").write_text(f'<a href="{FILE}#sha256={DIGEST}">x</a>')
    found = find((tmp_path / "none").as_uri(), tmp_path.as_uri())
    assert found.url == (project / FILE).as_uri()


def test_a_file_is_found_among_the_links_of_pip(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    assert find(find_links=(str(tmp_path),)).url == (tmp_path / FILE).as_uri()


def test_indexes_are_asked_in_order_and_missing_projects_skipped(web: Web) -> None:
    web.put("/broken/tiny-models/", b"{", content_type=JSON)
    second = offer(web, "html", "/second")
    assert find(web.url + "/first", web.url + "/broken", second).sha256 == DIGEST
    assert [r.path.split("/")[1] for r in web.requests] == ["first", "broken", "second"]


def test_a_file_that_no_index_has_names_each_index_without_credentials(web: Web) -> None:
    index = web.url.replace("//", "//me:secret@")
    with pytest.raises(SourceUnreachable) as caught:
        find(index + "/simple", index + "/more")
    assert len(caught.value.context) == 2
    assert "secret" not in str(caught.value.context) + str(caught.value)
    assert any("PADDLESRV_INDEX_URL" in hint for hint in caught.value.hints)


@pytest.mark.parametrize("form", ["html", "json"])
def test_an_index_that_has_another_digest_is_not_believed(web: Web, form: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        find(offer(web, form, digest="b" * 64))
    assert "b" * 64 in caught.value.context["got"]


def test_credentials_of_an_index_go_to_its_own_host_only(web: Web) -> None:
    index = offer(web, "html").replace("//", "//me:secret@")
    assert find(index).url == f"{web.url}/f/{FILE}".replace("//", "//me:secret@")
    web.put("/away/tiny-models/", f'<a href="https://example.invalid/{FILE}">x</a>'.encode())
    away = f"{web.url}/away".replace("//", "//me:secret@")
    assert find(away).url == f"https://example.invalid/{FILE}"


def test_pip_is_asked_for_its_own_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://first.invalid/simple\ntrusted-host = first.invalid\n"
        "[download]\nextra-index-url = https://a.invalid https://b.invalid\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    found = pip_config.pip_config()
    assert found.indexes[:1] == ("https://first.invalid/simple",)
    assert found.indexes[1:] == ("https://a.invalid", "https://b.invalid")
    assert found.timeout_seconds == 7
    assert found.trusts("https://first.invalid/x")
    assert not found.trusts("https://a.invalid/x")
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment.invalid/simple")
    assert pip_config.pip_config().indexes[0] == "https://environment.invalid/simple"
    only = pip_config.pip_config("https://mine.invalid/simple")
    assert only.indexes == ("https://mine.invalid/simple",)


def test_without_configuration_pips_default_index_holds() -> None:
    assert config_from("https://default.invalid/simple", {}).indexes == (
        "https://default.invalid/simple",
    )
    closed = config_from("https://default.invalid/simple", {"no-index": "true"})
    assert closed.indexes == ()


def test_options_are_read_as_pip_prints_them() -> None:
    listing = (
        ":env:.index-url='https://e'\nglobal.index-url='https://g'\n"
        "install.cert='/c'\nwheel.cert='/no'\nnoise\nglobal.x=__import__('os')\n"
    )
    assert options_from(listing) == {"index-url": "https://e", "cert": "/c"}


def test_without_pip_the_error_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pip_config.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(SourceUnreachable) as caught:
        pip_config.pip_config()
    assert any("PADDLESRV_INDEX_URL" in hint for hint in caught.value.hints)
    assert pip_config.pip_config("https://mine.invalid").indexes == ("https://mine.invalid",)
