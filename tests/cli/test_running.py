"""`serve -d`, `ps`, `logs`, `stop`: real servers, as users start, see and end them."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import onnx
import psutil
import pytest

from tests.cli.program import SECONDS, environment
from tests.cli.servers import Servers, gone, half_a_request, tree
from tests.cli.test_process import HEAVY, IMPORTED
from tests.server.process import serve
from tests.standins import linear


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a linear model."""
    directory = tmp_path_factory.mktemp("models") / "linear"
    linear.write_onnx(directory)
    return directory


@pytest.fixture(scope="module")
def shared(tmp_path_factory, model):
    """One server, for those who only look."""
    found = Servers(tmp_path_factory.mktemp("shared") / "home", model)
    found.started()
    yield found
    found.close()


@pytest.fixture
def servers(tmp_path, model):
    """No server yet; none afterwards."""
    found = Servers(tmp_path / "home", model)
    yield found
    found.close()


def infer(url, rows):
    x = np.ones((rows, linear.FEATURES), np.float32)
    data = x.ravel().tolist()
    tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": data}
    answer = httpx.post(
        f"{url}/v2/models/linear/infer", json={"inputs": [tensor]}, trust_env=False
    ).json()
    np.testing.assert_allclose(answer["outputs"][0]["data"], linear.expected(x).ravel(), rtol=1e-5)


def test_a_detached_server_serves_until_it_is_stopped_and_leaves_nothing(servers):
    ended = servers.serve()
    assert ended.returncode == 0
    (shown,) = servers.ps()
    assert f"serving  {shown['url']}" in ended.stdout
    assert "paddlesrv logs linear -f" in ended.stdout
    assert "paddlesrv stop linear" in ended.stdout
    assert "ready in" in ended.stdout
    assert "Ctrl-C" not in ended.stdout
    assert (shown["name"], shown["models"], shown["state"]) == ("linear", ["linear"], "ready")
    record = json.loads(servers.record("linear").read_text())
    assert record["directories"] == [str(servers.model.resolve())]
    assert record["process"]["pid"] == shown["pid"]
    assert shown["memory_bytes"] > 10e6
    infer(shown["url"], 2)

    running = tree(shown["pid"])
    assert len(running) >= 3  # the server, its fork server, a worker
    assert os.getsid(shown["pid"]) == shown["pid"]
    # Each listening socket of all of them is the one that was asked for.
    address = httpx.URL(shown["url"])
    listening = {c.laddr for p in running for c in p.net_connections() if c.status == "LISTEN"}
    assert listening == {(address.host, address.port)}

    stopped = servers.run("stop", "linear")
    assert stopped.returncode == 0
    assert "linear: stopped after" in stopped.stdout
    assert gone(running)
    assert servers.records() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port))
    assert servers.run("logs", "linear").stdout.splitlines()[-1].endswith("ended")


def test_what_is_written_down_is_for_its_user_alone(shared):
    state = shared.home / "state"
    modes = {path.stat().st_mode & 0o777 for path in (state / "servers", state / "logs")}
    assert modes == {0o700}
    files = [shared.record("linear"), shared.log("linear")]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_ps_tells_how_many_requests_were_merged(servers):
    started = servers.started()
    infer(started["url"], 4)
    infer(started["url"], 2)
    (shown,) = servers.ps()
    assert shown["requests"] == 2
    assert shown["average_batch"] == 3.0
    table = servers.run("ps").stdout.splitlines()
    assert table[0].split() == ["NAME", "MODELS", "URL", "STATE", "PID", "UP", "MEMORY",
                                "REQUESTS", "AVG", "BATCH"]  # fmt: skip
    assert table[1].split()[-1] == "3.0"
    assert servers.run("ps", "-q").stdout == "linear\n"


SOCKETLESS = """
import sys
def forbid(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(event)
sys.addaudithook(forbid)
from paddlesrv.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_offline_ps_opens_no_socket_and_still_tells_what_runs(shared):
    ended = subprocess.run(
        [sys.executable, "-c", SOCKETLESS, "ps", "--json"],
        capture_output=True,
        text=True,
        env=environment(shared.home, PADDLESRV_OFFLINE="1"),
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    (shown,) = json.loads(ended.stdout)["servers"]
    assert (shown["state"], shown["requests"], shown["average_batch"]) == ("ready", None, None)


@pytest.mark.parametrize(
    "arguments", [["ps", "-a"], ["logs", "linear"], ["stop", "linear", "--dry-run"]]
)
def test_they_import_nothing_heavy(arguments, shared):
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True,
        text=True,
        env=environment(shared.home),
        timeout=SECONDS,
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0
    assert set(modules) & HEAVY == set()


def test_servers_side_by_side_get_names_of_their_own(servers):
    assert servers.started()["name"] == "linear"
    assert servers.started()["name"] == "linear-2"
    assert servers.serve("-q", "--name", "third").stdout == "third\n"
    assert [shown["name"] for shown in servers.ps()] == ["linear", "linear-2", "third"]
    stopped = json.loads(servers.run("stop", "--all", "--json").stdout)["servers"]
    assert [(one["name"], one["outcome"]) for one in stopped] == [
        ("linear", "stopped"), ("linear-2", "stopped"), ("third", "stopped")]  # fmt: skip
    nothing = servers.run("stop", "--all")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no server runs" in nothing.stderr


def test_a_name_that_is_taken_is_refused(servers):
    servers.started("--name", "mine")
    for flags in ([], ["--dry-run"]):
        ended = servers.serve("--name", "mine", *flags)
        assert ended.returncode == 7
        assert "a server called 'mine' is running" in ended.stderr
        assert "--name NAME" in ended.stderr
    assert len(servers.ps()) == 1


def test_of_two_that_want_the_same_name_at_once_one_gets_it(servers):
    racing = [servers.popen(*servers.arguments("-d", "--name", "mine")) for _ in range(2)]
    told = [process.communicate(timeout=SECONDS) for process in racing]
    assert sorted(process.returncode for process in racing) == [0, 7], told
    assert len(servers.ps("-a")) == 1


@pytest.mark.parametrize("name", ["", "../x", "x" * 64])
def test_what_cannot_be_a_name_is_refused(name, servers):
    ended = servers.serve(f"--name={name}")
    assert ended.returncode == 2
    assert servers.records() == []


def test_a_port_in_use_is_found_before_anything_is_started(servers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = servers.run("serve", str(servers.model), "--engine", "onnxruntime", "-d",
                            "--port", port)  # fmt: skip
    assert ended.returncode == 7
    assert f"port {port} on 127.0.0.1 is in use" in ended.stderr
    assert "-d --port 0" in ended.stderr
    assert "starting" not in ended.stderr
    assert servers.records() == []
    assert not servers.log("linear").exists()
    assert servers.processes() == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_started(servers):
    ended = servers.serve("--gpu", "999")
    assert ended.returncode == 6
    assert servers.records() == []
    assert servers.processes() == []


def test_a_dry_run_starts_and_writes_nothing(servers):
    ended = servers.serve("--dry-run", "--json")
    assert json.loads(ended.stdout)["name"] == "linear"
    assert not (servers.home / "state").exists()
    servers.started()
    assert json.loads(servers.serve("--dry-run", "--json").stdout)["name"] == "linear-2"


def test_a_start_that_fails_shows_the_true_error_and_leaves_only_its_log(servers, tmp_path):
    broken = onnx.load(servers.model / "model.onnx")
    broken.graph.node[0].op_type = "Nonsense"
    (tmp_path / "broken").mkdir()
    onnx.save(broken, tmp_path / "broken" / "model.onnx")
    servers.model = tmp_path / "broken"
    ended = servers.serve()
    assert ended.returncode == 1
    assert "error: onnxruntime cannot load broken" in ended.stderr
    assert "Nonsense" in ended.stderr
    assert "  | " in ended.stderr
    assert "paddlesrv logs broken" in ended.stderr
    assert servers.records() == []
    assert servers.processes() == []
    assert "Nonsense" in servers.run("logs", "broken").stdout
    error = json.loads(servers.serve("--json").stdout)["error"]
    assert error["code"] == "engine-error"


def starting(servers):
    """`serve -d`, up to the word that its server's process is there; and that process."""
    process = servers.popen(*servers.arguments("-d"))
    for line in process.stderr:
        if line.startswith("starting linear (pid "):
            pid = int(line.split("(pid ")[1].split(")")[0])
            return process, psutil.Process(pid)
    raise AssertionError("it did not start")


def test_interrupted_while_waiting_stops_what_was_being_started(servers):
    process, server = starting(servers)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "linear, which was being started, is stopped" in err
    assert "Traceback" not in err
    assert out == ""
    assert gone([server])
    assert servers.records() == []
    assert servers.processes() == []


def test_a_server_that_is_killed_while_it_starts_is_told_of(servers):
    process, server = starting(servers)
    server.kill()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "the server was killed by SIGKILL before it was ready" in err
    assert servers.records() == []


def test_a_killed_server_is_dead_and_its_name_free(servers):
    started = servers.started()
    running = tree(started["pid"])
    os.kill(started["pid"], signal.SIGKILL)
    assert gone(running)  # its workers went with it
    ended = servers.run("ps")
    assert ended.stdout == ""
    assert "dead: linear; see: paddlesrv ps -a" in ended.stderr
    ended = servers.run("ps", "-a")
    assert ended.stdout.splitlines()[1].split()[:4] == ["linear", "linear", started["url"], "dead"]
    assert "linear is dead: its process ended without a word" in ended.stderr
    assert f"its log ends: {servers.log('linear').read_text().splitlines()[-1]}" in ended.stderr
    assert servers.run("logs", "linear", "-f").returncode == 0
    stopped = servers.run("stop", "linear")
    assert (stopped.returncode, stopped.stdout) == (0, "linear: was dead; its record is removed\n")
    assert servers.records() == []
    assert servers.run("stop", "linear").returncode == 3


def test_another_start_takes_the_name_of_a_dead_one(servers):
    started = servers.started()
    os.kill(started["pid"], signal.SIGKILL)
    assert gone([psutil.Process(started["pid"])] if psutil.pid_exists(started["pid"]) else [])
    again = servers.started()
    assert again["name"] == "linear"
    assert [(s["pid"], s["state"]) for s in servers.ps("-a")] == [(again["pid"], "ready")]


def test_a_process_that_has_a_dead_servers_number_is_let_alone(servers):
    started = servers.started()
    record = json.loads(servers.record("linear").read_text())
    assert servers.run("stop", "linear").returncode == 0
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        record["process"]["pid"] = other.pid  # not with the time at which it started
        servers.record("linear").write_text(json.dumps(record))
        assert [s["state"] for s in servers.ps("-a")] == ["dead"]
        assert started["pid"] != other.pid
        for flags in ([], ["--force"]):
            servers.record("linear").write_text(json.dumps(record))
            ended = servers.run("stop", "linear", *flags)
            assert ended.stdout == "linear: was dead; its record is removed\n"
        assert other.poll() is None
        other.stdin.close()
        assert other.wait(SECONDS) == 0


def test_a_damaged_record_is_named_and_the_others_are_told(servers):
    servers.started()
    for damage in (b"", b'{"name": 1}'):
        servers.record("other").write_bytes(damage)
        ended = servers.run("ps", "-q")
        assert (ended.returncode, ended.stdout) == (0, "linear\n")
        assert "warning: the record of a server is damaged and can be removed" in ended.stderr
        assert str(servers.record("other")) in ended.stderr
    assert servers.started("--name", "other")["name"] == "other"


def test_without_a_place_for_records_only_the_foreground_serves(servers):
    servers.home.mkdir()
    (servers.home / "state").write_text("no directory")
    ended = servers.serve()
    assert ended.returncode == 1
    assert "a detached server needs a place" in ended.stderr
    assert "leave -d out" in ended.stderr
    with serve(str(servers.model), "--engine", "onnxruntime", home=servers.home) as server:
        infer(server.url, 1)
        assert server.terminate() == 0
    assert "warning: ps, stop and rm will not know of this server" in "".join(server.output)
    assert servers.run("ps").returncode == 0


def test_a_server_in_the_foreground_is_known_while_it_runs(servers):
    with serve(str(servers.model), "--engine", "onnxruntime", home=servers.home) as server:
        (shown,) = servers.ps()
        assert (shown["url"], shown["state"], shown["detached"]) == (server.url, "ready", False)
        assert any(line.startswith("ready in") and " as linear;" in line for line in server.output)
        ended = servers.run("logs", "linear")
        assert ended.returncode == 3
        assert "the log of linear is in its own terminal" in ended.stderr
        assert servers.run("stop", "linear").returncode == 0
        assert server.process.wait(SECONDS) == 0
    assert servers.records() == []


def test_a_closed_terminal_ends_the_foreground_but_no_detached_server(servers):
    with serve(str(servers.model), "--engine", "onnxruntime", home=servers.home) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(SECONDS) == 0
    assert servers.records() == []
    started = servers.started()
    os.kill(started["pid"], signal.SIGHUP)
    infer(started["url"], 1)
    assert [shown["state"] for shown in servers.ps()] == ["ready"]


def test_stop_waits_for_what_was_accepted_and_kills_only_when_told_to(servers):
    started = servers.started()
    running = tree(started["pid"])
    with half_a_request(started["url"]):
        for _ in range(2):  # asking again does not cut off what is being answered
            ended = servers.run("stop", "linear", "--timeout", "0.2")
            assert ended.returncode == 1
            assert "still running: linear" in ended.stderr
            assert "hint: kill what is left: paddlesrv stop linear --force" in ended.stderr
        assert [shown["state"] for shown in servers.ps()] == ["stopping"]
        forced = servers.run("stop", "linear", "--force")
    assert forced.returncode == 0
    assert "linear: killed after" in forced.stdout
    assert gone(running)
    assert servers.records() == []


def test_a_server_that_is_frozen_is_shown_as_giving_no_answer(servers):
    started = servers.started()
    os.kill(started["pid"], signal.SIGSTOP)
    assert [shown["state"] for shown in servers.ps()] == ["no answer"]
    os.kill(started["pid"], signal.SIGCONT)


def test_a_server_that_cannot_start_its_worker_again_is_shown_as_not_ready(servers, tmp_path):
    servers.model = tmp_path / "linear"
    linear.write_onnx(servers.model)
    started = servers.started()
    (servers.model / "model.onnx").unlink()
    tree(started["pid"])[-1].kill()
    with httpx.Client(base_url=started["url"], trust_env=False) as client:
        while client.get("/v2/health/ready").status_code == 200:
            pass  # until the server has learned of it
    assert [shown["state"] for shown in servers.ps()] == ["not ready"]


def test_unknown_names_are_exit_3_and_say_what_is_there(shared):
    for noun in ("logs", "stop"):
        ended = shared.run(noun, "liner")
        assert ended.returncode == 3
        assert "there   linear" in ended.stderr
        assert "did you mean linear?" in ended.stderr
    assert shared.run("stop").returncode == 2
    assert shared.run("stop", "linear", "--all").returncode == 2
    assert shared.run("logs", "linear", "-f", "--json").returncode == 2
    assert len(shared.ps()) == 1


def test_logs_follow_until_the_server_ends(servers):
    started = servers.started()
    following = servers.popen("logs", "linear", "-f", "--tail", "1")
    assert following.stdout.readline().rstrip().endswith(f"ready on {started['url']}")
    assert servers.run("stop", "linear").returncode == 0
    out, err = following.communicate(timeout=SECONDS)
    assert (following.returncode, err) == (0, "")
    assert out.splitlines()[-1].endswith("ended")


def test_following_is_interrupted_without_a_word_of_trouble(shared):
    following = shared.popen("logs", "linear", "-f")
    assert "starting linear" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=SECONDS)
    assert following.returncode == 130
    assert "Traceback" not in err
    assert len(shared.ps()) == 1


def test_following_into_a_pipe_that_closes_is_silent(servers):
    started = servers.started()
    following = servers.popen("logs", "linear", "-f")
    following.stdout.readline()
    following.stdout.close()
    httpx.get(f"{started['url']}/nonesuch", trust_env=False)  # a line that nobody reads
    err = following.stderr.read()
    following.stderr.close()
    assert following.wait(SECONDS) == 141
    assert err == ""


def test_a_client_cannot_forge_lines_or_escapes_in_the_log(servers):
    started = servers.started()
    httpx.get(
        f"{started['url']}/nonesuch%0aINFO%1b[31m",
        headers={"x-request-id": b"a\x9b31m\tb"},  # the parser refuses others
        trust_env=False,
    )
    raw = servers.log("linear").read_bytes()
    text = raw.decode()
    assert "404" in text
    assert all(line.isprintable() for line in text.splitlines())
    assert [line[:4].isdigit() for line in text.splitlines()] == [True] * len(text.splitlines())
    assert servers.run("logs", "linear").stdout == text


def test_the_log_is_shown_without_what_moves_a_cursor(servers):
    servers.started()
    assert servers.run("stop", "--all").returncode == 0
    with servers.log("linear").open("ab") as log:
        log.write(b"\x1b[2Jgone\r\n\ttab \xff\xe6\x96\x87")
    lines = servers.run("logs", "linear", "--tail", "2").stdout.splitlines()
    assert lines == ["\\x1b[2Jgone", "\ttab \\xff文"]


def test_a_password_in_an_address_is_not_written_down():
    from paddlesrv.cli.detaching import shown_command

    shown = shown_command(["serve", "x", "--config", "https://me:secret@host/x"])
    assert "secret" not in shown
    assert shown == "paddlesrv serve x --config 'https://***@host/x'"


def test_a_relative_directory_means_the_same_to_a_detached_server(servers):
    ended = subprocess.run(
        [sys.executable, "-m", "paddlesrv", "serve", Path(servers.model).name, "--engine",
         "onnxruntime", "--port", "0", "-d", "--json"],
        capture_output=True,
        text=True,
        cwd=servers.model.parent,
        env=environment(servers.home, PYTHONPATH=str(Path(__file__).parents[2])),
        timeout=SECONDS,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    infer(json.loads(ended.stdout)["url"], 1)
