"""What is seen of a download: plain lines in a pipe, bars on a terminal."""

import io

import pytest

from paddlesrv.cli import output
from paddlesrv.cli.output import Output
from paddlesrv.cli.progress import Lines, watching


@pytest.fixture
def ready():
    """What was reported ready."""
    return []


def fetch(observer, path, size=1000, total=1000):
    observer.choosing("m")
    observer.source("m", "https", "https://example.org/m.tar", total)
    for done in range(0, size + 1, 25):
        observer.bytes("m", done, total)
    observer.ready("m", path)


def test_a_pipe_gets_the_start_each_tenth_and_the_end_once(ready, tmp_path, capsys):
    with watching(Output(), lambda *call: ready.append(call)) as observer:
        fetch(observer, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "m: https https://example.org/m.tar (1.0 kB)"
    assert lines[1:] == [f"m: {percent} % of 1.0 kB" for percent in range(10, 101, 10)]
    assert ready == [("m", tmp_path)]


def test_without_a_size_only_the_start_is_said(ready, tmp_path, capsys):
    with watching(Output(), lambda *call: ready.append(call)) as observer:
        fetch(observer, tmp_path, total=None)
    assert capsys.readouterr().err.splitlines() == ["m: https https://example.org/m.tar"]


def test_the_next_source_begins_anew(ready, tmp_path, capsys):
    lines = Lines(Output(), lambda *call: ready.append(call))
    fetch(lines, tmp_path, size=500)
    lines.warning("trying the next source")
    fetch(lines, tmp_path)
    err = capsys.readouterr().err
    assert err.count("m: 10 % of") == 2
    assert "warning: trying the next source" in err


def test_quiet_keeps_warnings(ready, tmp_path, capsys):
    with watching(Output(quiet=True), lambda *call: ready.append(call)) as observer:
        fetch(observer, tmp_path)
        observer.warning("the digest was wrong")
    assert capsys.readouterr().err == "warning: the digest was wrong\n"


def test_a_terminal_gets_a_bar_and_stdout_stays_data(ready, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen, data = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdout", data)
    monkeypatch.setenv("TERM", "xterm")
    sink = Output()
    with watching(sink, lambda name, path: sink.line(f"ready {name}")) as observer:
        fetch(observer, tmp_path)
    assert data.getvalue() == "ready m\n"
    assert "m: https https://example.org/m.tar (1.0 kB)" in screen.getvalue()
    assert "━" in screen.getvalue()


def test_no_progress_gets_lines_on_a_terminal_too(ready, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    with watching(Output(progress=False), lambda *call: ready.append(call)) as observer:
        assert isinstance(observer, Lines)
