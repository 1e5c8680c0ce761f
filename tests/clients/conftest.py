"""What clients in every language are tested against: one server with small models of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.program import run
from tests.clients import cpp, java, networks
from tests.clients.driver import Driver
from tests.server.process import ServerProcess, serve
from tests.standins import linear
from tests.unit.importing.networks import write_recognition

PICTURE = Path(__file__).parents[1] / "data" / "ocr" / "digits.png"


@pytest.fixture(scope="session")
def clients_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`linear`, `deep&wide` (linear), `echo`, `narrow`, `sequences`; tasks: `reader`, `colours`."""
    root = tmp_path_factory.mktemp("clients")
    home = root / "home"
    linear.write_onnx(root / "linear")
    networks.write_echo(root / "echo")
    networks.write_echo(root / "narrow", networks.PADDLE_SERVING)
    networks.write_sequences(root / "sequences")
    write_recognition(root / "reader", classes=5)
    networks.write_colours(root / "colours")
    (root / "keys.txt").write_text("a\nb\nc\n")
    labels = ("--labels", str(root / "keys.txt"))
    reads, sorts = ("--task", "text-recognition"), ("--task", "image-classification")
    wanted: dict[str, tuple[str, ...]]
    wanted = {
        "linear": (),
        "echo": (),
        "narrow": (),
        "sequences": (),
        "reader": reads,
        "colours": sorts,
    }
    for name, flags in wanted.items():
        ended = run(home, "import", str(root / name), *flags, *(labels if flags else ()))
        assert ended.returncode == 0, ended.stderr
    ended = run(home, "import", str(root / "linear"), "--name", "deep&wide")
    assert ended.returncode == 0, ended.stderr
    with serve(*wanted, "deep&wide", "-v", home=home) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody signed, and its key."""
    place = tmp_path_factory.mktemp("tls")
    made = place / "certificate.pem", place / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", made[0], "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture(scope="session")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Java client and its tests, compiled."""
    return java.compile_all(tmp_path_factory.mktemp("java"))


@pytest.fixture(scope="session")
def java_driver(java_classes: Path) -> Iterator[Driver]:
    """A Java program that asks what it is told to ask."""
    running = java.drive(java_classes)
    yield running
    running.close()


@pytest.fixture(scope="session")
def cpp_driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A C++ program that asks what it is told to ask, watched by sanitizers."""
    running = cpp.drive(tmp_path_factory.mktemp("cpp"))
    yield running
    running.close()


@pytest.fixture(scope="session", params=["java", "cpp"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Our client in each language that is compiled."""
    found: Driver = request.getfixturevalue(f"{request.param}_driver")
    return found


class Asking(NamedTuple):
    """A client in a language, which sends tensors in a form."""

    driver: Driver
    settings: dict[str, str]

    def infer(self, model: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
        """`Driver.infer` of this client."""
        return self.driver.infer(self.settings, model, inputs, **more)


@pytest.fixture(params=[("java", "BINARY"), ("java", "JSON"), ("cpp", "BINARY")], ids="-".join)
def formed(request: pytest.FixtureRequest) -> tuple[Driver, str]:
    """Each client with each form of tensors that it has."""
    language, form = request.param
    return request.getfixturevalue(f"{language}_driver"), form


@pytest.fixture
def asking(formed: tuple[Driver, str], clients_server: ServerProcess) -> Asking:
    """Each client in each form of tensors, with the server."""
    driver, form = formed
    return Asking(driver, {"url": clients_server.url, "form": form})
