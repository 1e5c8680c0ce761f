"""A pipeline's config.yml: what each key comes to, what is refused, and that none is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import DeviceUnavailable, UsageError
from paddlesrv.server.config import convert_config
from paddlesrv.server.pipeline_config import (
    ACCEPTED,
    Dag,
    LocalService,
    Op,
    PipelineConfig,
    Tracer,
    is_pipeline,
)
from paddlesrv.server.pipeline_notes import leaves
from paddlesrv.server.pipeline_translation import Translation, translate
from paddlesrv.yaml_file import YamlFile, read_yaml

HOUSING = """
worker_num: 4
rpc_port: 9998
http_port: 18082
build_dag_each_worker: False
dag:
    is_thread_op: True
    retry: 10
    use_profile: False
    tracer:
        interval_s: 10
op:
    uci:
        concurrency: 2
        timeout: 3000
        retry: 2
        batch_size: 1
        local_service_conf:
            client_type: local_predictor
            model_config: uci_housing_model
            device_type: 0
            devices: "0"
            fetch_list: ["price"]
            use_mkldnn: False
            ir_optim: True
"""
"""A regression in one op of threads, as in the ancestor's simplest example."""

CLASSIFIER = """
worker_num: 1
http_port: 18080
rpc_port: 9993
dag:
    is_thread_op: False
    client_type: brpc
    channel_size: 64
op:
    imagenet:
        concurrency: 1
        batch_size: 8
        auto_batching_timeout: 20
        local_service_conf:
            model_config: ResNet50_vd_model
            device_type: 1
            devices: "3"
            client_type: local_predictor
            fetch_list: null
            thread_num: 2
            precision: FP16
            mem_optim: true
            use_calib: false
"""
"""A classifier on a GPU, in processes, with batches."""

EACH_WORKER = """
rpc_port: 18090
worker_num: 3
build_dag_each_worker: true
op: {senta: {local_service_conf: {model_config: ./senta, devices: ""}}}
"""
"""One process for each worker, gRPC alone."""

READER = """
rpc_port: 18091
http_port: 9998
op:
    det: {concurrency: 6, local_service_conf: {model_config: ocr_det_model, devices: ""}}
    rec: {concurrency: 3, local_service_conf: {model_config: ocr_rec_model, devices: ""}}
"""
"""Two ops, one after the other."""


def translated(text: str, tmp_path: Path) -> Translation:
    path = tmp_path / "config.yml"
    path.write_text(text)
    return translate(read_yaml(path))


def outcomes(translation: Translation) -> dict[str, str]:
    return {note.place: note.outcome for note in translation.notes}


def test_what_can_be_expressed_becomes_a_config(tmp_path):
    found = translated(HOUSING, tmp_path)
    assert found.data == {
        "port": 18082,
        "grpc_port": 9998,
        "models": [{"name": "uci", "timeout_s": 3.0, "path": "uci_housing_model", "device": "cpu"}],
    }
    config = convert_config(found.file().data, "it")
    assert (config.models[0].name, config.models[0].instances) == ("uci", 1)
    assert outcomes(found)["op.uci.retry"] == "nothing"


def test_processes_batches_and_a_gpu_are_taken(tmp_path):
    (model,) = translated(CLASSIFIER, tmp_path).data["models"]
    assert model == {
        "name": "imagenet",
        "max_queue": 64,
        "max_batch_size": 8,
        "max_delay_ms": 20.0,
        "path": "ResNet50_vd_model",
        "threads": 2,
        "device": "gpu:3",
        "precision": "fp16",
    } | {"instances": 1}


def test_workers_with_a_dag_each_are_instances(tmp_path):
    found = translated(EACH_WORKER, tmp_path)
    assert found.data["port"] == 18090
    assert "grpc_port" not in found.data
    assert found.data["models"][0]["instances"] == 3
    both = EACH_WORKER.replace("senta: {", "senta: {concurrency: 2, ") + "dag: {is_thread_op: no}"
    assert translated(both, tmp_path).data["models"][0]["instances"] == 6


def test_a_chain_of_ops_is_refused_with_what_does_the_same(tmp_path):
    with pytest.raises(UsageError) as caught:
        translated(READER, tmp_path).file()
    assert caught.value.exit_code == 2
    assert "paddlesrv serve ocr" in caught.value.hints[0]
    with pytest.raises(UsageError) as caught:
        translated(READER.replace("det:", "first:"), tmp_path).file()
    assert "paddlesrv serve ./ocr_det_model ./ocr_rec_model" in caught.value.hints[0]


@pytest.mark.parametrize(
    ("key", "value", "kind", "words"),
    [
        ("device_type", 2, DeviceUnavailable, "TensorRT"),
        ("device_type", 4, DeviceUnavailable, "Kunlun"),
        ("device_type", 99, DeviceUnavailable, "no device that is known"),
        ("use_calib", True, DeviceUnavailable, "calibration"),
        ("precision", "trt_fp32", UsageError, "silently meant fp32"),
        ("device_type", 1, UsageError, "names none"),
        ("model_config", None, UsageError, "Python code alone"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_its_place(tmp_path, key, value, kind, words):
    local = {"model_config": "uci", "devices": ""} | {key: value}
    text = yaml.safe_dump({"http_port": 1, "op": {"uci": {"local_service_conf": local}}})
    with pytest.raises(kind) as caught:
        translated(text, tmp_path).file()
    (place,) = caught.value.context
    assert place.startswith("op.uci.local_service_conf")
    assert words in caught.value.context[place]
    assert "config.yml" in caught.value.context[place]
    assert caught.value.hints


def test_several_gpus_are_one_model_each(tmp_path):
    text = CLASSIFIER.replace('"3"', '"0,1"')
    with pytest.raises(UsageError, match="cannot be served as it stands"):
        translated(text, tmp_path).file()
    threads = text.replace("is_thread_op: False", "is_thread_op: True")
    assert translated(threads, tmp_path).data["models"][0]["device"] == "gpu:0"


def test_another_server_is_not_asked(tmp_path):
    op = {"server_endpoints": ["127.0.0.1:9393"], "client_type": "brpc", "client_config": "c"}
    with pytest.raises(UsageError) as caught:
        translated(yaml.safe_dump({"op": {"uci": op}}), tmp_path).file()
    assert "op.uci.server_endpoints" in caught.value.context


def test_an_encrypted_model_is_refused_and_its_key_not_shown(tmp_path):
    op = {"use_encryption_model": True, "encryption_key": "hush",
          "local_service_conf": {"model_config": "m"}}  # fmt: skip
    found = translated(yaml.safe_dump({"op": {"uci": op}}), tmp_path)
    assert "hush" not in str(found.notes)
    with pytest.raises(UsageError):
        found.file()


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("op: {uci: {concurency: 1}}", "op.uci.concurency", "did you mean concurrency?"),
        ("op: {uci: {}}\ndag: {is_thread: 1}", "dag.is_thread", "did you mean is_thread_op?"),
        ("op: {}\nrpc_prt: 1", "rpc_prt", "did you mean rpc_port?"),
        ("op: {u: {local_service_conf: {model: x}}}", "op.u.local_service_conf.model", ""),
    ],
)
def test_an_unknown_key_is_named(tmp_path, text, place, line):
    with pytest.raises(UsageError) as caught:
        translated(text, tmp_path)
    assert place in caught.value.message
    assert any(line in hint for hint in caught.value.hints)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("op: {uci: {timeout: soon}}", "op.uci.timeout"),
        ("op: {uci: {local_service_conf: {devices: gpu}}}", "op.uci.local_service_conf.devices"),
        ("op: {uci: 3}", "op.uci"),
        ("op: [1]", "op"),
        ("http_port: 70000", "http_port"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(tmp_path, text, place):
    with pytest.raises(UsageError, match="is not accepted") as caught:
        translated(text, tmp_path)
    assert caught.value.message.startswith(place + " in ")
    assert caught.value.context["wanted"]


def test_errors_of_the_translation_keep_the_lines_of_the_file(tmp_path):
    found = translated(HOUSING, tmp_path)
    lines = HOUSING.splitlines()
    assert "timeout" in lines[found.lines["models[0].timeout_s"] - 1]
    assert "http_port" in lines[found.lines["port"] - 1]


def test_a_model_is_looked_for_as_there_and_then_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "old" / "uci_housing_model").mkdir(parents=True)
    path = tmp_path / "old" / "config.yml"
    path.write_text(HOUSING)
    monkeypatch.chdir(tmp_path)
    assert translate(read_yaml(path)).data["models"][0]["path"] == str(
        tmp_path / "old" / "uci_housing_model"
    )
    (tmp_path / "uci_housing_model").mkdir()
    assert translate(read_yaml(path)).data["models"][0]["path"] == "uci_housing_model"


def test_our_own_files_are_none_of_the_ancestors():
    assert is_pipeline(yaml.safe_load(HOUSING))
    assert not is_pipeline({"models": [{"name": "ocr"}], "port": 1})
    assert not is_pipeline([1])
    assert not is_pipeline(None)


def test_what_each_key_takes_is_said_in_words():
    kinds = (PipelineConfig, Dag, Tracer, Op, LocalService)
    assert set(ACCEPTED) == {field for kind in kinds for field in kind.__struct_fields__}


# -- every key ------------------------------------------------------------------------------

COUNTS = st.integers(1, 9)
TEXTS = st.text("abc./", min_size=1, max_size=5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("rpc_port", "http_port", "grpc_gateway_port", "prometheus_port"),
                    st.integers(0, 65535)),
    **dict.fromkeys(("worker_num", "retry", "concurrency", "batch_size", "thread_num"), COUNTS),
    **dict.fromkeys(("build_dag_each_worker", "is_thread_op", "use_profile", "mem_optim",
                     "channel_recv_frist_arrive", "enable_prometheus", "use_encryption_model",
                     "ir_optim", "use_calib", "use_mkldnn"), st.booleans()),
    **dict.fromkeys(("client_type", "client_config", "encryption_key", "model_config", "workdir"),
                    TEXTS),
    **dict.fromkeys(("server_endpoints", "fetch_list", "mkldnn_op_list", "mkldnn_bf16_op_list"),
                    st.lists(TEXTS, max_size=2)),
    **dict.fromkeys(("timeout", "auto_batching_timeout"), st.integers(-1, 5000)),
    **dict.fromkeys(("channel_size", "mkldnn_cache_capacity", "min_subgraph_size", "interval_s"),
                    st.integers(0, 9)),
    "device_type": st.integers(-1, 7),
    "devices": st.sampled_from(["", "0", "-1", "0,1", "2, 3", 0, 5]),
    "precision": st.sampled_from(["fp32", "FP16", "bf16", "int8", "fast"]),
}  # fmt: skip


def section(kind: type[msgspec.Struct], **below: st.SearchStrategy[Any]) -> Any:
    """Any of the keys of a section, each with a value that it takes, or none."""
    keys = {
        name: st.none() | (below[name] if name in below else VALUES[name])
        for name in kind.__struct_fields__
    }
    return st.fixed_dictionaries({}, optional=keys)


FILES = section(
    PipelineConfig,
    dag=section(Dag, tracer=section(Tracer)),
    op=st.dictionaries(
        st.sampled_from(["uci", "det", "an op"]),
        st.none() | section(Op, local_service_conf=section(LocalService)),
        max_size=2,
    ),
)


@given(data=FILES)
def test_every_key_is_accounted_for_and_taken_ones_are_a_config(data):
    found = translate(YamlFile(Path("config.yml"), data))
    places = [note.place for note in found.notes]
    assert len(places) == len(set(places))
    assert {place for place, _ in leaves(data)} <= set(places)
    # What is noted without being there is only ever what is missing.
    noted_alone = [n for n in found.notes if n.place not in dict(leaves(data))]
    assert all(note.outcome == "refused" and note.hint for note in noted_alone)
    if any(note.outcome == "refused" for note in found.notes):
        with pytest.raises((UsageError, DeviceUnavailable)):
            found.file()
    else:
        assert convert_config(found.file().data, "it").models[0].path is not None


@given(data=FILES)
def test_a_translation_is_the_same_through_yaml(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("same") / "config.yml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    read = read_yaml(path)
    assert translate(read).data == translate(YamlFile(path, data)).data
