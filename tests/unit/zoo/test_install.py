"""Getting models: whole, verified and visible at once, or not at all."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from paddlesrv.errors import IntegrityError, NotFound, SourceUnreachable, UsageError
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.progress import SilentObserver
from paddlesrv.zoo.store import Store
from tests.unit.zoo import models
from tests.unit.zoo.web import Web, cut, stall

NEVER = Retry(delays=(), connect_delays=())
ARCHIVE = models.serving_archive()
NOISE = random.Random(1).randbytes(8_000_000)


class Listener(SilentObserver):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.sources: list[tuple[str, str]] = []

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        self.sources.append((model, kind))

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def installer(
    catalogue: Catalogue, store: Store, observer: Any = None, **settings: Any
) -> Installer:
    return Installer(catalogue, store, Settings(**settings), observer, retry=NEVER)


def nothing_visible(store: Store) -> bool:
    return store.installed_models() == [] and not list(store.root.glob("models/*"))


def test_a_model_of_the_ancestors_zoo_installs_with_its_names(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/ocr/ocr_det.tar.gz", ARCHIVE)
    entry = models.entry("ocr_det", models.https(url), layout={"server_dir": "ocr_det_model"})
    (model,) = installer(models.catalogue(tmp_path, entry), store).get(["ocr_det"])
    assert model.path == store.root / "models" / "ocr_det"
    assert model.spec.format == "paddle-program"
    assert model.spec.program == "ocr_det_model/__model__"
    assert model.spec.params == "ocr_det_model/__params__"
    assert (model.path / model.spec.program).read_bytes() == models.PROGRAM
    assert [t.name for t in model.spec.inputs] == ["x"]
    assert model.spec.output_by_role("map").name == "conv2d_0.tmp_1"
    assert model.spec.aliases == {"image": "x", "concat_1.tmp_0": "conv2d_0.tmp_1"}
    assert model.sha256 == models.sha256(ARCHIVE)
    assert (model.source, model.where) == ("https", url)
    assert len(model.spec.digests) == 4
    store.verify_digests(model)
    assert store.installed("ocr_det") == model
    assert store.leftovers() == []


def test_what_is_installed_opens_no_connection(web: Web, store: Store, tmp_path: Path) -> None:
    url = web.put("/m.tar.gz", ARCHIVE)
    get = installer(models.catalogue(tmp_path, models.entry("m1", models.https(url))), store).get
    first = get(["m1"])
    asked = len(web.requests)
    assert get(["M1"]) == first
    assert len(web.requests) == asked
    get(["m1"], force=True)
    assert len(web.requests) == asked + 1


def test_wrong_bytes_at_one_source_lead_to_the_next(web: Web, store: Store, tmp_path: Path) -> None:
    good, digest = web.put("/good/m.tar.gz", ARCHIVE), models.sha256(ARCHIVE)
    bad = web.put("/bad/m.tar.gz", models.serving_archive("other"))
    gone = web.url + "/gone/m.tar.gz"
    sources = [models.https(url, sha256=digest) for url in (gone, bad, good)]
    listener = Listener()
    catalogue = models.catalogue(tmp_path, models.entry("m1", *sources))
    (model,) = installer(catalogue, store, listener).get(["m1"])
    assert model.where == good
    assert len(listener.warnings) == 2


def test_only_wrong_bytes_is_an_error_of_integrity_and_publishes_nothing(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/m.tar.gz", ARCHIVE)
    source = models.https(url, sha256="0" * 64)
    with pytest.raises(IntegrityError) as caught:
        installer(models.catalogue(tmp_path, models.entry("m1", source)), store).get(["m1"])
    told = " ".join(caught.value.context.values())
    assert "0" * 64 in told
    assert models.sha256(ARCHIVE) in told
    assert nothing_visible(store)
    assert store.leftovers() == []


def test_no_source_left_names_each_with_its_reason(web: Web, store: Store, tmp_path: Path) -> None:
    cut_off = web.put("/b/m.tar.gz", ARCHIVE, faults=[cut(100)])
    sources = [models.https(web.url + "/a/m.tar.gz"), models.https(cut_off)]
    with pytest.raises(SourceUnreachable) as caught:
        installer(models.catalogue(tmp_path, models.entry("m1", *sources)), store).get(["m1"])
    assert caught.value.exit_code == 4
    assert any("404" in text for text in caught.value.context.values())
    assert any("100 bytes" in text for text in caught.value.context.values())
    assert any("PADDLESRV_MIRROR" in hint for hint in caught.value.hints)
    assert any("--from" in hint for hint in caught.value.hints)
    assert nothing_visible(store)


def test_a_cut_download_is_continued_by_the_next_get(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/m.tar.gz", ARCHIVE, faults=[cut(len(ARCHIVE) // 2)])
    get = installer(models.catalogue(tmp_path, models.entry("m1", models.https(url))), store).get
    with pytest.raises(SourceUnreachable):
        get(["m1"])
    get(["m1"])
    assert web.bytes_sent == len(ARCHIVE)


def test_a_login_page_is_not_taken_for_a_model_nor_pinned(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/m.tar.gz", b"<html>Sign in to the network</html>")
    get = installer(models.catalogue(tmp_path, models.entry("m1", models.https(url))), store).get
    with pytest.raises(IntegrityError):
        get(["m1"])
    assert nothing_visible(store)
    web.put("/m.tar.gz", ARCHIVE, etag='"two"')
    assert get(["m1"])[0].name == "m1"


def test_a_digest_that_nobody_published_is_pinned_at_the_first_download(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/m.tar.gz", ARCHIVE)
    get = installer(models.catalogue(tmp_path, models.entry("m1", models.https(url))), store).get
    before = get(["m1"])
    web.put("/m.tar.gz", models.serving_archive("changed"), etag='"two"')
    with pytest.raises(IntegrityError) as caught:
        get(["m1"], force=True)
    assert any("pins.json" in hint for hint in caught.value.hints)
    assert store.installed("m1") == before[0]


@pytest.mark.parametrize("form", ["url", "directory", "file-url"])
def test_a_mirror_is_asked_and_nobody_else(
    web: Web, store: Store, tmp_path: Path, form: str
) -> None:
    directory = tmp_path / "mirror"
    (directory / "a+b").mkdir(parents=True)
    (directory / "a+b" / "m.tar.gz").write_bytes(ARCHIVE)
    web.put("/mirror/a%2Bb/m.tar.gz", ARCHIVE)
    mirror = {
        "url": web.url + "/mirror/", "directory": str(directory), "file-url": directory.as_uri()
    }[form]  # fmt: skip
    entry = models.entry("a+b", models.https(web.url + "/elsewhere/m.tar.gz"))
    (model,) = installer(models.catalogue(tmp_path, entry), store, mirror=mirror).get(["a+b"])
    assert model.source == "mirror"
    assert {r.path for r in web.requests} <= {"/mirror/a%2Bb/m.tar.gz", "/mirror/SHA256SUMS"}


def test_a_mirror_with_wrong_bytes_is_refused(store: Store, tmp_path: Path) -> None:
    directory = tmp_path / "mirror" / "m1"
    directory.mkdir(parents=True)
    (directory / "m.tar.gz").write_bytes(models.serving_archive("other"))
    source = models.https("https://example.invalid/m.tar.gz", sha256=models.sha256(ARCHIVE))
    catalogue = models.catalogue(tmp_path, models.entry("m1", source))
    with pytest.raises(IntegrityError):
        installer(catalogue, store, mirror=str(directory.parent)).get(["m1"])
    assert nothing_visible(store)


@pytest.mark.parametrize("kind", ["archive", "directory"])
def test_files_that_the_user_has_are_taken_from_there(
    store: Store, tmp_path: Path, kind: str
) -> None:
    if kind == "archive":
        place = tmp_path / "downloaded.tar.gz"
        place.write_bytes(ARCHIVE)
    else:
        place = tmp_path / "exported"
        place.mkdir()
        (place / "inference.pdmodel").write_bytes(models.PROGRAM)
        (place / "inference.pdiparams").write_bytes(models.PARAMS)
    entry = models.entry("m1", status="needs-export", notes=["Export it with PaddleNLP."])
    get = installer(models.catalogue(tmp_path, entry), store, offline=True).get
    with pytest.raises(SourceUnreachable) as caught:
        get(["m1"])
    assert "Export it with PaddleNLP." in caught.value.hints
    (model,) = get(["m1"], from_=str(place))
    assert model.source == "from"


def test_from_is_for_one_model(store: Store, tmp_path: Path) -> None:
    source = models.https("https://example.invalid/m.tar.gz")
    catalogue = models.catalogue(tmp_path, models.entry("m1", source), models.entry("m2", source))
    with pytest.raises(UsageError):
        installer(catalogue, store).get(["m1", "m2"], from_="x.tar.gz")
    with pytest.raises(UsageError, match="wheel"):
        installer(catalogue, store).get(["m1"], source="wheel")
    with pytest.raises(NotFound):
        installer(catalogue, store).get(["nobody"])


def test_offline_opens_no_socket_and_says_what_to_do(
    web: Web, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/m.tar.gz", ARCHIVE)
    body = models.wheel()
    entries = [
        models.entry("here", models.https(url)),
        models.entry(
            "there",
            models.https(url + "x"),
            models.wheel_source("t.whl", body, {"tiny_models/tiny/": "./"}),
        ),
    ]
    catalogue = models.catalogue(tmp_path, *entries)
    installer(catalogue, store).get(["here"])

    def refused(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(subprocess, "run", refused)
    offline = installer(catalogue, store, offline=True)
    assert [m.name for m in offline.get(["here"])] == ["here"]
    with pytest.raises(SourceUnreachable, match="offline") as caught:
        offline.get(["there"])
    assert any("PADDLESRV_OFFLINE" in hint for hint in caught.value.hints)


def test_one_wheel_for_several_models_and_their_pipeline_is_fetched_once(
    web: Web, store: Store, tmp_path: Path
) -> None:
    body = models.wheel()
    web.put("/files/tiny_models-1.0-py3-none-any.whl", body)
    web.put(
        "/simple/tiny-models/",
        b'<a href="/files/tiny_models-1.0-py3-none-any.whl">file</a>',
        content_type="text/html",
    )
    source = models.wheel_source(
        "tiny_models-1.0-py3-none-any.whl",
        body,
        {"tiny_models/tiny/": "./", "tiny_models/labels.txt": "labels.txt"},
    )
    catalogue = models.catalogue(
        tmp_path,
        models.entry("det", source),
        models.entry("rec", source, files={"characters": "labels.txt"}),
        models.entry(
            "ocr2", task="ocr", status="pipeline", outputs=[],
            components={"detection": "det", "recognition": "rec"},
        ),
    )  # fmt: skip
    found = installer(catalogue, store, index_url=web.url + "/simple").get(["ocr2"])
    assert [m.name for m in found] == ["det", "rec", "ocr2"]
    assert sum(r.path.startswith("/files/") for r in web.requests) == 1
    assert found[2].spec.format == "pipeline"
    assert found[2].spec.components == {"detection": "det", "recognition": "rec"}
    assert (found[1].path / found[1].spec.files["characters"]).read_text() == "text\n"
    assert not (found[0].path / "__init__.py").exists()


def test_an_evil_archive_publishes_nothing(web: Web, store: Store, tmp_path: Path) -> None:
    url = web.put("/m.tar.gz", models.tar_gz({"../evil": b"", "m/__model__": models.PROGRAM}))
    with pytest.raises(IntegrityError):
        installer(models.catalogue(tmp_path, models.entry("m1", models.https(url))), store).get(
            ["m1"]
        )
    assert nothing_visible(store)
    assert not list(tmp_path.rglob("evil"))


def test_a_plan_names_the_sources_and_touches_nothing(
    web: Web, store: Store, tmp_path: Path
) -> None:
    url = web.put("/m.tar.gz", ARCHIVE)
    catalogue = models.catalogue(tmp_path, models.entry("m1", models.https(url, size=5)))
    (planned,) = installer(catalogue, store).plan(["m1"])
    assert not planned.installed
    assert [(s.kind, s.where, s.size) for s in planned.sources] == [("https", url, 5)]
    assert web.requests == []
    assert not store.root.exists()


PROGRAM = (
    "import sys; from pathlib import Path\n"
    "from paddlesrv.settings import Settings\n"
    "from paddlesrv.zoo.catalogue import Catalogue\n"
    "from paddlesrv.zoo.install import Installer\n"
    "from paddlesrv.zoo.store import Store\n"
    "manifest, store, mirror = sys.argv[1:]\n"
    "catalogue = Catalogue.load(Path(manifest))\n"
    "installer = Installer(catalogue, Store(Path(store)), Settings(mirror=mirror))\n"
    "print(installer.get(['m1'])[0].spec.revision)\n"
)


def process_that_gets_m1(store: Store, manifest: Path, mirror: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(manifest), str(store.root), mirror]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_get_one_model_at_once_agree(web: Web, store: Store, tmp_path: Path) -> None:
    url = web.put("/m1/m.tar.gz", ARCHIVE)
    path = models.catalogue(tmp_path, models.entry("m1", models.https(url))).path
    processes = [process_that_gets_m1(store, path, web.url) for _ in range(3)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    installed = store.installed("m1")
    assert installed is not None
    assert answers == {installed.spec.revision + "\n"}
    assert web.bytes_sent == len(ARCHIVE)
    assert store.leftovers() == []


def test_a_get_that_is_killed_leaves_nothing_visible_and_the_next_fetches_the_rest(
    web: Web, store: Store, tmp_path: Path
) -> None:
    # Big enough that the client has written some of it when the server has sent it.
    archive = models.tar_gz(
        {"m/x.pdmodel": models.PROGRAM, "m/x.pdiparams": models.PARAMS, "m/noise": NOISE}
    )
    reached, release = threading.Event(), threading.Event()
    sent = len(archive) - 1000
    url = web.put("/m1/m.tar.gz", archive, faults=[stall(sent, reached, release)])
    catalogue = models.catalogue(tmp_path, models.entry("m1", models.https(url)))
    process = process_that_gets_m1(store, catalogue.path, web.url)
    assert reached.wait(60)
    process.kill()
    process.communicate()
    release.set()
    assert nothing_visible(store)
    kept = sum(path.stat().st_size for path in store.partial_dir.glob("*.part"))
    assert 0 < kept <= sent
    installer(catalogue, store, mirror=web.url).get(["m1"])
    assert web.bytes_sent == sent + len(archive) - kept
    assert store.leftovers() == []
