"""`rm`: what goes, what stays, who is asked, and who stands in the way."""

import os
import pty
import subprocess
import sys
import threading
from contextlib import closing
from datetime import datetime, timezone

import pytest

from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, ServerRecord
from paddlesrv.zoo.store import Store
from tests.cli.program import command
from tests.standins import linear


@pytest.fixture
def environ(home):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def store(home):
    return Store(home / "cache")


@pytest.fixture
def pipe(shelf, paddlesrv):
    assert paddlesrv("get", "pipe").code == 0


@pytest.fixture
def serving(home, store):
    """Makes this process a server, as far as records tell, of these models."""
    claims = []

    def serve(name, *models):
        claim = Claim.take(home / "state", name)
        claims.append(claim)
        claim.write(
            ServerRecord(
                name=name, process=ProcessIdentity.of(os.getpid()), port=1, host="127.0.0.1",
                url="http://127.0.0.1:1", started_at=datetime.now(timezone.utc), models=models,
                directories=tuple(store.installed(model).directory for model in models),
            )
        )  # fmt: skip

    yield serve
    for claim in claims:
        claim.release()


def test_a_model_goes_with_all_its_content_by_any_of_its_names(shelf, paddlesrv, store):
    assert paddlesrv("get", "det").code == 0
    dry = paddlesrv("rm", "the_det", "--dry-run")
    assert (dry.code, dry.out.split("(")[0]) == (0, "would go det ")
    assert store.names() == ["det"]
    ended = paddlesrv("rm", "the_det", "-y", "--json")
    assert ended.code == 0
    (record,) = ended.document["models"]
    assert record["name"] == "det"
    assert ended.document["freed_bytes"] == record["size_bytes"] > 0
    assert list(store.objects_dir.iterdir()) == list(store.models_dir.iterdir()) == []
    assert paddlesrv("rm", "det", "-y").code == 3
    assert paddlesrv("rm", "nonesuch", "-y").code == 3


def test_one_unknown_name_and_nothing_goes(pipe, paddlesrv, store):
    assert paddlesrv("rm", "pipe", "nonesuch", "-y").code == 3
    assert store.names() == ["det", "pipe", "rec"]


def test_without_a_terminal_the_flag_is_named(pipe, paddlesrv, store):
    ended = paddlesrv("rm", "pipe")
    assert ended.code == 2
    assert "hint: to do it without being asked: paddlesrv rm pipe -y" in ended.err
    assert store.installed("pipe") is not None


@pytest.mark.parametrize(("answer", "left"), [("y", ["det", "rec"]), ("n", ["det", "pipe", "rec"])])
def test_at_a_terminal_one_is_asked(pipe, store, environ, answer, left):
    controller, terminal = pty.openpty()
    with closing(os.fdopen(controller, "w")) as person, closing(os.fdopen(terminal)) as stdin:
        person.write(f"{answer}\n")
        person.flush()
        ended = subprocess.run(
            command("rm", "pipe"),
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=environ,
        )
    assert ended.returncode == 0
    assert "Remove pipe?" in ended.stderr
    assert "Remove pipe?" not in ended.stdout
    assert store.names() == left


def test_a_part_of_a_pipeline_stays_unless_the_pipeline_goes_too(pipe, paddlesrv, store):
    ended = paddlesrv("rm", "det", "-y")
    assert ended.code == 7
    assert "det is needed by pipe, which is installed" in ended.err
    assert "hint: remove them together: paddlesrv rm det pipe" in ended.err
    assert paddlesrv("rm", "det", "pipe", "-y").code == 0
    assert store.names() == ["rec"]


def test_a_pipelines_parts_stay_and_are_named(pipe, paddlesrv, store):
    ended = paddlesrv("rm", "pipe", "-y")
    assert "paddlesrv rm det rec" in ended.err
    assert store.names() == ["det", "rec"]


@pytest.mark.parametrize("held", [("det",), ("pipe", "det", "rec")])
def test_what_a_running_server_holds_stays(held, pipe, paddlesrv, store, serving):
    serving("front", *held)
    for flags in (["-y"], ["--dry-run"]):
        ended = paddlesrv("rm", "det", "pipe", *flags, "--json")
        assert ended.code == 7
        assert ended.document["error"]["hint"] == "stop it first: paddlesrv stop front"
    assert store.names() == ["det", "pipe", "rec"]


def test_content_that_a_server_still_reads_is_not_pruned(pipe, home, paddlesrv, store, serving):
    old = store.installed("det").directory
    serving("front", "det")
    (old / "labels.txt").write_text("damaged, so that the next one is another")
    assert paddlesrv("verify", "--fix").code == 0
    assert store.installed("det").directory != old
    assert paddlesrv("cache", "prune", "--json").document["removed"] == []
    assert paddlesrv("cache", "df", "--json").document["in_use_bytes"] > 0
    assert paddlesrv("doctor", "--fix").code == 0
    assert old.is_dir()
    # Held by its content alone: the model's name stands for another by now.
    assert paddlesrv("rm", "pipe", "det", "-y").code == 7


def test_a_damaged_model_can_be_removed(pipe, paddlesrv, store):
    (store.installed("pipe").directory / "spec.json").write_text("{")
    assert paddlesrv("rm", "pipe", "-y").code == 0
    (store.models_dir / "det").unlink()
    (store.models_dir / "det").symlink_to("nowhere")
    assert paddlesrv("rm", "det", "-y").code == 0
    assert store.names() == ["rec"]


def test_an_own_model_goes_and_a_linked_ones_files_stay(home, paddlesrv, store, tmp_path):
    linear.write_onnx(tmp_path / "mine")
    for flags in ([], ["--link"]):
        assert paddlesrv("import", str(tmp_path / "mine"), *flags).code == 0
        (name,) = store.names()
        ended = paddlesrv("rm", name, "-y")
        assert ended.code == 0
        assert ("stay" in ended.out) is bool(flags)
        assert store.names() == []
    assert list((tmp_path / "mine").glob("*.onnx"))


def test_it_waits_for_whoever_installs_the_model(shelf, paddlesrv, store, environ):
    assert paddlesrv("get", "det").code == 0
    holder = (
        "import sys; from pathlib import Path\n"
        "from paddlesrv.zoo.locks import locked\n"
        "with locked(Path(sys.argv[1]), lambda: None):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", holder, str(store.lock_path("det"))]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as other:
        assert other.stdout.readline() == "held\n"
        with subprocess.Popen(
            command("rm", "det", "-y"),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environ,
        ) as waiter:
            watch = threading.Timer(60, waiter.kill)
            watch.start()
            assert "waiting for another paddlesrv" in waiter.stderr.readline()
            assert store.names() == ["det"]
            other.stdin.close()
            assert waiter.wait() == 0
            watch.cancel()
    assert store.names() == []
