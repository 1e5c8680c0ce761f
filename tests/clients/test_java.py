"""The Java client alone: its own checks, its pages, calls in threads, tensors in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from paddlesrv.server.protocols import open_inference
from tests.clients import java
from tests.clients.conftest import PICTURE
from tests.clients.driver import Driver, Refused
from tests.clients.handmade import Handmade, Stall, handmade
from tests.clients.test_compiled import json_of
from tests.clients.test_compiled_faults import GOOD, patient, refusal
from tests.server.process import ServerProcess


def test_what_needs_no_server(java_classes: Path) -> None:
    ended = java.run(java.tool("java"), "-cp", java_classes, f"{java.PACKAGE}.Checks")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].endswith(" checks, 0 broken")


def test_everything_public_is_documented(tmp_path: Path) -> None:
    ended = java.run(
        java.tool("javadoc"), "-quiet", "--release", "11", "-encoding", "UTF-8", "-Xdoclint:all",
        "-Werror", "-d", tmp_path, "-sourcepath", java.MAIN, "-subpackages", java.PACKAGE,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "index.html").is_file()


def test_the_project_for_maven_needs_nothing_but_the_jdk() -> None:
    names = {"": "http://maven.apache.org/POM/4.0.0"}
    project = ElementTree.parse(java.ROOT / "pom.xml").getroot()
    assert project.findtext("groupId", namespaces=names) == "io.paddlesrv"
    assert project.findtext("artifactId", namespaces=names) == "paddlesrv-client"
    assert project.findtext("properties/maven.compiler.release", namespaces=names) == "11"
    assert project.find("dependencies", names) is None
    version = project.findtext("version", namespaces=names)
    assert f"paddlesrv-client-java/{version}" in (
        java.MAIN / "io/paddlesrv/client/ClientBuilder.java"
    ).read_text(encoding="utf-8")


def test_failures_tell_where_they_were_asked_for(
    java_driver: Driver, clients_server: ServerProcess
) -> None:
    with pytest.raises(Refused) as refused:
        java_driver.infer(clients_server.url, "linera", {"x": np.zeros((1, 13), np.float32)})
    assert refused.value.told["tells_where"], "the stack trace does not show the call"


def test_a_task_is_asked_without_waiting(
    java_driver: Driver, clients_server: ServerProcess
) -> None:
    asked = {"model": "reader", "pictures": [str(PICTURE)]}
    waited = java_driver.ask("predict", clients_server.url, **asked)
    later = java_driver.ask("predict_async", clients_server.url, **asked)
    assert later["results"] == waited["results"]


def begin(driver: Driver, server: Handmade, how: str = "begin") -> dict[str, Any]:
    """A call that has arrived at the server; the client's settings."""
    client = patient(server)
    inputs = {"x": {"datatype": "INT8", "shape": [1], "data": "AA=="}}
    driver.ask(how, client, model="m", inputs=inputs)
    assert server.arrived.acquire(timeout=30)
    return client


def test_who_cancels_a_call_leaves_the_connection(java_driver: Driver) -> None:
    stall = Stall()
    with handmade(stall) as server:
        begin(java_driver, server)
        assert java_driver.ask("cancel") is True
        assert stall.gone.wait(30), "the server would go on computing"


def test_who_interrupts_a_thread_that_waits_ends_its_call(java_driver: Driver) -> None:
    stall = Stall()
    with handmade(stall) as server:
        begin(java_driver, server, "wait")
        assert java_driver.ask("interrupt") == ["CancellationException", True]
        assert stall.gone.wait(30)


def test_who_closes_the_client_ends_its_calls(java_driver: Driver) -> None:
    stall = Stall()
    with handmade(stall) as server:
        client = begin(java_driver, server)
        assert java_driver.ask("close", client) is True
        assert stall.gone.wait(30)
        told = refusal(java_driver, client)
    assert (told["kind"], told["message"]) == ("IllegalStateException", "the client is closed")


def test_what_json_cannot_carry_goes_as_bytes(java_driver: Driver) -> None:
    inputs = {
        "half": np.float16([1.5]), "nan": np.float32([np.nan]), "raw": np.array([b"\xff"], object),
        "plain": np.int8([-1]),
    }  # fmt: skip
    with handmade(GOOD) as server:
        java_driver.infer(patient(server, form="JSON"), "m", inputs)
        asked = server.asked[0]
    length = int(asked.headers["inference-header-content-length"])
    request, forms = open_inference.decode("m", None, asked.body, str(length))
    for name, values in inputs.items():
        np.testing.assert_array_equal(request.inputs[name].data, values)
    assert not forms.binary("y")
    parts = {each["name"]: each for each in json.loads(asked.body[:length])["inputs"]}
    assert [name for name, part in parts.items() if "data" in part] == ["plain"]


@pytest.mark.parametrize("number", [1 << 70, -(1 << 63) - 1, 10**400])
def test_integers_of_any_length_survive(java_driver: Driver, number: int) -> None:
    assert json_of(java_driver, str(number).encode()) == str(number)
