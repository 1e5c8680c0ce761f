"""Why a server is dead, and what is left of one that failed."""

import os
from datetime import datetime, timezone

from msgspec.structs import replace

from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, Recorded, ServerRecord, recorded
from paddlesrv.server.registration import Registration
from paddlesrv.server.status import last_line, statuses

ME = ProcessIdentity.of(os.getpid())
RECORD = ServerRecord(
    name="ocr",
    process=ME,
    started_at=datetime.now(timezone.utc),
    host="127.0.0.1",
    port=1,  # where nobody listens
    url="http://127.0.0.1:1",
    models=("ocr",),
    directories=(),
)


def test_a_server_that_failed_leaves_its_reason_and_no_lock(tmp_path):
    registration = Registration(Claim.take(tmp_path, "ocr"), RECORD, lambda text: None)
    registration.enter("ready")
    assert [entry.record.state for entry in recorded(tmp_path)] == ["ready"]
    registration.close("unexpected MemoryError")
    (entry,) = recorded(tmp_path)
    (status,) = statuses([Recorded(entry.record, False)], ask=True)
    assert (status.state, status.reason) == ("dead", "unexpected MemoryError")
    assert [path.name for path in (tmp_path / "servers").iterdir()] == ["ocr.json"]


def test_one_that_ended_as_it_was_asked_to_leaves_nothing(tmp_path):
    registration = Registration(Claim.take(tmp_path, "ocr"), RECORD, lambda text: None)
    registration.enter("stopping")
    registration.close()
    registration.close()
    assert list((tmp_path / "servers").iterdir()) == []


def test_a_record_that_cannot_be_written_is_told_and_no_failure(tmp_path):
    claim = Claim.take(tmp_path, "ocr")
    (tmp_path / "servers" / ".ocr.tmp").mkdir()
    told = []
    Registration(claim, RECORD, told.append).enter("ready")
    assert "could not be written" in told[0]
    Registration(None, RECORD, told.append).enter("ready")
    assert len(told) == 1


def test_the_machines_restart_is_a_reason():
    before = replace(RECORD, process=replace(ME, boot="another"))
    (status,) = statuses([Recorded(before, False)], ask=True)
    assert status.reason == "the machine was started anew"
    assert last_line(before) is None


def test_a_server_that_does_not_answer_is_shown_so_and_is_not_asked_before_it_is_ready():
    ready = replace(RECORD, state="ready")
    starting = replace(RECORD, name="lac")
    states = [
        s.state for s in statuses([Recorded(ready, True), Recorded(starting, True)], ask=True)
    ]
    assert states == ["no answer", "starting"]
    assert [s.state for s in statuses([Recorded(ready, True)], ask=False)] == ["ready"]
