"""What only a whole process shows: what is imported, pipes that close, Ctrl-C, odd terminals."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import SECONDS, command, environment, run

HEAVY = {
    "paddle",
    "onnxruntime",
    "grpc",
    "docker",
    "cv2",
    "numpy",
    "httpx",
    "PIL",
    "uvicorn",
    "rich",
}

IMPORTED = """
import json, sys
from paddlesrv.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["list"], ["list", "--json"], ["info", "ocr"], ["search", "ocr"],
     ["serve", "--help"], ["predict", "--help"], ["env"], ["config", "gen", "ocr"],
     ["serve", "resnet50", "--gpu", "999"]],
)  # fmt: skip
def test_light_commands_import_nothing_heavy(arguments, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True,
        text=True,
        env=environment(tmp_path / "home"),
        timeout=SECONDS,
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    # The last one is a refusal (exit code 6), told before anything is loaded.
    assert code == (6 if "--gpu" in arguments else 0)
    assert "paddlesrv" in modules
    assert set(modules) & HEAVY == set()


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["doctor"]])
def test_a_pipe_that_closes_is_silent(arguments, tmp_path):
    # Whoever reads is gone before the first line: `paddlesrv list | true`.
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path / "home"),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(SECONDS) in (0, 141)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert "error" not in err


def test_the_exit_code_is_the_errors(tmp_path):
    assert run(tmp_path, "info", "nonesuch").returncode == 3
    assert run(tmp_path, "list", "--frob").returncode == 2
    assert run(tmp_path, "--version").returncode == 0


def test_letters_that_the_terminal_cannot_show_are_no_failure(tmp_path):
    (tmp_path / "served.yaml").write_text("models: [{name: 文字}]", encoding="utf-8")
    ended = run(tmp_path, "serve", "--config", str(tmp_path / "served.yaml"),
                PYTHONIOENCODING="ascii")  # fmt: skip
    assert ended.returncode == 3
    assert "\\u6587\\u5b57" in ended.stderr


@pytest.mark.parametrize("flags", [[], ["--no-progress"]])
def test_get_interrupted_exits_130_and_says_how_to_go_on(flags, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ResNet50_vd.tar"
        process = subprocess.Popen(
            command("get", "resnet50", "--from", url, *flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path / "home", NO_PROXY="127.0.0.1"),
        )
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4) == b"GET "
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert out == ""
    assert f"interrupted; go on where it stopped: paddlesrv get resnet50 --from {url}" in err
    assert "Traceback" not in err


def test_offline_get_opens_nothing_and_exits_4(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ResNet50_vd.tar"
        ended = run(tmp_path / "home", "get", "resnet50", "--from", url, "--offline")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert ended.returncode == 4
    assert "hint: " in ended.stderr


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["info", "nonesuch"]])
def test_a_stream_that_was_closed_before_is_no_defect(arguments, stream, tmp_path):
    # As `paddlesrv list >&-` does it.
    number = ["stdin", "stdout", "stderr"].index(stream)
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {number}>&-', "sh", *command(*arguments)],
        capture_output=True,
        text=True,
        env=environment(tmp_path / "home"),
        timeout=SECONDS,
    )
    assert ended.returncode == (3 if "nonesuch" in arguments else 0)
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["list"], 1), (["info", "nonesuch"], 3)])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_behind_stdout_is_told_on_stderr(arguments, code, form, tmp_path):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command(*arguments, *form),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path / "home"),
            timeout=SECONDS,
        )
    assert ended.returncode == code
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path):
    for form in ([], ["--json"]):
        ended = subprocess.run(
            [*command("info"), b"\xff\xfe", *form],
            capture_output=True,
            env=environment(tmp_path / "home"),
            timeout=SECONDS,
        )
        assert ended.returncode == 3
        assert b"Traceback" not in ended.stderr
    assert "\\udcff" in json.loads(ended.stdout)["error"]["message"]


def test_interrupted_with_json_is_one_document(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ResNet50_vd.tar"
        process = subprocess.Popen(
            command("get", "resnet50", "--from", url, "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path / "home", NO_PROXY="127.0.0.1"),
        )
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4) == b"GET "
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    error = json.loads(out)["error"]
    assert error["code"] == "interrupted"
    assert "paddlesrv get resnet50" in error["hint"]
    assert "Traceback" not in err


def test_a_reader_that_goes_after_the_first_line_ends_it_silently(tmp_path):
    ended = subprocess.run(
        ["bash", "-c", '"$@" | head -1; echo "${PIPESTATUS[0]}"', "bash", *command("list")],
        capture_output=True,
        text=True,
        env=environment(tmp_path / "home"),
        timeout=SECONDS,
    )
    header, code = ended.stdout.splitlines()
    assert header.startswith("NAME")
    assert code in ("0", "141")
    assert "error" not in ended.stderr
    assert "Traceback" not in ended.stderr


INTERRUPT_AT_IMPORT = """
import os, signal, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == "paddlesrv.cli.serve":
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
"""


def test_interrupted_while_it_is_loaded_it_ends_in_silence(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AT_IMPORT)
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    ended = run(tmp_path / "home", "list", PYTHONPATH=path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
