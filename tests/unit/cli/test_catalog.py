"""`catalog show|check|update`: which list is in force, whether its addresses answer, newer ones."""

import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from paddlesrv.zoo.catalogue import Catalogue, data_directory
from paddlesrv.zoo.catalogue_choice import builtin_published, load_catalogue
from tests.unit.cli.shelf import FILE, SOURCE
from tests.unit.zoo import models
from tests.unit.zoo.test_minisign import Signer

SIGNER = Signer()
BUILT_IN = len(Catalogue.load().entries)
ENTRY = models.entry("new_net", SOURCE, files={"labels": "zoo:labels/coco.txt"})
LATER, EARLIER = "2090-01-01T00:00:00Z", "2000-01-01T00:00:00Z"


def manifest(published=LATER, *entries):
    head = {"schema": 1, "models": list(entries or (ENTRY,))}
    return msgspec.yaml.encode(head | ({"published": published} if published else {}))


@pytest.fixture
def offered(home, web):
    """Puts a signed manifest on the web server; its URL."""

    def offer(data, signature=None):
        web.put("/c.yaml", data, content_type="text/yaml")
        web.put("/c.yaml.minisig", SIGNER.sign(data) if signature is None else signature)
        return f"{web.url}/c.yaml"

    return offer


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree(home):
    state = home / "state"
    return {p: p.read_bytes() for p in state.rglob("*") if p.is_file() and p.name != "lock"}


class TestUpdate:
    @pytest.mark.parametrize("how", ["digest", "key", "key file", "setting", "both"])
    def test_a_newer_one_with_a_right_digest_or_signature_is_in_force(
        self, how, home, offered, paddlesrv, monkeypatch, tmp_path
    ):
        data = manifest()
        (tmp_path / "k.pub").write_text(f"untrusted comment: x\n{SIGNER.public}\n")
        flags = {
            "digest": ["--sha256", sha256(data)],
            "key": ["--public-key", SIGNER.public],
            "key file": ["--public-key", str(tmp_path / "k.pub")],
            "setting": [],
            "both": ["--sha256", sha256(data).upper(), "--public-key", SIGNER.public],
        }[how]
        if how == "setting":
            monkeypatch.setenv("PADDLESRV_CATALOGUE_KEY", SIGNER.public)
        url = offered(data)
        dry = paddlesrv("catalog", "update", "--url", url, *flags, "--dry-run", "--json")
        assert dry.code == 0
        assert dry.document["changes"]["added"] == ["new_net"]
        assert len(dry.document["changes"]["removed"]) == BUILT_IN
        assert tree(home) == {}
        assert paddlesrv("catalog", "update", "--url", url, *flags).code == 0
        assert paddlesrv("list", "-q").out == "new_net\n"
        record = paddlesrv("catalog", "show", "--json").document
        assert record["origin"] == "updated"
        assert record["update"]["url"] == url
        assert record["update"]["sha256"] == sha256(data)
        assert (record["update"]["key"] is None) is (how == "digest")
        assert paddlesrv("cache", "prune").code == 0
        assert paddlesrv("list", "-q").out == "new_net\n"
        assert paddlesrv("catalog", "update", "--reset").code == 0
        assert len(paddlesrv("list", "-q").out.splitlines()) == BUILT_IN
        assert tree(home) == {}

    def test_files_that_come_with_paddlesrv_are_found(self, shelf, offered, paddlesrv, monkeypatch):
        monkeypatch.delenv("PADDLESRV_CATALOGUE")
        data = manifest()
        assert (
            paddlesrv("catalog", "update", "--url", offered(data), "--sha256", sha256(data)).code
            == 0
        )
        assert paddlesrv("get", "new_net").code == 0
        info = paddlesrv("info", "new_net", "--json").document["installed"]
        assert info["spec"]["files"] == {"labels": "zoo/labels/coco.txt"}

    def test_without_digest_and_key_it_is_explained(self, offered, paddlesrv, web):
        ended = paddlesrv("catalog", "update", "--url", offered(manifest()))
        assert ended.code == 2
        assert "--sha256 HEX" in ended.err
        assert "--public-key minisign.pub" in ended.err
        assert web.requests == []
        assert paddlesrv("catalog", "update").code == 2
        assert paddlesrv("catalog", "update", "--url", "x", "--sha256", "abc").code == 2
        assert paddlesrv("catalog", "update", "--url", "x", "--public-key", "abc").code == 2
        assert paddlesrv("catalog", "update", "--url", "x", "--reset").code == 2

    def test_what_is_not_as_promised_changes_nothing(self, home, offered, paddlesrv, web):
        good = manifest()
        flags = ["--public-key", SIGNER.public]
        assert paddlesrv("catalog", "update", "--url", offered(good), *flags).code == 0
        before = tree(home)
        newer = manifest("2091-01-01T00:00:00Z")
        for data, signature, more in (
            (newer, SIGNER.sign(good), []),
            (newer, Signer().sign(newer), []),
            (newer, b"", []),
            (newer, SIGNER.sign(newer).replace(b"edition", b"Edition"), []),
            (newer, None, ["--sha256", sha256(good)]),
            (b"models: [", None, []),
            (b"\xff\xfe", None, []),
            (manifest("2091-01-01T00:00:00Z", models.entry("bad name", SOURCE)), None, []),
            (manifest("2091-01-01T00:00:00Z", {**ENTRY, "unknown": 1}), None, []),
            (manifest("2091-01-01T00:00:00Z", {**ENTRY, "files": {"x": "zoo:none"}}), None, []),
            (
                manifest(
                    "2091-01-01T00:00:00Z",
                    models.entry("evil", {"kind": "file", "path": "/etc/passwd"}),
                ),
                None,
                [],
            ),
        ):
            url = offered(data, signature)
            ended = paddlesrv("catalog", "update", "--url", url, *flags, *more)
            assert ended.code == 5, ended
            assert tree(home) == before
        del web.resources["/c.yaml.minisig"]
        ended = paddlesrv("catalog", "update", "--url", f"{web.url}/c.yaml", *flags)
        assert (ended.code, "is not signed" in ended.err) == (5, True)
        assert paddlesrv("catalog", "update", "--url", f"{web.url}/no", *flags).code == 3
        ended = paddlesrv("catalog", "update", "--url", f"{web.url}/c.yaml", *flags, "--offline")
        assert ended.code == 4
        assert tree(home) == before

    @pytest.mark.parametrize("published", [EARLIER, None])
    def test_an_older_one_is_refused_though_its_signature_is_good(
        self, published, home, offered, paddlesrv
    ):
        flags = ["--public-key", SIGNER.public]
        url = offered(manifest(published))
        ended = paddlesrv("catalog", "update", "--url", url, *flags)
        assert ended.code == 5
        assert "older than the one in force" in ended.err
        assert tree(home) == {}
        assert paddlesrv("catalog", "update", "--url", url, *flags, "--force").code == 0
        assert paddlesrv("list", "-q").out == "new_net\n"

    def test_one_older_than_the_update_in_force_is_refused(self, offered, paddlesrv):
        flags = ["--public-key", SIGNER.public]
        assert paddlesrv("catalog", "update", "--url", offered(manifest()), *flags).code == 0
        url = offered(manifest("2089-12-31T23:59:59Z"))
        assert paddlesrv("catalog", "update", "--url", url, *flags).code == 5

    def test_a_newer_one_that_is_built_in_goes_before_it(
        self, home, offered, paddlesrv, monkeypatch
    ):
        data = manifest()
        flags = ["--sha256", sha256(data)]
        assert paddlesrv("catalog", "update", "--url", offered(data), *flags).code == 0
        later = builtin_published().replace(year=2095)
        monkeypatch.setattr("paddlesrv.zoo.catalogue_choice.builtin_published", lambda: later)
        ended = paddlesrv("catalog", "show")
        assert "built in; newer than the update of 2090-01-01" in ended.out
        assert len(paddlesrv("list", "-q").out.splitlines()) == BUILT_IN

    def test_the_variable_goes_before_all_and_that_is_said(self, shelf, offered, paddlesrv):
        data = manifest()
        url = offered(data)
        ended = paddlesrv("catalog", "update", "--url", url, "--sha256", sha256(data))
        assert ended.code == 0
        assert "warning: PADDLESRV_CATALOGUE goes before it" in ended.err
        assert "det" in paddlesrv("list", "-q").out
        assert paddlesrv("catalog", "show", "--json").document["origin"] == "PADDLESRV_CATALOGUE"

    @pytest.mark.parametrize("file", ["manifest", "record", "gone"])
    def test_a_damaged_one_is_an_error_with_a_way_out_and_never_passed_over(
        self, file, home, offered, paddlesrv
    ):
        data = manifest()
        flags = ["--sha256", sha256(data)]
        assert paddlesrv("catalog", "update", "--url", offered(data), *flags).code == 0
        (stored,) = (home / "state" / "catalogue").glob("manifest-*.yaml")
        if file == "manifest":
            stored.write_bytes(data + b"\n")
        elif file == "gone":
            stored.unlink()
        else:
            (home / "state" / "catalogue" / "current.json").write_bytes(b"\xff")
        for words in (["list"], ["info", "new_net"], ["catalog", "show"]):
            ended = paddlesrv(*words)
            assert ended.code == 5
            assert "hint: go back to the one that is built in: " in ended.err
        assert paddlesrv("env").code == paddlesrv("version").code == 0
        assert paddlesrv("catalog", "update", "--reset").code == 0
        assert paddlesrv("list").code == 0

    def test_a_local_file_can_be_taken_offline(self, home, paddlesrv, tmp_path):
        (tmp_path / "c.yaml").write_bytes(manifest())
        ended = paddlesrv(
            "catalog", "update", "--url", str(tmp_path / "c.yaml"),
            "--sha256", sha256(manifest()), "--offline",
        )  # fmt: skip
        assert ended.code == 0


class TestShow:
    def test_what_is_in_force_is_told(self, home, paddlesrv):
        record = paddlesrv("catalog", "show", "--json").document
        assert record["origin"] == "built in"
        assert record["models"] == BUILT_IN == sum(record["collections"].values())
        assert record["published"] == record["builtin_published"]
        assert record["revision"] in paddlesrv("catalog", "show").out
        assert not home.exists()

    def test_an_entry_is_shown_as_the_catalogue_has_it(self, home, paddlesrv):
        text = paddlesrv("catalog", "show", "ocr_det_model").out
        assert msgspec.yaml.decode(text)["name"] == "ocr_det"
        assert "null" not in text
        assert paddlesrv("catalog", "show", "nonesuch").code == 3

    def test_the_date_of_the_built_in_one_is_found_without_reading_all_of_it(self):
        assert builtin_published() == Catalogue.load().published
        assert data_directory().is_dir()

    def test_the_library_loads_what_the_settings_say(self, home):
        from paddlesrv.settings import Settings

        assert load_catalogue(Settings(home=home)).entries == Catalogue.load().entries


class Files(SimpleHTTPRequestHandler):
    """A directory, with HEAD."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def static(tmp_path):
    """Serves a directory as any static web server would; its URL and its path."""
    place = tmp_path / "static"
    place.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Files(*a, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", place
    server.shutdown()
    server.server_close()
    thread.join()


class TestCheck:
    def test_a_package_that_the_index_has_answers_once_for_all_its_models(self, shelf, paddlesrv):
        ended = paddlesrv("catalog", "check", "--json")
        assert ended.code == 0, ended
        (answer,) = ended.document["addresses"]
        assert answer["models"] == ["det", "rec"]
        assert (answer["answers"], answer["size_agrees"]) == (True, True)
        # By GET: the server of this test knows no HEAD.
        assert shelf.downloads == 1

    def test_addresses_that_do_not_answer_are_exit_4_and_named(self, shelf, paddlesrv):
        del shelf.web.resources[f"/files/{FILE}"]
        ended = paddlesrv("catalog", "check", "pipe")
        assert ended.code == 4
        assert "404" in ended.out
        assert "1 of 1 address did not answer" in ended.err
        assert paddlesrv("catalog", "check", "-q").out == f"Tiny.Models 1.0 ({FILE})\n"
        assert paddlesrv("catalog", "check", "--offline").code == 4
        assert paddlesrv("catalog", "check", "nonesuch").code == 3

    def test_a_mirror_is_asked_by_head_and_another_size_is_exit_5(
        self, shelf, static, paddlesrv, monkeypatch
    ):
        url, place = static
        monkeypatch.setenv("PADDLESRV_MIRROR", url)
        for model in ("det", "rec"):
            (place / model).mkdir()
            (place / model / FILE).write_bytes(b"x" * SOURCE["size"])
        assert paddlesrv("catalog", "check").code == 0
        (place / "rec" / FILE).write_bytes(b"x")
        ended = paddlesrv("catalog", "check")
        assert ended.code == 5
        assert "1 B, not 3." in ended.out
        assert shelf.downloads == 0
        monkeypatch.setenv("PADDLESRV_MIRROR", str(place))
        assert paddlesrv("catalog", "check", "det").code == 0
        monkeypatch.setenv("PADDLESRV_MIRROR", "http://127.0.0.1:1")
        assert paddlesrv("catalog", "check", "det").code == 4
