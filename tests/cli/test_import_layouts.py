"""A classifier of one's own, in every layout that exporters write: import, serve, the right label.

The network knows colours by the mean of what it sees, so that its answer is known, and says so
only if the picture went in as the parameters tell.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.program import run
from tests.server.process import serve

LAYOUTS = ("model", "scattered", "pdmodel", "pir", "onnx")
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
HOW = ("--set", "mean=[0.5,0.5,0.5]", "--set", "std=[0.5,0.5,0.5]", "--set", "crop=[32,32]")

_EXPORT = """
import sys
import numpy as np
import paddle
layout, place = sys.argv[1], sys.argv[2]
paddle.enable_static()
assign = lambda a: paddle.ParamAttr(initializer=paddle.nn.initializer.Assign(a))
x = paddle.static.data("x", [-1, 3, 32, 32], "float32")
weight = (20 * np.eye(3)).astype("float32")
layer = paddle.nn.Linear(3, 3, assign(weight), assign(np.zeros(3, "float32")))
y = paddle.nn.functional.softmax(layer(paddle.mean(x, axis=[2, 3])))
executor = paddle.static.Executor(paddle.CPUPlace())
executor.run(paddle.static.default_startup_program())
if layout == "scattered":
    from pathlib import Path
    paddle.static.save_inference_model(place + "/net", [x], [y], executor)
    program, _, _ = paddle.static.load_inference_model(place + "/net", executor)
    for name in [v.name for v in program.list_vars() if v.persistable]:
        if name in ("feed", "fetch"):
            continue
        value = paddle.static.global_scope().find_var(name).get_tensor()
        with open(place + "/" + name, "wb") as file:
            array = np.array(value)
            desc = bytes([8, 5]) + b"".join(bytes([16, d]) for d in array.shape)
            file.write(b"\\0" * 4 + b"\\0" * 8 + b"\\0" * 4)
            file.write(len(desc).to_bytes(4, "little") + desc + array.tobytes())
    Path(place, "net.pdmodel").rename(place + "/__model__")
    Path(place, "net.pdiparams").unlink()
else:
    paddle.static.save_inference_model(place + "/inference", [x], [y], executor)
    if layout == "model":
        from pathlib import Path
        Path(place, "inference.pdmodel").rename(place + "/__model__")
        Path(place, "inference.pdiparams").rename(place + "/__params__")
"""


def _write_onnx(place: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    from tests.unit.importing import networks

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(20 * np.eye(3, dtype=np.float32), "w")],
    )
    networks.save(place, graph)


def _write(layout: str, place: Path) -> None:
    place.mkdir()
    if layout == "onnx":
        _write_onnx(place)
        return
    subprocess.run(
        [sys.executable, "-c", _EXPORT, layout, str(place)],
        check=True,
        capture_output=True,
        env={**os.environ, "FLAGS_enable_pir_api": "1" if layout == "pir" else "0"},
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_classifier_of_any_layout_is_imported_served_and_names_what_it_sees(
    layout: str, tmp_path: Path
) -> None:
    _write(layout, tmp_path / "sorter")
    (tmp_path / "f.txt").write_text("".join(f"{name}\n" for name in COLOURS))
    home, labels = tmp_path / "home", str(tmp_path / "f.txt")
    words = ("import", str(tmp_path / "sorter"), "--task", "classification", "--labels", labels)
    ended = run(home, *words, *HOW)
    assert ended.returncode == 0, ended.stderr
    assert "3 labels, as many as the network has classes" in ended.stdout
    with serve("sorter", home=home) as server, server.client() as client:
        for name, colour in COLOURS.items():
            done, file = cv2.imencode(".png", np.full((50, 70, 3), colour, np.uint8))
            assert done
            answer = client.post("/predict/sorter", content=bytes(file)).json()
            assert answer["results"][0]["classes"][0]["label"] == name


def test_a_parameter_that_the_task_does_not_know_is_refused_with_those_it_knows(
    tmp_path: Path,
) -> None:
    _write("onnx", tmp_path / "sorter")
    words = ("import", str(tmp_path / "sorter"), "--task", "classification")
    for setting, told in (("men=[0,0,0]", "mean"), ("mean", "NAME=VALUE"), ("crop=wide", "crop")):
        ended = run(tmp_path / "home", *words, "--set", setting)
        assert ended.returncode == 2
        assert told in ended.stderr
