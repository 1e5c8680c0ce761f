"""The Python client as a package: its README's programs run, it loads little, it agrees with
the server about every tensor."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from paddlesrv_client import Client, ConnectionFailed, RetryPolicy
from paddlesrv_client.open_inference import HEADER_LENGTH, HttpAnswer, HttpCodec
from paddlesrv_client.open_inference_proto import GrpcCodec
from paddlesrv_client.tensors import prepare
from paddlesrv_client.wire.messages import message

from paddlesrv.models.tensor import Tensor
from paddlesrv.server.protocols import open_inference, open_inference_proto
from paddlesrv.server.request import InferResponse
from tests.clients import networks
from tests.clients.conftest import PICTURE
from tests.server.process import ServerProcess, serve

ROOT = Path(__file__).parents[2] / "clients" / "python"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.mark.parametrize("program", PROGRAMS, ids=["blocking", "async"])
def test_the_readmes_programs_run(
    clients_server: ServerProcess, tmp_path: Path, program: str
) -> None:
    with Client(clients_server.url) as client:
        side = client.metadata("linear").inputs[0].shape[-1]
    told = {
        "http://127.0.0.1:9393": clients_server.url,
        "uci_housing": "linear",
        "resnet50": "colours",
    }
    shutil.copy(PICTURE, tmp_path / "cat.jpg")
    assert "9393" in program
    for word, instead in told.items():
        program = program.replace(word, instead)
    program = program.replace("(1, 13)", f"(1, {side})")
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_little_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, paddlesrv.client; assert 'numpy' not in sys.modules\n"
        "import paddlesrv_client; print(*({'grpc', 'httpx', 'paddle'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tls_is_verified_against_the_certificate_given(
    certificate: tuple[Path, Path], tmp_path: Path, protocol: Any
) -> None:
    networks.write_echo(tmp_path / "echo", ("float32",))
    cert, key = certificate
    arguments = (str(tmp_path / "echo"), "--tls-cert", str(cert), "--tls-key", str(key))
    x = {"in_float32": np.ones((1, networks.WIDTH), np.float32)}
    once = RetryPolicy(attempts=1)
    with serve(*arguments, home=tmp_path / "home") as server:
        with Client(server.url, protocol, verify=str(cert)) as client:
            np.testing.assert_array_equal(client.infer("echo", x)["out_float32"], x["in_float32"])
        with Client(server.url, protocol, retries=once) as stranger:
            with pytest.raises(ConnectionFailed):
                stranger.infer("echo", x)


TEXTS = st.lists(st.one_of(st.text(), st.binary()), max_size=6).map(
    lambda parts: np.array([*parts, None], dtype=object)[:-1]
)
NUMBERS = st.sampled_from(networks.NUMBERS).flatmap(
    lambda name: arrays.arrays(name, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


def as_bytes(array: Any) -> Any:
    if array.dtype != object:
        return array.tobytes()
    return [each.encode() if isinstance(each, str) else each for each in array.flat]


def alike(found: Any, sent: Any) -> bool:
    same = (found.dtype, found.shape) == (sent.dtype, sent.shape)
    return bool(same and as_bytes(found) == as_bytes(sent))


@given(array=st.one_of(TEXTS, NUMBERS))
def test_the_server_reads_over_http_what_was_sent_and_is_read_itself(array: Any) -> None:
    call = HttpCodec().infer("m", prepare({"x": array}, {"x": [0, 1]}), (), "id", 2.0)
    length = call.request.headers[HEADER_LENGTH]
    request, forms = open_inference.decode("m", None, call.request.body, length)
    assert alike(request.inputs["x"].data, array)
    assert request.inputs["x.lod"].data.tolist() == [0, 1]
    assert request.timeout == pytest.approx(2.0)
    stored = request.inputs["x"].data
    answer = InferResponse("m", "1", {"y": Tensor(stored, (0, 1))}, id="id")
    body, size = open_inference.encode(answer, forms)
    headers = {HEADER_LENGTH.lower(): str(size)} if size is not None else {}
    found = call.read(HttpAnswer(200, headers, body))
    assert alike(found["y"], array)
    assert (found.lod, found.id) == ({"y": (0, 1)}, "id")


@given(array=st.one_of(TEXTS, NUMBERS))
def test_the_server_reads_over_grpc_what_was_sent_and_is_read_itself(array: Any) -> None:
    call = GrpcCodec().infer("m", prepare({"x": array}, None), ("y",), None, 2.0)
    sent = message("inference.ModelInferRequest").FromString(call.request.body)
    request = open_inference_proto.decode(sent)
    assert alike(request.inputs["x"].data, array)
    assert request.outputs == ("y",)
    answer = InferResponse("m", "1", {"y": Tensor(request.inputs["x"].data, (0, 1))})
    found = call.read(open_inference_proto.encode(answer).SerializeToString())
    assert alike(found["y"], array)
    assert found.lod == {"y": (0, 1)}
