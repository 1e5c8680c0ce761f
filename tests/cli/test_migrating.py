"""What Paddle Serving's users have: their directories and configs, asked by their own clients."""

from __future__ import annotations

import gc
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.program import run
from tests.cli.servers import Servers
from tests.protocols.brpc_client import array_of
from tests.protocols.old_client import messages, old_client
from tests.protocols.old_pipeline import old_pipeline_client
from tests.server.process import ServerProcess, serve
from tests.standins import converted, linear

CONFIG = """
worker_num: 4
rpc_port: {rpc}
http_port: 18082
dag: {{is_thread_op: True, tracer: {{interval_s: 10}}}}
op:
    housing:
        concurrency: 2
        batch_size: 4
        local_service_conf:
            model_config: uci/serving_server
            client_type: local_predictor
            devices: ""
            fetch_list: [price]
"""


def features(count: int = 3) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


@contextmanager
def http_client(url: str, config: Path) -> Iterator[Any]:
    """Paddle Serving's own client over HTTP, with its half of a converted model."""
    with old_client() as module:
        client = module.HttpClient()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it leaves the file open
            client.load_client_config(str(config))
            gc.collect()
        client.connect([url.removeprefix("http://")])
        yield client
        client.channel_.close()
        client.requests_session.close()


def asked_by_its_old_client(server: ServerProcess, config: Path) -> None:
    x = features()
    with http_client(server.url, config) as client:
        said = client.predict(feed={"x": x}, fetch=["price"], batch=True)
    (tensor,) = said.outputs[0].tensor
    assert tensor.alias_name == "price"
    np.testing.assert_allclose(array_of(tensor), linear.expected(x), rtol=1e-4)


@pytest.mark.parametrize(
    ("program", "params"),
    [("model.pdmodel", "params.pdiparams"), ("__model__", "__params__"), ("__model__", "params")],
)
@pytest.mark.parametrize("below", ["", "serving_server"])
def test_a_converted_model_is_imported_and_keeps_its_old_clients(tmp_path, program, params, below):
    converted.write_housing(tmp_path / "uci", program, params)
    home = tmp_path / "home"
    ended = run(home, "import", str(tmp_path / "uci" / below))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "clients of Paddle Serving call its tensors price (" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "try: paddlesrv serve uci"
    if (program, below) == ("model.pdmodel", ""):
        with serve("uci", home=home) as server:
            asked_by_its_old_client(server, tmp_path / "uci" / "serving_client")


def test_a_converted_model_is_served_where_it_lies_under_the_name_of_what_holds_it(tmp_path):
    converted.write_housing(tmp_path / "uci")
    with serve(str(tmp_path / "uci" / "serving_server"), home=tmp_path) as server:
        assert "/v2/models/uci/infer" in "".join(server.output)
        asked_by_its_old_client(server, tmp_path / "uci" / "serving_client")


def test_names_are_read_from_the_bytes_where_the_text_is_lost(tmp_path):
    converted.write_housing(tmp_path / "uci")
    (tmp_path / "uci" / "serving_server" / "serving_server_conf.prototxt").unlink()
    shutil.rmtree(tmp_path / "uci" / "serving_client")
    ended = run(tmp_path / "home", "import", str(tmp_path / "uci"), "--no-run", "--json")
    aliases = json.loads(ended.stdout)["model"]["spec"]["aliases"]
    assert set(aliases) == {"x", "price"}


def test_a_sequence_keeps_its_offsets(tmp_path):
    code = "import sys, pathlib; from tests.standins.language import write_lac; "
    code += "write_lac(pathlib.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True, capture_output=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "FLAGS_enable_pir_api": "0"},
    )  # fmt: skip
    home = tmp_path / "home"
    ended = run(home, "import", str(tmp_path / "lac_model"), "--name", "words")
    assert ended.returncode == 0, ended.stderr
    theirs = messages("general_model_service")
    request = theirs["Request"](fetch_var_names=["crf_decode"])
    request.tensor.add(
        alias_name="words", elem_type=0, shape=[5, 1], int64_data=[2, 3, 4, 5, 6], lod=[0, 2, 5]
    )
    with serve("words", home=home) as server, server.client() as client:
        answer = client.post(
            "/GeneralModelService/inference",
            content=request.SerializeToString(),
            headers={"content-type": "application/proto"},
        )
    (tensor,) = theirs["Response"].FromString(answer.content).outputs[0].tensor
    assert (tensor.alias_name, list(tensor.lod)) == ("crf_decode", [0, 2, 5])
    assert len(tensor.int64_data) == 5


def test_what_its_config_says_otherwise_than_the_network_is_told(tmp_path):
    converted.write_housing(tmp_path / "uci")
    conf = tmp_path / "uci" / "serving_server" / "serving_server_conf.prototxt"
    text = conf.read_text().replace("feed_type: 1", "feed_type: 0").replace("shape: 13", "shape: 7")
    conf.write_text(text)
    ended = run(tmp_path / "home", "import", str(tmp_path / "uci"), "--no-run")
    assert ended.returncode == 0
    told = "warning: serving_server_conf.prototxt: it feeds 'x' "
    assert f"{told}as int64, the network takes float32" in ended.stderr
    assert f"{told}with rows of [7], the network takes [13]" in ended.stderr


@pytest.mark.parametrize("key", ["key", "elsewhere"])
def test_an_encrypted_model_is_refused_and_the_hint_decrypts_it(tmp_path, key):
    converted.write_housing(tmp_path / "uci", "__model__", "__params__")
    place = tmp_path / "uci" / "serving_server"
    code = (
        "import sys; from paddle.base import core; place, key = sys.argv[1:]; "
        "k = core.CipherUtils.gen_key_to_file(128, key); c = core.CipherFactory.create_cipher(); "
        "[c.encrypt_to_file(open(f'{place}/{a}', 'rb').read(), k, f'{place}/{b}') for a, b in "
        "(('__model__', 'encrypt_model'), ('__params__', 'encrypt_params'))]"
    )
    subprocess.run([sys.executable, "-c", code, place, place / key], check=True)
    for name in ("__model__", "__params__"):
        (place / name).unlink()
    home = tmp_path / "home"
    for command in ("import", "serve"):
        ended = run(home, command, str(tmp_path / "uci"))
        assert ended.returncode == 2
        assert "is encrypted, and cannot be read" in ended.stderr
    hint = re.search(r"^hint: decrypt it with the key: (python .*)$", ended.stderr, re.MULTILINE)
    words = [word.replace("KEY_FILE", str(place / key)) for word in shlex.split(hint[1])]
    subprocess.run([sys.executable, *words[1:]], check=True)
    assert run(home, "import", str(place), "--name", "uci").returncode == 0


# -- config.yml ------------------------------------------------------------------------------


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The directory of a pipeline of one op."""
    converted.write_housing(tmp_path / "uci")
    (tmp_path / "config.yml").write_text(CONFIG.format(rpc=9998))
    return tmp_path


def test_a_pipelines_config_is_served_under_its_old_route(pipeline):
    x = features(2)
    text = ";".join(", ".join(str(value) for value in row) for row in x)
    arguments = (str(pipeline / "config.yml"), "--grpc-port", "0")
    with serve(*arguments, home=pipeline / "home") as server, server.client() as client:
        said = client.post("/housing/prediction", json={"key": ["x"], "value": [text]}).json()
        with old_pipeline_client(server.url.removeprefix("http://")) as own:
            numbers = [[float(value) for value in row] for row in x]
            theirs = own.predict(feed_dict={"x": str(numbers)}, fetch=["price"])
        output = "".join(server.output)
    assert (said["err_no"], said["key"]) == (0, ["price"])
    for value in (said["value"][0], theirs.value[0]):
        numbers = re.findall(r"-?\d+\.\d+", value)
        np.testing.assert_allclose(np.float32(numbers), linear.expected(x).ravel(), rtol=1e-4)
    assert (theirs.err_no, list(theirs.key)) == (0, ["price"])
    assert "op.housing.batch_size as max_batch_size: 4" in output
    assert "other keys mean nothing here" in output
    assert "preprocess and postprocess of your Python file are not run" in output


def test_detached_it_keeps_its_name(pipeline):
    servers = Servers(pipeline / "home", pipeline / "uci")
    ended = servers.run(
        "serve", str(pipeline / "config.yml"), "-d", "--port", "0", "--grpc-port", "0", "--json"
    )
    try:
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["models"] == ["housing"]
        assert [each["name"] for each in servers.ps()] == ["housing"]
        assert servers.run("stop", "housing").returncode == 0
    finally:
        servers.close()


def test_a_dry_run_tells_what_becomes_of_each_key(pipeline):
    config = str(pipeline / "config.yml")
    ended = run(pipeline / "home", "serve", config, "--port", "0", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    rows = {line.split()[0]: line for line in ended.stdout.splitlines()}
    assert "taken" in rows["rpc_port"]
    assert "as grpc_port: 9998" in rows["rpc_port"]
    assert "nothing" in rows["dag.tracer.interval_s"]
    assert "GET /metrics" in rows["dag.tracer.interval_s"]
    assert "would serve http://127.0.0.1:0 as housing" in ended.stdout
    ended = run(pipeline / "home", "serve", config, "--port", "0", "--dry-run", "--json")
    told = json.loads(ended.stdout)["translation"]
    assert told["config"]["models"][0]["name"] == "housing"
    assert {"place", "value", "outcome", "text"} <= set(told["keys"][0])


def test_what_cannot_be_expressed_ends_with_the_place_and_the_way(pipeline):
    config = pipeline / "config.yml"
    config.write_text(config.read_text() + "            device_type: 2\n")
    ended = run(pipeline / "home", "serve", str(config))
    assert ended.returncode == 6
    place = (
        f"op.housing.local_service_conf.device_type   it is TensorRT, which is not there ({config}:"
    )
    assert place in ended.stderr
    assert "hint: write device_type: 1 (a GPU) or 0 (the CPU)" in ended.stderr


def test_a_config_file_and_names_are_one_too_many(pipeline):
    ended = run(pipeline / "home", "serve", str(pipeline / "config.yml"), "ocr")
    assert ended.returncode == 2
    assert "names of models and a config file together" in ended.stderr
    ended = run(pipeline / "home", "serve", str(pipeline / "other.yml"))
    assert ended.returncode == 2
    assert "other.yml cannot be read" in ended.stderr


def test_a_config_of_our_own_may_be_named_as_a_word_too(pipeline):
    own = pipeline / "mine.yaml"
    text = f"port: 0\nmodels: [{{name: housing, path: {pipeline / 'uci'}}}]\n"
    own.write_text(text)
    ended = run(pipeline / "home", "serve", str(own), "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "model    housing " in ended.stdout
