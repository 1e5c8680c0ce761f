"""Logs: what may stand in them, how they stay small, and reading them while they change."""

import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.server.logfile import EscapingFormatter, begin, escaped, log_path, older
from paddlesrv.server.logreader import LINE_MAX, LogReader, follow, read
from paddlesrv.server.processes import Process, ProcessIdentity


@given(st.text())
def test_a_record_is_one_line_whatever_it_holds(text):
    record = logging.LogRecord(text, logging.INFO, "", 0, "%s", (text,), None)
    line = EscapingFormatter("%(name)s %(message)s").format(record)
    assert line.isprintable()


@given(st.text())
def test_what_can_be_printed_stays_as_it_is(text):
    if text.isprintable():
        assert escaped(text) == text


def test_a_traceback_keeps_its_lines_and_nothing_else():
    try:
        raise ValueError("a\x1b[2J")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    lines = EscapingFormatter("%(message)s").format(record).split("\n")
    assert lines[0] == "failed"
    assert lines[-1] == "ValueError: a\\x1b[2J"
    assert all(line.isprintable() for line in lines)


WRITER = """
import logging, os, sys
from pathlib import Path
from paddlesrv.server.logfile import LogFileHandler
logging.basicConfig(level="INFO", handlers=[LogFileHandler(Path(sys.argv[1]), max_bytes=10_000)])
for number in range(int(sys.argv[2])):
    logging.info("line %d", number)
    os.write(1, b"raw %d\\n" % number)
"""


def written(path, count):
    """A process that writes so many lines of each kind to a new log."""
    descriptor = begin(path)
    arguments = [sys.executable, "-c", WRITER, str(path), str(count)]
    writer = subprocess.Popen(arguments, stdout=descriptor, stderr=descriptor)
    os.close(descriptor)
    return writer


def bare(lines):
    """The lines without the time."""
    return [line.rpartition("root: ")[2] for line in lines]


def test_a_log_stays_below_twice_its_limit_and_loses_only_the_oldest(tmp_path):
    path = tmp_path / "a.log"
    assert written(path, 2000).wait() == 0
    assert path.stat().st_size <= 10_200
    assert older(path).stat().st_size <= 10_200
    assert {path.stat().st_mode & 0o777, older(path).stat().st_mode & 0o777} == {0o600}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    lines = bare(read(path))
    whole = [f"{word} {n}" for n in range(2000) for word in ("line", "raw")]
    assert len(lines) > 200
    assert lines == whole[-len(lines) :]
    assert bare(read(path, 3)) == whole[-3:]
    assert read(path, 0) == []


def test_following_loses_nothing_when_the_log_is_put_aside(tmp_path):
    path = tmp_path / "a.log"
    writer = written(path, 300)
    with Process.open(ProcessIdentity.of(writer.pid)) as process:
        lines = bare(follow(path, process))
    assert writer.wait() == 0
    assert older(path).exists()
    assert lines == [f"{word} {n}" for n in range(300) for word in ("line", "raw")]


def test_a_new_log_replaces_the_one_of_an_earlier_server(tmp_path):
    path = log_path(tmp_path, "ocr")
    os.close(begin(path))
    path.write_text("before")
    older(path).write_text("long before")
    os.close(begin(path))
    assert read(path) == []


def test_a_log_that_is_a_link_is_not_followed(tmp_path):
    path = log_path(tmp_path, "ocr")
    os.close(begin(path))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    os.close(begin(path))
    assert not (tmp_path / "elsewhere").exists()


@given(st.lists(st.lists(st.text("ab\t文", max_size=9), max_size=4), max_size=4))
def test_lines_come_whole_however_they_were_written(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("logs") / "a.log"
    reader = LogReader(path)
    assert list(reader.lines()) == []
    text = ""
    told = []
    for part in parts:
        written = "\n".join(part)
        text += written
        with path.open("a") as log:
            log.write(written)
        told += reader.lines()
    told += reader.last()
    reader.close()
    assert told == (text.removesuffix("\n").split("\n") if text else [])


def test_a_log_that_somebody_empties_is_read_from_its_new_beginning(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\n")
    reader = LogReader(path)
    assert list(reader.lines()) == ["one", "two"]
    path.write_text("new\n")
    assert list(reader.lines()) == ["new"]
    path.rename(older(path))
    assert list(reader.lines()) == []
    with older(path).open("a") as log:
        log.write("late\n")
    path.write_text("newer\n")
    assert list(reader.lines()) == ["late", "newer"]
    reader.close()


def test_a_line_without_an_end_is_not_kept_for_ever(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * (3 * LINE_MAX))
    reader = LogReader(path)
    assert sum(map(len, reader.lines())) >= 2 * LINE_MAX
    reader.close()


def test_there_is_no_log_of_what_never_ran(tmp_path):
    assert read(tmp_path / "a.log") == []


@pytest.mark.parametrize("tail", [None, 1])
def test_a_log_that_ended_without_a_line_end_is_read_to_its_end(tmp_path, tail):
    (tmp_path / "a.log").write_text("one")
    assert read(tmp_path / "a.log", tail) == ["one"]
