"""`config gen`: the file holds what was asked for, says why, and is one that `serve` reads."""

from paddlesrv.server.config import default_threads, load_config, usable_cores


def test_the_file_reads_back_with_what_was_asked_for(tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    ended = paddlesrv("config", "gen", "ocr", "resnet50", "--instances", "2", "--gpu", "0,1",
                      "--precision", "fp16", "--engine", "paddle", "--max-body", "8",
                      "--host", "0.0.0.0", "-o", str(path))  # fmt: skip
    assert ended.out == f"wrote {path}; start it: paddlesrv serve --config {path}\n"
    config = load_config(path)
    assert [(m.name, m.device, m.precision) for m in config.models] == [
        ("ocr", "gpu:0", "fp16"), ("ResNet50_vd", "gpu:1", "fp16"),
    ]  # fmt: skip
    assert (config.max_body_mb, config.host) == (8.0, "0.0.0.0")
    assert {model.threads for model in config.models} == {default_threads(2)}


def test_choices_come_with_their_reasons(paddlesrv):
    asked = ("config", "gen", "PP-OCRv4", "--max-queue", "5", "--engine", "paddle")
    text = paddlesrv(*asked).out
    lines = {line.split(":")[0].strip(" -"): line for line in text.splitlines() if ":" in line}
    assert f"# This machine's {usable_cores()} cores / 1 instance." in lines["threads"]
    assert "# PP-OCRv4 is an alias of it." in lines["name"]
    assert "# As asked for." in lines["max_queue"]


def test_the_forms_agree(tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    path.write_text(paddlesrv("config", "gen", "lac").out)
    record = paddlesrv("config", "gen", "lac", "--json").document["config"]
    assert record["models"][0]["threads"] == load_config(path).models[0].threads
    assert paddlesrv("config", "gen", "lac", "-q").out == "lac\n"


def test_a_file_is_not_replaced_unasked(tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    path.write_text("mine")
    ended = paddlesrv("config", "gen", "lac", "-o", str(path))
    assert ended.code == 2
    assert "--force" in ended.err
    assert path.read_text() == "mine"
    assert paddlesrv("config", "gen", "lac", "-o", str(path), "--force").code == 0
    assert load_config(path).models[0].name == "lac"
