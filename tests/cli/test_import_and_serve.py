"""`import`, then `serve` and `predict` by name: real files, real engines, a real server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.program import run
from tests.server.process import serve
from tests.standins import linear
from tests.unit.importing import networks

PICTURE = Path(__file__).parents[1] / "data" / "ocr" / "digits.png"


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("write", [linear.write_onnx, linear.write_paddle])
def test_an_imported_model_is_served_by_its_name(write, link, tmp_path):
    write(tmp_path / "price")
    home = tmp_path / "home"
    ended = run(home, "import", str(tmp_path / "price"), *(["--link"] if link else []))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "try: paddlesrv serve price"
    x = np.ones((2, linear.FEATURES), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    with serve("price", home=home) as server, server.client() as client:
        answer = client.post("/v2/models/price/infer", json={"inputs": [tensor]}).json()
        assert "POST /predict/" not in "".join(server.output)
    np.testing.assert_allclose(answer["outputs"][0]["data"], linear.expected(x).ravel(), rtol=1e-5)


def test_an_imported_model_with_a_task_is_asked_in_its_words(tmp_path):
    networks.write_recognition(tmp_path / "reader", classes=5)
    (tmp_path / "keys.txt").write_text("a\nb\nc\n")
    home = tmp_path / "home"
    task = ("--task", "text-recognition", "--labels", str(tmp_path / "keys.txt"))
    ended = run(home, "import", str(tmp_path / "reader"), *task)
    assert ended.returncode == 0, ended.stderr
    here = run(home, "predict", "reader", str(PICTURE), "--json")
    assert here.returncode == 0, here.stderr
    with serve("reader", home=home) as server:
        text = "".join(server.output)
        assert "POST /predict/reader" in text
        there = run(home, "predict", "reader", str(PICTURE), "--url", server.url, "--json")
    assert json.loads(there.stdout)["results"] == json.loads(here.stdout)["results"]


def test_a_linked_model_whose_files_changed_is_not_served(tmp_path):
    linear.write_onnx(tmp_path / "price")
    home = tmp_path / "home"
    assert run(home, "import", str(tmp_path / "price"), "--link", "--no-run").returncode == 0
    networks.write_classifier(tmp_path / "price")
    ended = run(home, "serve", "price", "--port", "0")
    assert ended.returncode == 5
    assert "has changed since it was installed" in ended.stderr
