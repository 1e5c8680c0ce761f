"""What `tune` found is shown, and taken where nobody says otherwise."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

from paddlesrv.engines import devices
from paddlesrv.server.config import load_config
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tuning import record as records
from paddlesrv.tuning import serving
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Wishes
from paddlesrv.tuning.record import Place, Tuned, keep
from paddlesrv.zoo.store import Store
from tests.unit.tuning.records import MACHINE, OTHERS

CHOSEN = Candidate(
    engine="paddle", threads=1, instances=2, max_batch_size=4, max_delay_ms=2.0, variant="plain"
)
FIELDS = {
    "engine": "paddle",
    "precision": "fp32",
    "threads": 1,
    "instances": 2,
    "max_batch_size": 4,
    "max_delay_ms": 2.0,
}


@pytest.fixture
def tuned(shelf, paddlesrv, home, monkeypatch):
    """Writes a record for `rec`, which is installed with the pipeline that it is a part of."""
    monkeypatch.setattr(devices, "describe", lambda: MACHINE)
    monkeypatch.setattr(records, "describe", lambda: MACHINE)
    monkeypatch.setattr(serving, "usable_cores", lambda: MACHINE.cpu.cores)
    assert paddlesrv("get", "pipe").code == 0

    def write(machine=MACHINE) -> Path:
        installed = Store(home / "cache").installed("rec")
        model = LocalModel(installed.spec, installed.directory)
        record = Tuned(
            model="rec",
            target="pipe",
            place=Place.here("cpu", machine),
            wishes=Wishes(concurrency=16, limit_ms=50),
            chosen=CHOSEN,
            default=Candidate(engine="paddle", threads=4, max_batch_size=32),
            gain=1.7,
            noise=0.05,
            why="1.70 times what is served now, noise 5%",
            when=datetime(2026, 11, 23, 12, 30, tzinfo=timezone.utc),
        )
        return keep(record, model, home / "cache")

    return write


def test_info_tells_how_and_when_and_for_what(tuned, paddlesrv):
    assert paddlesrv("info", "rec", "--json").document["tuned"] == []
    tuned()
    lines = paddlesrv("info", "rec").out.splitlines()
    (line,) = (line for line in lines if line.startswith("tuned "))
    why = lines[lines.index(line) + 1]
    assert line.split(None, 1)[1] == ("paddle, 1 thread, 2 instances, batch 4, delay 2 ms on cpu")
    assert why.split(None, 1)[1] == (
        "2026-11-23 12:30 UTC for throughput within 50 ms with 16 callers of pipe: "
        "1.70 times what is served now, noise 5%"
    )
    (found,) = paddlesrv("info", "rec", "--json").document["tuned"]
    assert (found["in_force"], found["chosen"]["threads"]) == (True, 1)


def test_info_tells_what_is_not_in_force(tuned, paddlesrv):
    tuned(OTHERS["fewer cores"])
    assert "; not in force: made elsewhere" in paddlesrv("info", "rec").out
    (found,) = paddlesrv("info", "rec", "--json").document["tuned"]
    assert found["in_force"] is False


def test_a_server_takes_it_and_says_so(tuned, paddlesrv):
    plain = paddlesrv("serve", "rec", "--port", "0", "--dry-run", "--json").document
    assert (plain["models"][0]["threads"], plain["tuned"]) == (0, [])
    tuned()
    document = paddlesrv("serve", "rec", "--port", "0", "--dry-run", "--json").document
    (model,) = document["models"]
    assert {name: model[name] for name in FIELDS} == FIELDS
    assert set(document["tuned"][0]["fields"]) == set(FIELDS)
    text = paddlesrv("serve", "rec", "--port", "0", "--dry-run").out
    assert (
        "tuned    rec: paddle, 1 thread, 2 instances, batch 4, delay 2 ms "
        "(tuned 2026-11-23 for throughput)\n"
    ) in text


@pytest.mark.parametrize("how", ["a flag", "a variable", "the file", "the own file"])
def test_whatever_is_said_goes_before_it(how, tuned, paddlesrv, monkeypatch):
    tuned()
    words = ["serve", "rec", "--port", "0", "--dry-run", "--json"]
    if how == "a flag":
        words += ["--max-batch-size", "7"]
    elif how == "a variable":
        monkeypatch.setenv("PADDLESRV_SERVE_MAX_BATCH_SIZE", "7")
    elif how == "the file":
        Path("paddlesrv.yaml").write_text("models: [{name: rec, max_batch_size: 7}]")
    else:
        own = Path(paddlesrv("config", "path", "-q").out.strip())
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text("serve: {max_batch_size: 7}")
    ended = paddlesrv(*words)
    assert ended.code == 0, ended.out
    (model,) = ended.document["models"]
    assert {name: model[name] for name in FIELDS} == FIELDS | {"max_batch_size": 7}
    assert "max_batch_size" not in ended.document["tuned"][0]["fields"]


def test_a_damaged_record_is_refused_with_what_to_do(tuned, paddlesrv):
    tuned().write_bytes(b"{}")
    ended = paddlesrv("serve", "rec", "--port", "0", "--dry-run")
    assert ended.code == 5
    assert "the record of how rec was tuned is damaged" in ended.err
    assert "hint: serve it as if it had not been tuned: paddlesrv tune rec --forget" in ended.err
    assert paddlesrv("tune", "rec", "--forget", "--dry-run").out == "rec: would forget 1 record\n"
    assert paddlesrv("tune", "rec", "--forget").out == "rec: forgot 1 record\n"
    assert paddlesrv("serve", "rec", "--port", "0", "--dry-run").code == 0


def test_a_generated_file_has_it_with_a_note_and_is_read_back(tuned, paddlesrv, tmp_path):
    tuned()
    text = paddlesrv("config", "gen", "rec", "--max-batch-size", "7").out
    lines = {line.split(":")[0].strip(" -"): line for line in text.splitlines() if ":" in line}
    assert "2 # As tuned 2026-11-23 for throughput." in " ".join(lines["instances"].split())
    assert "# As asked for." in lines["max_batch_size"]
    path = tmp_path / "served.yaml"
    path.write_text(text)
    (model,) = load_config(path).models
    assert (model.instances, model.threads, model.max_batch_size) == (2, 1, 7)


def test_a_generated_file_of_a_pipeline_has_its_tuned_parts(tuned, paddlesrv, tmp_path):
    tuned()
    path = tmp_path / "served.yaml"
    assert paddlesrv("config", "gen", "pipe", "-o", str(path)).code == 0
    pipe, *parts = load_config(path).models
    assert (pipe.name, pipe.instances) == ("pipe", 1)
    assert [part.name for part in parts] == ["det", "rec"]  # whose files are the same
    assert {(part.instances, part.max_batch_size) for part in parts} == {(2, 4)}


def test_config_show_tells_the_origin_of_what_was_tuned(tuned, paddlesrv):
    tuned()
    assert paddlesrv("config", "show", "--json").document["tuned"] == {}
    Path("paddlesrv.yaml").write_text("models: [{name: pipe, max_delay_ms: 1}]")
    (rows,) = [paddlesrv("config", "show", "--json").document["tuned"]["rec"]]
    assert {row["name"]: row["value"] for row in rows} == {
        name: value for name, value in FIELDS.items() if name != "max_delay_ms"
    }
    assert {row["origin"] for row in rows} == {"tuned 2026-11-23 for throughput"}
    text = paddlesrv("config", "show", "--origin").out
    assert "instances       2       tuned 2026-11-23 for throughput" in text
