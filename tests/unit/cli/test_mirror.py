"""`mirror`: made on one machine, carried to another, and nothing else is asked there."""

import functools
import hashlib
import json
import shutil
import socket
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from paddlesrv.errors import IntegrityError
from paddlesrv.settings import Settings
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.mirror_directory import MirrorDirectory
from paddlesrv.zoo.mirroring import MirrorWriter
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.store import Store
from tests.unit.cli.shelf import BODY, FILE, entries
from tests.unit.zoo import models
from tests.unit.zoo.web import cut

NEVER = Retry(delays=(), connect_delays=())
ARCHIVE = models.serving_archive()


class Files(SimpleHTTPRequestHandler):
    """Python's own static web server, silent."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """Serves a directory; its URL."""
    stops = []

    def start(directory):
        handler = functools.partial(Files, directory=str(directory))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        stops.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in stops:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def only(monkeypatch):
    """From now on, no process is started and no socket reaches anything but this URL."""

    def close(url):
        real = socket.socket.connect
        port = int(url.rpartition(":")[2]) if url else None

        def connect(self, address):
            assert address == ("127.0.0.1", port), f"reached for {address}"
            return real(self, address)

        def refused(*arguments, **options):
            raise AssertionError("a process was started")

        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(subprocess, "run", refused)

    return close


@pytest.mark.parametrize("form", ["url", "directory"])
def test_a_pipeline_is_carried_to_a_machine_without_a_network(
    form, shelf, paddlesrv, serve, only, monkeypatch, tmp_path
):
    made, carried = tmp_path / "made", tmp_path / "carried"
    assert paddlesrv("mirror", str(made), "pipe").code == 0
    assert shelf.downloads == 1
    assert (made / "det" / FILE).read_bytes() == (made / "rec" / FILE).read_bytes()
    shutil.copytree(made, carried)
    url = serve(carried) if form == "url" else ""
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("PADDLESRV_MIRROR", url or str(carried))
    asked = len(shelf.web.requests)
    only(url)
    assert paddlesrv("get", "pipe", "-q").out.splitlines() == ["det", "rec", "pipe"]
    assert paddlesrv("verify").code == 0
    assert len(shelf.web.requests) == asked


def test_the_catalogue_goes_along_and_can_be_taken_from_there(
    shelf, paddlesrv, serve, monkeypatch, tmp_path
):
    labelled = models.entry("own_net", entries()[0]["sources"][0], files={"x": "zoo:labels/x.txt"})
    (shelf.manifest.parent / "labels").mkdir()
    (shelf.manifest.parent / "labels" / "x.txt").write_text("one\n")
    data = shelf.write([labelled], published="2090-01-01")
    made = tmp_path / "made"
    assert paddlesrv("mirror", str(made), "--all").code == 0
    assert (made / "manifest.yaml").read_bytes() == data
    monkeypatch.setenv("PADDLESRV_CATALOGUE", str(made / "manifest.yaml"))
    monkeypatch.setenv("PADDLESRV_MIRROR", str(made))
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "other"))
    assert paddlesrv("get", "own_net").code == 0


def test_every_file_is_listed_as_sha256sum_reads_it(shelf, paddlesrv, tmp_path):
    made = tmp_path / "made"
    assert paddlesrv("mirror", str(made), "det").code == 0
    assert paddlesrv("mirror", str(made), "rec").code == 0
    listed = {
        name: digest
        for digest, name in (
            line.split("  ", 1) for line in (made / "SHA256SUMS").read_text().splitlines()
        )
    }
    own = {"SHA256SUMS", "index.json", ".paddlesrv/lock"}
    files = {str(p.relative_to(made)): p for p in made.rglob("*") if p.is_file()}
    assert set(files) - own == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest
    index = json.loads((made / "index.json").read_text())
    assert set(index["models"]) == {"det", "rec"}
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        subprocess.run(command, cwd=made, check=True, capture_output=True)


def test_what_is_there_and_right_is_not_fetched_and_what_is_damaged_is(shelf, paddlesrv, tmp_path):
    made = tmp_path / "made"
    dry = paddlesrv("mirror", str(made), "pipe", "--dry-run", "--json").document
    assert [model["fetched"] for model in dry["models"]] == [[f"det/{FILE}"], [f"rec/{FILE}"], []]
    assert not made.exists()
    assert shelf.downloads == 0
    assert paddlesrv("mirror", str(made), "pipe").code == 0
    inode = (made / "rec" / FILE).stat().st_ino
    again = paddlesrv("mirror", str(made), "pipe", "--json").document
    assert [model["fetched"] for model in again["models"]] == [[], [], []]
    assert shelf.downloads == 1
    (made / "det" / FILE).write_bytes(b"rot")
    ended = paddlesrv("mirror", str(made), "pipe")
    assert f"mirrored det (det/{FILE}" in ended.out
    assert "ok rec (here already)" in ended.out
    assert (made / "det" / FILE).read_bytes() == BODY
    assert (made / "rec" / FILE).stat().st_ino == inode
    assert shelf.downloads == 2


def test_what_cannot_be_mirrored_is_said(shelf, paddlesrv, tmp_path):
    made = tmp_path / "made"
    ended = paddlesrv("mirror", str(made), "--all")
    assert ended.code == 0
    assert "not mirrored lost: nobody offers its files" in ended.out
    ended = paddlesrv("mirror", str(made), "lost")
    assert ended.code == 2
    assert "hint: Export it yourself." in ended.err
    assert paddlesrv("mirror", str(made), "nonesuch").code == 3
    assert paddlesrv("mirror", str(made)).code == 2
    assert paddlesrv("mirror", str(made), "det", "--all").code == 2
    own = Store(tmp_path / "home" / "cache").models_dir / "mine"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.symlink_to("nowhere")
    ended = paddlesrv("mirror", str(made), "mine")
    assert ended.code == 2
    assert "own model" in ended.err


def test_one_that_fails_does_not_stop_the_others(shelf, paddlesrv, tmp_path):
    missing = models.wheel_source("none-1.whl", b"x", {"a/": "./"})
    shelf.write([models.entry("broken", missing), *entries()])
    ended = paddlesrv("mirror", str(tmp_path / "made"), "broken", "det", "--json")
    assert ended.code == 4
    broken, det = ended.document["models"]
    assert broken["error"]
    assert det["fetched"] == [f"det/{FILE}"]
    assert paddlesrv("mirror", str(tmp_path / "made"), "det", "--offline").code == 0
    assert paddlesrv("mirror", str(tmp_path / "made"), "rec", "--offline").code == 4


def test_two_writers_do_not_meet(shelf, paddlesrv, tmp_path):
    with MirrorDirectory(tmp_path / "made").alone():
        assert paddlesrv("mirror", str(tmp_path / "made"), "det").code == 7


class TestFilesThatNobodyPublishedADigestOf:
    """Sources at plain addresses, through the library: manifests name https alone."""

    @pytest.fixture
    def mirrored(self, web, tmp_path):
        """Mirrors these entries; what became of each."""

        def mirror(*every, home="a", retry=NEVER):
            catalogue = models.catalogue(tmp_path, *every)
            store = Store(tmp_path / home)
            writer = MirrorWriter(tmp_path / "made", catalogue, store, Settings(), retry=retry)
            return catalogue, list(writer.write(catalogue.entries))

        return mirror

    def get(self, catalogue, tmp_path, mirror):
        store = Store(tmp_path / "b")
        settings = Settings(mirror=str(mirror))
        return store, Installer(catalogue, store, settings, retry=NEVER).get(
            [entry.name for entry in catalogue.entries]
        )

    def test_the_mirrors_own_digests_are_pinned_where_it_is_read(self, web, mirrored, tmp_path):
        url = web.put("/m.tar.gz", ARCHIVE)
        catalogue, _ = mirrored(models.entry("m1", models.https(url)))
        store, _ = self.get(catalogue, tmp_path, tmp_path / "made")
        assert store.pins.get(url) == models.sha256(ARCHIVE)

    @pytest.mark.parametrize("form", ["url", "directory"])
    def test_a_copy_that_was_damaged_on_its_way_is_refused(
        self, form, web, mirrored, serve, tmp_path
    ):
        url = web.put("/m.tar.gz", ARCHIVE)
        catalogue, _ = mirrored(models.entry("m1", models.https(url)))
        # A whole and good archive, but another one: nothing but the digest tells.
        (tmp_path / "made" / "m1" / "m.tar.gz").write_bytes(models.serving_archive("other"))
        mirror = serve(tmp_path / "made") if form == "url" else tmp_path / "made"
        with pytest.raises(IntegrityError) as caught:
            self.get(catalogue, tmp_path, mirror)
        assert "SHA256SUMS" in " ".join(caught.value.context.values())
        assert "paddlesrv mirror DIRECTORY MODEL" in caught.value.hints[0]

    def test_a_mirror_without_a_list_is_taken_at_its_word(self, web, mirrored, serve, tmp_path):
        url = web.put("/m.tar.gz", ARCHIVE)
        catalogue, _ = mirrored(models.entry("m1", models.https(url)))
        (tmp_path / "made" / "SHA256SUMS").unlink()
        self.get(catalogue, tmp_path, serve(tmp_path / "made"))

    def test_a_login_page_is_not_offered_to_others(self, web, mirrored, tmp_path):
        url = web.put("/m.tar.gz", b"<html>Sign in</html>")
        _, (done,) = mirrored(models.entry("m1", models.https(url)))
        assert done.error is not None
        assert done.error.exit_code == 5
        assert not list((tmp_path / "made").rglob("m.tar.gz"))
        assert Store(tmp_path / "a").pins.get(url) is None

    def test_names_that_urls_must_quote_and_extras_come_through(
        self, web, mirrored, serve, tmp_path
    ):
        name = "w+d&x.y_z"
        url = web.put("/m%20odd.tar.gz", ARCHIVE)
        words = web.put("/words.txt", b"one\ntwo\n")
        extra = {"source": models.https(words), "into": "vocab/"}
        catalogue, (done,) = mirrored(
            models.entry(
                name, models.https(url), extras=[extra], files={"words": "vocab/words.txt"}
            )
        )
        assert done.error is None
        assert set(done.fetched) == {f"{name}/m_odd.tar.gz", f"{name}/words.txt"}
        _, (model,) = self.get(catalogue, tmp_path, serve(tmp_path / "made"))
        assert (model.path / "vocab" / "words.txt").read_bytes() == b"one\ntwo\n"

    def test_the_next_source_is_taken_where_the_first_fails(self, web, mirrored, serve, tmp_path):
        gone = models.https(web.url + "/gone.tar.gz")
        url = web.put("/m.tar.gz", ARCHIVE)
        catalogue, (done,) = mirrored(models.entry("m1", gone, models.https(url)))
        assert done.fetched == ("m1/m.tar.gz",)
        self.get(catalogue, tmp_path, serve(tmp_path / "made"))

    def test_a_cut_download_is_continued(self, web, mirrored):
        url = web.put("/m.tar.gz", ARCHIVE, faults=[cut(len(ARCHIVE) // 2)])
        _, (done,) = mirrored(models.entry("m1", models.https(url)))
        assert done.error is not None
        _, (done,) = mirrored(models.entry("m1", models.https(url)))
        assert done.fetched == ("m1/m.tar.gz",)
        assert web.bytes_sent == len(ARCHIVE)

    def test_two_files_of_one_name_are_refused(self, web, mirrored):
        url, other = web.put("/a/m.tar.gz", ARCHIVE), web.put("/b/m.tar.gz", ARCHIVE)
        extra = {"source": models.https(other), "into": "x/"}
        _, (done,) = mirrored(models.entry("m1", models.https(url), extras=[extra]))
        assert done.refusal == "two of its files are called m.tar.gz"
