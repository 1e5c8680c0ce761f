"""`import` on the command line: what is printed, what is left, exit codes."""

import pytest

from tests.standins import linear
from tests.unit.importing import networks


def test_what_was_found_is_shown_with_the_next_command(home, tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    ended = paddlesrv("import", str(tmp_path / "price"))
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith("model    price: onnx, ")
    assert lines[1] == "task     tensors"
    assert lines[2].split() == ["TENSOR", "NAME", "TYPE", "SHAPE", "ROLE"]
    assert lines[3].split() == ["input", "x", "float32", "[?,", "13]"]
    assert lines[4].split() == ["output", "y", "float32", "[?,", "1]"]
    assert lines[5] == "ran      x [1, 13] -> y [1, 1]"
    assert lines[7] == f"ready {home}/cache/models/price"
    assert lines[8] == "try: paddlesrv serve price"
    assert ended.err == ""


def test_an_imported_model_is_listed_and_known_as_an_own_one(tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    assert paddlesrv("import", str(tmp_path / "price"), "--no-run", "-q").out == "price\n"
    (row,) = paddlesrv("list", "--collection", "own", "--json").document["models"]
    assert (row["name"], row["task"], row["installed"]) == ("price", "tensors", True)
    record = paddlesrv("info", "price", "--json").document
    assert record["collection"] == "own"
    assert record["installed"]["source"] == "import"
    assert record["installed"]["where"] == str(tmp_path / "price")
    assert "input" in paddlesrv("info", "price").out


def test_no_run_is_said_aloud(tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    ended = paddlesrv("import", str(tmp_path / "price"), "--no-run")
    assert "warning: the network was not run (--no-run)" in ended.err


def test_json_has_all_of_it(tmp_path, paddlesrv):
    networks.write_recognition(tmp_path / "reader")
    (tmp_path / "keys.txt").write_text("a\nb\nc\n")
    ended = paddlesrv(
        "import", str(tmp_path / "reader"), "--task", "text-recognition",
        "--labels", str(tmp_path / "keys.txt"), "--link", "--json",
    )  # fmt: skip
    document = ended.document
    assert document["schema"] == 1
    assert document["dry_run"] is False
    assert document["model"]["linked"] is True
    assert document["model"]["spec"]["program"] == "original/model.onnx"
    assert document["run"]["result"] is True
    assert document["run"]["outputs"][0]["name"] == "scores"


def test_a_dry_run_writes_nothing(home, tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    ended = paddlesrv("import", str(tmp_path / "price"), "--dry-run", "--no-run")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "would be installed; this was a dry run"
    assert not home.exists()


def test_what_is_beside_the_network_is_named(tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    (tmp_path / "price" / "net.pdparams").write_bytes(b"\x80\x04.")
    ended = paddlesrv("import", str(tmp_path / "price"), "--no-run")
    assert "warning: beside the network, and not taken: net.pdparams" in ended.err


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda path: None, 3),
        (lambda path: path.mkdir(), 2),
        (lambda path: path.write_bytes(b"\x80\x04."), 2),
        (lambda path: path.write_bytes(b""), 5),
        (networks.write_nan, 1),
    ],
    ids=["not there", "empty", "a pickle", "an empty file", "answers NaN"],
)
def test_a_failure_exits_as_its_kind_does_and_leaves_no_model(prepare, code, tmp_path, paddlesrv):
    prepare(tmp_path / "mine")
    ended = paddlesrv("import", str(tmp_path / "mine"))
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert paddlesrv("list", "--installed", "-q").out == ""


def test_an_imported_onnx_model_is_served_on_the_engine_that_runs_it(tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    assert paddlesrv("import", str(tmp_path / "price"), "--no-run").code == 0
    ended = paddlesrv("serve", "price", "--port", "0", "--dry-run", "--json")
    assert ended.document["models"][0]["engine"] == "auto"
    assert ended.document["engines"] == {"price": "onnxruntime"}
    refused = paddlesrv("serve", "price", "--port", "0", "--engine", "paddle")
    assert refused.code == 6


def test_a_generated_config_leaves_the_engine_to_where_it_is_served(tmp_path, paddlesrv):
    linear.write_onnx(tmp_path / "price")
    assert paddlesrv("import", str(tmp_path / "price"), "--no-run").code == 0
    (model,) = paddlesrv("config", "gen", "price", "--json").document["config"]["models"]
    assert (model["name"], model["engine"]) == ("price", "auto")
