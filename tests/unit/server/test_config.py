"""The config file: what is refused and how it says so, and that what is written reads back."""

from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import UsageError
from paddlesrv.server.config import (
    ACCEPTED,
    ModelConfig,
    ServerConfig,
    convert_config,
    load_config,
    own_cores,
    render_config,
)

MODELS = st.builds(
    ModelConfig,
    name=st.text(min_size=1),
    engine=st.sampled_from(["auto", "paddle", "onnxruntime", "openvino"]),
    device=st.sampled_from(["cpu", "gpu:0", "gpu:13"]),
    precision=st.sampled_from(["fp32", "fp16", "bf16", "int8"]),
    instances=st.integers(1, 64),
    threads=st.integers(0, 64),
    pin=st.booleans(),
    max_batch_size=st.none() | st.integers(1, 512),
    max_delay_ms=st.floats(0, 1e6),
    max_queue=st.integers(1, 10**6),
    timeout_s=st.floats(0.001, 1e6),
)
CONFIGS = st.builds(
    ServerConfig,
    models=st.lists(MODELS, min_size=1, max_size=3).map(tuple),
    host=st.sampled_from(["127.0.0.1", "0.0.0.0", "::1", "localhost"]),
    port=st.integers(0, 65535),
    max_body_mb=st.floats(0.001, 1e6),
    grace_s=st.floats(0, 1e6),
)


def refused(text: str, tmp_path: Path) -> UsageError:
    path = tmp_path / "served.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    return caught.value


@given(config=CONFIGS, note=st.text())
def test_what_is_rendered_reads_back_equal(config, note):
    import yaml

    text = render_config(config, {"port": note, "models[0].threads": note})
    assert convert_config(yaml.safe_load(text), "it") == config


def test_a_note_explains_the_value_it_is_given_for():
    config = ServerConfig(models=(ModelConfig(name="a"), ModelConfig(name="b", threads=2)))
    text = render_config(config, {"models[1].threads": "4 cores / 2 instances"})
    line = next(line for line in text.splitlines() if "4 cores" in line)
    assert line.split("#")[0].strip() == "threads: 2"


def test_every_field_says_what_it_accepts():
    fields = {*ServerConfig.__struct_fields__, *ModelConfig.__struct_fields__}
    assert set(ACCEPTED) == fields


def test_a_minimal_file_takes_the_defaults(tmp_path):
    path = tmp_path / "served.yaml"
    path.write_text("models: [{name: ocr}]\n")
    assert load_config(path) == ServerConfig(models=(ModelConfig(name="ocr"),))


@pytest.mark.parametrize(
    ("text", "place", "wanted"),
    [
        ("models: [{name: a, precision: fp8}]", "models[0].precision", "fp32, fp16, bf16 or int8"),
        ("models: [{name: a}, {name: b, device: tpu}]", "models[1].device", "cpu or gpu:N"),
        ("models: [{name: a, threads: -1}]", "models[0].threads", "a whole number from 0"),
        ("models: [{name: a, threads: two}]", "models[0].threads", "a whole number from 0"),
        ("models: [{name: a, timeout_s: 0}]", "models[0].timeout_s", "a number above 0"),
        ("models: [{name: 7}]", "models[0].name", "a catalogue name"),
        ("models: [ocr]", "models[0]", "a mapping with `name`"),
        ("models: []", "models", "at least one"),
        ("models: ocr", "models", "a list of models"),
        ("{models: [{name: a}], port: 70000}", "port", "0 to 65535"),
        ("{port: 80}", "models", "at least one"),
        ("models: [{device: cpu}]", "models[0].name", "a catalogue name"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_place_with_what_is_accepted(
    text, place, wanted, tmp_path
):
    error = refused(text, tmp_path)
    assert error.message.startswith(place + " ")
    assert wanted in error.context["wanted"]
    assert "served.yaml" in error.message


def test_what_was_found_is_shown(tmp_path):
    error = refused("models: [{name: a, precision: fp8}]", tmp_path)
    assert error.context["found"] == "'fp8'"


def test_a_misspelt_option_gets_a_suggestion(tmp_path):
    error = refused("models: [{name: a, presision: fp16}]", tmp_path)
    assert error.message.startswith("models[0].presision ")
    assert error.hints == ("did you mean precision?",)
    assert refused("{models: [{name: a}], prot: 1}", tmp_path).hints == ("did you mean port?",)


def test_broken_yaml_names_the_line(tmp_path):
    error = refused("models:\n  - name: [a\n", tmp_path)
    assert "not valid YAML" in error.message
    assert "line" in error.context["at"]


@pytest.mark.parametrize("text", ["", "- a\n", "hello"])
def test_a_file_that_is_no_mapping_is_refused(text, tmp_path):
    assert "holds no server configuration" in refused(text, tmp_path).message


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bin.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_config(tmp_path / "bin.yaml")


def test_keys_of_a_pipeline_are_told_where_they_are_understood(tmp_path):
    error = refused("models: [{name: ocr}]\nrpc_port: 9998\n", tmp_path)
    assert "rpc_port" in error.message
    assert "paddlesrv serve FILE --dry-run" in error.hints[0]


@given(st.sets(st.integers(0, 63), min_size=1), st.integers(1, 80))
def test_instances_share_the_cores_evenly_and_use_them_all(cores, instances):
    with mock.patch("os.sched_getaffinity", return_value=cores):
        shares = [own_cores(number, instances) for number in range(instances)]
    assert all(shares)
    assert {core for share in shares for core in share} == cores
    if instances <= len(cores):
        assert sum(map(len, shares)) == len(cores)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
