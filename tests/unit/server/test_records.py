"""Records of servers: names, liveness, and files that others may have spoiled."""

import fcntl
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paddlesrv.errors import Busy, NotFound, UsageError
from paddlesrv.server.processes import Process, ProcessIdentity, memory_bytes
from paddlesrv.server.records import (
    Claim,
    ServerRecord,
    checked_name,
    name_for,
    named,
    recorded,
    running,
    servers_dir,
)


def record(name, process):
    return ServerRecord(
        name=name,
        process=process,
        started_at=datetime.now(timezone.utc),
        host="127.0.0.1",
        port=9393,
        url="http://127.0.0.1:9393",
        models=("ocr", "PP-OCRv4_mobile_rec"),
        directories=(Path("/models/文"),),
        log=Path("/logs/ocr.log"),
    )


@pytest.fixture
def other():
    """A process that runs until it is told to end."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_record_reads_back_equal_and_is_alive_with_its_process(tmp_path, other):
    mine = record("mine", ProcessIdentity.of(os.getpid()))
    its = record("other", ProcessIdentity.of(other.pid))
    for one in (mine, its):
        claim = Claim.take(tmp_path, one.name)
        claim.write(one)
        claim.hand_over()
    assert running(tmp_path) == [mine, its]
    other.kill()
    other.wait()
    assert running(tmp_path) == [mine]
    assert [entry.alive for entry in recorded(tmp_path)] == [True, False]


def test_a_process_that_nobody_has_waited_for_is_dead(other):
    identity = ProcessIdentity.of(other.pid)
    hold = Process.open(identity)
    other.kill()
    with hold:
        assert hold.wait(30)
    assert not identity.alive  # though its number is not free yet
    assert Process.open(identity) is None


@pytest.mark.parametrize("field", ["start_ticks", "boot", "namespace"])
def test_another_process_with_the_same_number_is_not_taken_for_it(field, tmp_path):
    me = ProcessIdentity.of(os.getpid())
    not_me = replace(me, **{field: 1 if field == "start_ticks" else "other"})
    assert me.alive
    assert not not_me.alive
    assert Process.open(not_me) is None
    claim = Claim.take(tmp_path, "ocr")
    claim.write(record("ocr", not_me))
    claim.hand_over()
    assert running(tmp_path) == []


def test_where_a_process_cannot_be_seen_its_lock_tells(tmp_path):
    elsewhere = replace(ProcessIdentity.of(os.getpid()), namespace="pid:[1]")
    claim = Claim.take(tmp_path, "ocr")
    claim.write(record("ocr", elsewhere))
    assert [entry.name for entry in running(tmp_path)] == ["ocr"]
    claim.hand_over()
    assert running(tmp_path) == []


def test_a_name_is_held_by_who_inherits_its_lock(tmp_path):
    claim = Claim.take(tmp_path, "ocr")
    heir = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[claim.descriptor])
    claim.hand_over()
    with pytest.raises(Busy, match="'ocr' is running"):
        Claim.take(tmp_path, "ocr")
    assert Claim.take_free(tmp_path, "ocr").name == "ocr-2"
    heir.communicate()
    assert Claim.take(tmp_path, "ocr").name == "ocr"


def test_where_locks_do_nothing_the_record_holds_the_name(tmp_path):
    claim = Claim.take(tmp_path, "ocr")
    claim.write(record("ocr", ProcessIdentity.of(os.getpid())))
    fcntl.flock(claim.descriptor, fcntl.LOCK_UN)
    with pytest.raises(Busy):
        Claim.take(tmp_path, "ocr")


def test_a_claim_that_was_let_go_removes_nothing_of_its_successor(tmp_path):
    first = Claim.take(tmp_path, "ocr")
    copy = Claim.inherited(tmp_path, "ocr", os.dup(first.descriptor))
    first.release()
    second = Claim.take(tmp_path, "ocr")
    second.write(record("ocr", ProcessIdentity.of(os.getpid())))
    copy.release()
    first.release()
    assert len(running(tmp_path)) == 1
    with pytest.raises(Busy):
        Claim.take(tmp_path, "ocr")
    second.release()
    assert list(servers_dir(tmp_path).iterdir()) == []


def test_a_directory_that_others_can_read_is_closed(tmp_path):
    servers_dir(tmp_path).mkdir(mode=0o755)
    Claim.take(tmp_path, "ocr").release()
    assert servers_dir(tmp_path).stat().st_mode & 0o777 == 0o700


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    servers_dir(tmp_path).mkdir()
    (servers_dir(tmp_path) / "ocr.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Claim.take(tmp_path, "ocr")
    assert not (tmp_path / "elsewhere").exists()


@given(st.binary(max_size=200))
def test_no_damage_stops_the_others_from_being_told(tmp_path_factory, data):
    state = tmp_path_factory.mktemp("state")
    claim = Claim.take(state, "good")
    claim.write(record("good", ProcessIdentity.of(os.getpid())))
    (servers_dir(state) / "bad.json").write_bytes(data)
    (servers_dir(state) / "dir.json").mkdir()
    warnings = []
    assert [one.name for one in running(state, warnings.append)] == ["good"]
    assert len(warnings) == 2
    assert any("bad.json" in text for text in warnings)
    claim.release()


def test_a_record_under_another_name_is_not_believed(tmp_path):
    claim = Claim.take(tmp_path, "ocr")
    claim.write(record("lac", ProcessIdentity.of(os.getpid())))
    warnings = []
    assert recorded(tmp_path, warnings.append) == []
    assert "'lac'" in warnings[0]


@given(st.lists(st.text(max_size=80), max_size=5))
def test_a_name_made_of_models_is_always_one(models):
    assert checked_name(name_for(models))
    assert checked_name(f"{name_for(models)}-1000000")


def test_names_are_told_where_one_is_unknown():
    with pytest.raises(NotFound) as caught:
        named([], "ocr")
    assert caught.value.context == {"there": "none"}
    with pytest.raises(UsageError):
        checked_name("../ocr")


def test_memory_counts_what_a_process_started(other):
    mine, its = memory_bytes([os.getpid(), other.pid]).values()
    assert mine > its > 0
