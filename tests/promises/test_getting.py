"""The promises of `get`, one after the other, kept against a server that does wrong.

Each is made good through the command line, or through `Installer` where a test must not wait
between tries. That a `get` may be killed anywhere is in `test_kill_anywhere`.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import SourceUnreachable
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.store import InstalledModel, Store
from tests.unit.cli.program import Program
from tests.unit.zoo import models
from tests.unit.zoo.web import (
    Fault,
    Web,
    compressed,
    cut,
    labelled_as_compressed,
    stall,
    status,
)

NOISE = random.Random(3).randbytes(400_000)
FILES = {"tiny/__model__": models.PROGRAM, "tiny/__params__": models.PARAMS}
ARCHIVE = models.tar_gz({**FILES, "tiny/more.bin": NOISE})
BIG = models.tar_gz({**FILES, "tiny/more.bin": NOISE * 60})
"""Of several pieces, so that it comes over several connections."""
WRONG = models.tar_gz({**FILES, "tiny/more.bin": NOISE[::-1]})
NAME = "tiny"
FILE = "tiny.tar.gz"
NEVER = Retry(delays=(), connect_delays=())


class Shop:
    """A mirror that offers one model, whose digest the catalogue knows."""

    def __init__(self, web: Web, directory: Path, body: bytes = ARCHIVE) -> None:
        self.web = web
        self.body = body
        self.path = f"/{NAME}/{FILE}"
        self.manifest = directory / "manifest.yaml"
        self.list(models.https(f"https://models.example/{FILE}", sha256=models.sha256(body)))
        self.offer()

    def list(self, *sources: dict[str, Any]) -> None:
        """Put these sources into the catalogue."""
        entries = [models.entry(NAME, *sources)]
        self.manifest.write_bytes(msgspec.yaml.encode({"schema": 1, "models": entries}))

    def offer(self, body: bytes | None = None, faults: list[Fault] | None = None, **options: Any):
        self.web.put(self.path, body or self.body, faults=faults or [], **options)

    def environment(self) -> dict[str, str]:
        return {"PADDLESRV_CATALOGUE": str(self.manifest), "PADDLESRV_MIRROR": self.web.url}

    def installer(self, store: Store, observer: Any = None) -> Installer:
        settings = Settings(mirror=self.web.url)
        return Installer(Catalogue.load(self.manifest), store, settings, observer, retry=NEVER)


@pytest.fixture
def shop(web: Web, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(web, tmp_path)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home / "cache")


def whole(store: Store, body: bytes = ARCHIVE) -> InstalledModel:
    """The model, which must be here and be the one that was offered."""
    model = store.installed(NAME)
    assert model is not None
    store.verify_digests(model)
    assert model.sha256 == models.sha256(body)
    assert store.leftovers() == []
    return model


def nothing_published(store: Store) -> bool:
    return store.installed_models() == [] and not list(store.root.glob("objects/*"))


def kept(store: Store) -> int:
    return sum(path.stat().st_size for path in store.partial_dir.glob("*.part"))


@settings(max_examples=30)
@given(after=st.integers(0, len(ARCHIVE) - 1))
def test_promise_1_cut_at_any_byte_the_next_get_fetches_only_the_rest(after: int) -> None:
    with tempfile.TemporaryDirectory() as name, Web() as web:
        store, shop = Store(Path(name, "store")), Shop(web, Path(name))
        web.allowance = after
        with pytest.raises(SourceUnreachable):
            shop.installer(store).get([NAME])
        assert nothing_published(store)
        assert web.bytes_sent == after
        web.allowance = None
        shop.installer(store).get([NAME])
        whole(store)
        assert web.bytes_sent == len(ARCHIVE)


def test_promise_1_holds_for_a_file_that_comes_over_several_connections(
    shop: Shop, store: Store, paddlesrv: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddlesrv.zoo.download.ONE_IS_ENOUGH", math.inf)
    shop = Shop(shop.web, shop.manifest.parent, BIG)
    shop.web.allowance = 17_000_000
    with pytest.raises(SourceUnreachable) as caught:
        shop.installer(store).get([NAME])
    here = int(str(caught.value.context).partition("kept ")[2].split()[0])
    assert here > 8_000_000
    before, shop.web.allowance = shop.web.bytes_sent, None
    assert paddlesrv("get", NAME).code == 0
    assert shop.web.bytes_sent - before == len(BIG) - here
    assert len(shop.web.requests) > 3
    whole(store, BIG)


@pytest.mark.parametrize("body", [ARCHIVE, BIG], ids=["one connection", "several"])
def test_promise_2_a_file_that_changed_between_runs_is_fetched_anew_not_spliced(
    web: Web, tmp_path: Path, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddlesrv.zoo.download.ONE_IS_ENOUGH", math.inf)
    store, shop = Store(tmp_path / "store"), Shop(web, tmp_path, body)
    other = bytes(reversed(body))
    shop.offer(other, etag='"old"')
    web.allowance = len(body) // 2
    with pytest.raises(SourceUnreachable):
        shop.installer(store).get([NAME])
    web.allowance = None
    shop.offer(etag='"new"')
    shop.installer(store).get([NAME])
    whole(store, body)


def test_promise_3_an_answer_with_all_of_it_to_a_range_starts_again(
    shop: Shop, store: Store, paddlesrv: Program
) -> None:
    shop.offer(faults=[cut(100_000)], ranges=False)
    ended = paddlesrv("get", NAME)
    assert ended.code == 0, ended.err
    assert "starting again" in ended.err
    assert shop.web.bytes_sent == 100_000 + len(ARCHIVE)
    whole(store)


def test_promise_4_a_source_with_wrong_bytes_is_named_and_the_next_one_used(
    shop: Shop, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paddlesrv: Program
) -> None:
    monkeypatch.delenv("PADDLESRV_MIRROR")
    places = [tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"]
    for place, body in zip(places, (WRONG, ARCHIVE), strict=True):
        place.write_bytes(body)
    digest = models.sha256(ARCHIVE)
    shop.list(*({"kind": "file", "path": str(place), "sha256": digest} for place in places))
    ended = paddlesrv("get", NAME)
    assert ended.code == 0
    assert "warning:" in ended.err
    assert str(places[0]) in ended.err
    assert "trying the next source" in ended.err
    assert whole(store).where == str(places[1])


def test_promise_5_when_every_source_fails_the_exit_code_is_4_and_what_came_is_kept(
    shop: Shop, store: Store, paddlesrv: Program
) -> None:
    shop.offer(faults=[cut(100_000), status(404)])
    ended = paddlesrv("get", NAME)
    assert ended.code == 4
    assert "kept" in ended.err
    assert "hint:" in ended.err
    assert nothing_published(store)
    assert kept(store) == 100_000
    before = shop.web.bytes_sent
    assert paddlesrv("get", NAME).code == 0
    assert shop.web.bytes_sent - before == len(ARCHIVE) - 100_000
    whole(store)


@pytest.mark.parametrize("position", [0, len(ARCHIVE) // 2, len(ARCHIVE) - 1])
def test_promise_6_one_wrong_byte_is_exit_code_5_and_publishes_nothing(
    shop: Shop, store: Store, paddlesrv: Program, position: int
) -> None:
    rotten = bytearray(ARCHIVE)
    rotten[position] ^= 0x10
    shop.offer(bytes(rotten))
    ended = paddlesrv("get", NAME, "--json")
    assert ended.code == 5
    assert ended.document["error"]["code"] == "integrity"
    assert models.sha256(ARCHIVE) in str(ended.document["error"])
    assert nothing_published(store)
    assert kept(store) == 0


def start(shop: Shop, home: Path, *, prelude: str = "") -> subprocess.Popen[str]:
    """A process of its own that gets the model."""
    lines = [prelude, "import sys", "from paddlesrv.cli.main import run"]
    code = "\n".join([*lines, f"sys.argv = ['paddlesrv', 'get', {NAME!r}]", "run()"])
    environment = {**os.environ, **shop.environment(), "PADDLESRV_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_promise_7_eight_processes_at_once_download_once_and_keep_one_copy(
    shop: Shop, store: Store, home: Path
) -> None:
    processes = [start(shop, home) for _ in range(8)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == f"ready {home / 'cache' / 'models' / NAME}"
        assert "error" not in err
    assert shop.web.bytes_sent == len(ARCHIVE)
    assert len(list(store.root.glob("objects/*"))) == 1
    whole(store)


WITHOUT_LOCKS = """
import errno, fcntl
def flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def test_promise_7_holds_where_the_file_system_knows_no_locks(
    shop: Shop, store: Store, home: Path
) -> None:
    processes = [start(shop, home, prelude=WITHOUT_LOCKS) for _ in range(4)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    model = store.installed(NAME)
    assert model is not None
    store.verify_digests(model)
    assert len(list(store.root.glob("objects/*"))) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many bytes."""
    mounted: list[Path] = []

    def make(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("known_size", [True, False])
def test_promise_9_a_full_disk_is_a_clear_message_and_what_came_is_kept(
    shop: Shop,
    small_disk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    paddlesrv: Program,
    known_size: bool,
) -> None:
    big = Shop(shop.web, shop.manifest.parent, BIG)
    big.offer(length=known_size, ranges=known_size)
    monkeypatch.setattr("paddlesrv.zoo.download.FREE_SPACE_MARGIN_BYTES", 0)
    disk = small_disk(5_000_000)
    monkeypatch.setenv("PADDLESRV_HOME", str(disk / "home"))
    ended = paddlesrv("get", NAME)
    assert ended.code == 1
    assert "error: there is not enough free space" in ended.err
    assert "hint:" in ended.err
    assert "Traceback" not in ended.err
    store = Store(disk / "home" / "cache")
    assert nothing_published(store)
    assert (kept(store) > 0) == (not known_size), "of a known size nothing is begun"


def test_promise_9_a_disk_that_fills_up_while_unpacking_keeps_the_download(
    shop: Shop,
    small_disk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    paddlesrv: Program,
) -> None:
    zeros = models.tar_gz({**FILES, "tiny/zeros.bin": bytes(30_000_000)})
    shop = Shop(shop.web, shop.manifest.parent, zeros)
    monkeypatch.setattr("paddlesrv.zoo.download.FREE_SPACE_MARGIN_BYTES", 0)
    disk = small_disk(5_000_000)
    monkeypatch.setenv("PADDLESRV_HOME", str(disk / "home"))
    ended = paddlesrv("get", NAME)
    assert ended.code == 1
    assert "error: there is not enough free space" in ended.err
    store = Store(disk / "home" / "cache")
    assert nothing_published(store)
    assert kept(store) == len(zeros)
    subprocess.run(["mount", "-o", "remount,size=80000000", str(disk)], check=True)
    before = shop.web.bytes_sent
    assert paddlesrv("get", NAME).code == 0
    assert shop.web.bytes_sent == before, "the download was whole"


@pytest.mark.parametrize("flag", [["--offline"], []])
def test_promise_10_offline_no_socket_is_opened(
    shop: Shop, store: Store, monkeypatch: pytest.MonkeyPatch, paddlesrv: Program, flag: list[str]
) -> None:
    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    if not flag:
        monkeypatch.setenv("PADDLESRV_OFFLINE", "1")
    with monkeypatch.context() as context:
        context.setattr(socket, "socket", forbidden)
        context.setattr(socket, "getaddrinfo", forbidden)
        ended = paddlesrv("get", NAME, *flag)
        assert ended.code == 4
        assert "offline" in ended.err
        assert "hint:" in ended.err
    monkeypatch.delenv("PADDLESRV_OFFLINE", raising=False)
    assert paddlesrv("get", NAME).code == 0
    with monkeypatch.context() as context:
        context.setattr(socket, "socket", forbidden)
        context.setattr(socket, "getaddrinfo", forbidden)
        assert paddlesrv("get", NAME, "--offline").code == 0
    whole(store)


@pytest.mark.parametrize("body", [ARCHIVE, BIG], ids=["one connection", "several"])
def test_ctrl_c_ends_a_download_at_once_and_keeps_what_came(
    shop: Shop, store: Store, home: Path, body: bytes
) -> None:
    shop = Shop(shop.web, shop.manifest.parent, body)
    reached, release = threading.Event(), threading.Event()

    def right(handler: Any, resource: Any) -> None:
        handler.answer(resource)

    # The first piece comes; then nothing more, for much longer than anybody waits here.
    faults = [right] if body is BIG else []
    shop.offer(faults=[*faults, *[stall(100_000, reached, release)] * 4])
    several = "import math\nimport paddlesrv.zoo.download as d\nd.ONE_IS_ENOUGH = math.inf"
    process = start(shop, home, prelude=several)
    assert reached.wait(60)
    assert any("%" in line for line in process.stderr), "some of it has come"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    release.set()
    assert process.returncode == 130, err
    assert f"go on where it stopped: paddlesrv get {NAME}" in err
    assert "Traceback" not in err
    assert kept(store) > 0
    shop.offer()
    before = shop.web.bytes_sent
    again = start(shop, home)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert shop.web.bytes_sent - before < len(body)
    whole(store, body)


@pytest.mark.parametrize("fault", [compressed(), labelled_as_compressed])
def test_a_file_that_is_compressed_or_said_to_be_on_its_way_is_the_file(
    shop: Shop, store: Store, paddlesrv: Program, fault: Fault
) -> None:
    shop.offer(faults=[fault])
    ended = paddlesrv("get", NAME)
    assert ended.code == 0, ended.err
    whole(store)


def test_a_store_that_cannot_be_written_serves_what_it_has(
    shop: Shop, store: Store, paddlesrv: Program
) -> None:
    assert paddlesrv("get", NAME).code == 0
    shutil.rmtree(store.root / "locks")
    store.root.chmod(0o555)
    try:
        assert paddlesrv("get", NAME).code == 0
        whole(store)
    finally:
        store.root.chmod(0o755)
