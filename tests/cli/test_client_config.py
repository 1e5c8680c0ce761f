"""`client-config`: what it prints is pasted and run, and gets what `paddlesrv predict` gets."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.program import run
from tests.cli.snippets import ROOT, Bench, words
from tests.clients import java, networks
from tests.server.process import ServerProcess, serve
from tests.standins import zoo
from tests.zoo.conftest import add_packages, on_the_web, rows

LANGUAGES = ("curl", "python", "java", "cpp")
KEYS = (
    "ResNet50_vd/ResNet50_vd.tar",
    "ppyolo_mbv3_large_coco/ppyolo_mbv3_large_coco.tar",
    "lac/lac.tar.gz",
    "lac/lac_dict.tar.gz",
    "wide&deep/wide_deep.tar.gz",
    "ch_ppocr_mobile_v2.0_det/ch_ppocr_mobile_v2.0_det_infer.tar",
    "ch_ppocr_mobile_v2.0_rec/ch_ppocr_mobile_v2.0_rec_infer.tar",
)
PICTURES = {
    "ResNet50_vd": "classification",
    "ppyolo_mbv3_large_coco": "detection",
    "ch_ppocr_mobile_v2.0": "reading",
}
"""Models that are asked about pictures, and their families."""
OTHERS = {
    "lac": "百度是一家高科技公司",
    "wide&deep": json.dumps(
        {"dense": list(range(1, 14)), "categorical": [f"c{i}" for i in range(1, 27)]}
    ),
}
"""Models that are asked about something else, which their programs hold."""
ODD = ('it\'s "x"', "$HOME `id` \\n!!", "größe {{model}} ??/\t")
"""Names of inputs that would mean something to a shell, a compiler or a template."""


def write_odd(directory: Path) -> None:
    """float [n, 3], int64 [n, 2] and a larger float tensor; `sums` is the sum of each row."""
    import onnx
    from onnx import TensorProto, helper

    shapes = (
        [TensorProto.FLOAT, "n", 3],
        [TensorProto.INT64, "n", 2],
        [TensorProto.FLOAT, "n", 50],
    )
    nodes = [helper.make_node("Cast", [ODD[1]], ["ids"], to=TensorProto.FLOAT)]
    for source, target in ((ODD[0], "a"), ("ids", "b"), (ODD[2], "c")):
        nodes.append(helper.make_node("ReduceSum", [source, "axes"], [target], keepdims=1))
    nodes.append(helper.make_node("Concat", ["a", "b", "c"], ['su"ms\\'], axis=1))
    graph = helper.make_graph(
        nodes,
        "odd",
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, (kind, *shape) in zip(ODD, shapes, strict=True)
        ],
        [helper.make_tensor_value_info('su"ms\\', TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    directory.mkdir(parents=True)
    onnx.save(model, directory / "model.onnx")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The clients for Java and C++, built as their READMEs say, and an empty home."""
    place = tmp_path_factory.mktemp("snippets")
    (place / "classes").mkdir()
    jar = place / "paddlesrv-client.jar"
    for command in (
        [java.tool("javac"), "--release", "11", "-d", place / "classes", *java.sources(java.MAIN)],
        [java.tool("jar"), "--create", "--file", jar, "-C", place / "classes", "."],
        ["cmake", "-S", ROOT / "clients" / "cpp", "-B", place / "build",
         "-DPADDLESRV_CLIENT_EXAMPLES=OFF", "-DCMAKE_BUILD_TYPE=Debug",
         "-DCMAKE_INSTALL_LIBDIR=lib",
         f"-DCMAKE_INSTALL_PREFIX={place / 'cpp'}"],
        ["cmake", "--build", place / "build", "--target", "install", "-j2"],
    ):  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return Bench(place / "home", jar, place / "cpp")


@pytest.fixture(scope="module")
def served(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of stand-ins, which have tasks."""
    mirror = add_packages(zoo.mirror(tmp_path_factory.mktemp("mirror"), KEYS))
    with on_the_web(mirror) as url:
        for model in (*PICTURES, *OTHERS):
            ended = run(bench.home, "get", model, PADDLESRV_MIRROR=url)
            assert ended.returncode == 0, ended.stderr
    with serve(*PICTURES, *OTHERS, home=bench.home) as server:
        yield server


@pytest.fixture(scope="module")
def own(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of own models, served by their paths: bRPC finds each by its inputs."""
    place = tmp_path_factory.mktemp("own")
    write_odd(place / "odd")
    networks.write_echo(place / "echo")
    networks.write_echo(place / "narrow", networks.PADDLE_SERVING)
    networks.write_sequences(place / "sequences")
    paths = [str(place / name) for name in ("odd", "echo", "narrow", "sequences")]
    with serve(*paths, home=bench.home) as server:
        yield server


def expected(bench: Bench, model: str, question: str, server: ServerProcess) -> dict[str, Any]:
    """What `paddlesrv predict` gets."""
    ended = run(bench.home, "predict", model, question, "--url", server.url, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def shown(answer: dict[str, Any]) -> list[Any]:
    """What a program prints of an answer."""
    (result,) = answer["results"]
    lines: dict[str, Any] = {
        "image-classification": lambda: [(c["score"], c["label"]) for c in result["classes"]],
        "object-detection": lambda: [(b["score"], b["label"], *b["box"]) for b in result["boxes"]],
        "ocr": lambda: [(line["text"],) for line in result["lines"]],
        "lexical-analysis": lambda: zip(result["words"], result["tags"], strict=True),
        "click-through-rate": lambda: [(result["score"],)],
    }
    text = "\n".join(" ".join(map(str, line)) for line in lines[answer["task"]]())
    return [
        pytest.approx(w, rel=1e-4, abs=1e-6) if isinstance(w, float) else w for w in words(text)
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("model", [*PICTURES, *OTHERS])
def test_a_program_gets_what_predict_gets(model, language, bench, served, tmp_path):
    question = OTHERS.get(model, "")
    if model in PICTURES:
        (row,) = (row for row in rows(PICTURES[model]) if row.model == model)
        (tmp_path / "picture.png").write_bytes(row.inputs[0])
        question = str(tmp_path / "picture.png")
    known = expected(bench, model, question, served)
    said = bench.ask(tmp_path, model, "--lang", language)
    if language == "curl":
        assert json.loads(said)["results"] == known["results"]
    else:
        assert known["results"][0] not in ({}, None)
        assert words(said) == shown(known)


@pytest.mark.parametrize("model", ["ch_ppocr_mobile_v2.0", "lac", "odd"])
def test_what_curl_is_asked_with_can_be_pasted_into_a_shell(model, bench, served, own, tmp_path):
    """An interactive one, which has a history, and takes `!` for it."""
    (row,) = (row for row in rows("reading") if row.model == "ch_ppocr_mobile_v2.0")
    (tmp_path / "picture.png").write_bytes(row.inputs[0])
    printed = run(bench.home, "client-config", model).stdout
    said = bench.shell(
        tmp_path,
        "--norc",
        "-o",
        "history",
        "-o",
        "histexpand",
        "-s",
        stdin=f"echo before\n{printed}",
    )
    answer = json.loads(said.removeprefix("before\n"))
    assert "error" not in answer
    assert answer["results" if model != "odd" else "outputs"]


TENSORS = [
    ("curl", "http"), ("python", "http"), ("python", "grpc"), ("python", "brpc"),
    ("java", "http"), ("cpp", "http"), ("cpp", "brpc"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "protocol"), TENSORS)
def test_own_tensors_go_under_whatever_names_they_have(language, protocol, bench, own, tmp_path):
    said = bench.ask(tmp_path, "odd", "--lang", language, "--protocol", protocol)
    if language == "curl":
        assert json.loads(said)["outputs"][0]["data"] == [3.0, 2.0, 0.0]
    else:
        assert words(said)[-3:] == [3.0, 2.0, 0.0]


@pytest.mark.parametrize(("language", "protocol"), TENSORS)
def test_sequences_go_with_their_offsets(language, protocol, bench, own, tmp_path):
    said = bench.ask(tmp_path, "sequences", "--lang", language, "--protocol", protocol)
    known = networks.TABLE[[1, 1, 1]].ravel().tolist()
    found = json.loads(said)["outputs"][0]["data"] if language == "curl" else words(said)[-6:]
    assert found == known


@pytest.mark.parametrize(("language", "protocol"), TENSORS[1:])
def test_a_tensor_of_every_type_goes_and_comes(language, protocol, bench, own, tmp_path):
    model, types = "echo", networks.NUMBERS
    if protocol == "brpc":
        model, types = "narrow", networks.PADDLE_SERVING
    said = bench.ask(tmp_path, model, "--lang", language, "--protocol", protocol)
    for name in types:
        values = [0.5, 1.0, 1.5, 2.0, 2.5] if "float" in name else [1.0] * networks.WIDTH
        found = words(said.partition(f"out_{name} ")[2])
        if language == "python":
            assert found[:3] == [name, 1.0, float(networks.WIDTH)]
            found = found[3:]
        assert [{"True": 1.0, "true": 1.0}.get(w, w) for w in found[: networks.WIDTH]] == values


def test_what_a_language_cannot_carry_is_refused_with_what_can(bench, served, own):
    for arguments, possible in (
        (("echo",), "--lang python, java or cpp"),
        (("echo", "--lang", "python", "--protocol", "brpc"), "--protocol http"),
        (("lac", "--lang", "java", "--protocol", "grpc"), "python: http, grpc, brpc"),
        (("ch_ppocr_mobile_v2.0", "--tensors"), "--protocol http, without --tensors"),
    ):
        ended = run(bench.home, "client-config", *arguments)
        assert ended.returncode == 2
        assert possible in ended.stderr


def test_a_running_server_is_found_by_what_it_serves(bench, served, own):
    assert bench.config("lac")["url"] == served.url
    assert bench.config("odd")["url"] == own.url, "a model that was named by its path"
    assert bench.config("MobileNetV1")["url"] == "http://127.0.0.1:9393", "nobody serves it"
    assert bench.config("lac", "--url", "10.0.0.5:80/")["url"] == "http://10.0.0.5:80"


def test_a_program_alone_is_printed_and_json_has_the_same(bench, served):
    told = bench.config("lac", "--lang", "python")
    printed = run(bench.home, "client-config", "lac", "--lang", "python")
    assert printed.stdout == told["files"]["ask.py"]
    assert printed.stderr == ""
    assert set(told) == {"schema", "model", "language", "protocol", "url", "files", "run"}


def test_tensors_of_a_task_model_have_the_networks_own_names_and_shapes(bench, served, tmp_path):
    said = bench.ask(tmp_path, "resnet50", "--tensors", "--lang", "python")
    scores = np.array([w for w in words(said) if isinstance(w, float)])
    assert "float32" in said
    assert scores.size > 0
