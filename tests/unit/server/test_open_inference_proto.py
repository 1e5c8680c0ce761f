"""The Open Inference Protocol's messages: every tensor survives; what is damaged is refused."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from paddlesrv_client.wire.messages import POOL
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import (
    deserialize_bytes_tensor,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.grpc.calls import parse
from paddlesrv.server.protocols.datatypes import TO_NUMPY
from paddlesrv.server.protocols.open_inference_proto import (
    ModelInferRequest,
    ModelInferResponse,
    config,
    decode,
    encode,
)
from paddlesrv.server.request import InferResponse
from paddlesrv.server.validation import check_inputs, fold_offsets
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))

CONTENTS = {
    "BOOL": "bool", "INT8": "int", "INT16": "int", "INT32": "int", "INT64": "int64",
    "UINT8": "uint", "UINT16": "uint", "UINT32": "uint", "UINT64": "uint64", "FP32": "fp32",
    "FP64": "fp64", "BYTES": "bytes",
}  # fmt: skip


def elements(datatype: str) -> st.SearchStrategy[Any]:
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    if datatype != "BYTES":
        return arrays.arrays(TO_NUMPY[datatype], shapes)
    texts = arrays.arrays(object, shapes, elements=st.binary(max_size=9), fill=st.just(b""))
    return texts


tensors = st.sampled_from(sorted(TO_NUMPY)).flatmap(
    lambda datatype: st.tuples(st.just(datatype), elements(datatype))
)


def same(found: np.ndarray, sent: np.ndarray) -> None:
    assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
    if sent.dtype.kind == "O":
        assert found.tolist() == sent.tolist()
    else:
        assert found.tobytes() == sent.tobytes()  # NaN too, bit for bit


def raw(data: np.ndarray) -> bytes:
    """As tritonclient writes them."""
    if data.dtype.kind != "O":
        return data.tobytes()
    packed = serialize_byte_tensor(data)
    return packed.item() if packed.size else b""


@given(tensors)
def test_a_raw_tensor_survives(sent: tuple[str, np.ndarray]) -> None:
    datatype, data = sent
    request = service_pb2.ModelInferRequest(model_name="m", id="7")
    request.inputs.add(name="x", datatype=datatype, shape=data.shape)
    request.raw_input_contents.append(raw(data))
    found = decode(ModelInferRequest.FromString(request.SerializeToString()))
    assert (found.model, found.id, found.version, found.outputs) == ("m", "7", None, ())
    same(found.inputs["x"].data, data)


@given(tensors.filter(lambda sent: sent[0] in CONTENTS))
def test_a_typed_tensor_survives(sent: tuple[str, np.ndarray]) -> None:
    datatype, data = sent
    request = service_pb2.ModelInferRequest(model_name="m")
    part = request.inputs.add(name="x", datatype=datatype, shape=data.shape)
    getattr(part.contents, f"{CONTENTS[datatype]}_contents").extend(data.ravel().tolist())
    found = decode(ModelInferRequest.FromString(request.SerializeToString()))
    if datatype != "FP32":
        same(found.inputs["x"].data, data)
    else:  # which NaN it is may change on the way through a Python float
        np.testing.assert_array_equal(found.inputs["x"].data, data)


@given(tensors, st.booleans())
def test_an_answer_survives(sent: tuple[str, np.ndarray], lod: bool) -> None:
    datatype, data = sent
    response = InferResponse("m", "1", {"y": Tensor(data, (0, 2, 5) if lod else None)}, "7")
    answer = service_pb2.ModelInferResponse.FromString(encode(response).SerializeToString())
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", "7")
    output = answer.outputs[0]
    assert (output.name, output.datatype, tuple(output.shape)) == ("y", datatype, data.shape)
    content = answer.raw_output_contents[0]
    if datatype == "BYTES":
        found = deserialize_bytes_tensor(content).reshape(data.shape)
        assert found.tolist() == data.tolist()
    else:
        same(np.frombuffer(content, triton_to_np_dtype(datatype)).reshape(data.shape), data)
    if lod:
        assert answer.outputs[1].name == "y.lod"
        assert np.frombuffer(answer.raw_output_contents[1], np.int64).tolist() == [0, 2, 5]


def valid(**fields: Any) -> Any:
    request = ModelInferRequest(model_name="m", id="7", outputs=[{"name": "y"}], **fields)
    request.parameters["timeout"].int64_param = 5000
    data = np.arange(6, dtype=np.float32)
    request.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    request.inputs.add(name="words", datatype="BYTES", shape=[2, 1])
    request.raw_input_contents.extend([data.tobytes(), raw(np.array([b"ab", b"c"], object))])
    return request


def typed() -> Any:
    request = ModelInferRequest(model_name="m")
    for datatype, field in CONTENTS.items():
        part = request.inputs.add(name=datatype, datatype=datatype, shape=[1, 2])
        values = [b"ab", b""] if datatype == "BYTES" else [1, 0]
        getattr(part.contents, f"{field}_contents").extend(values)
    return request


@pytest.mark.parametrize(
    ("parameter", "seconds"),
    [({"int64_param": 5000}, 0.005), ({"uint64_param": 1}, 1e-6), ({"int64_param": 0}, None)],
)
def test_a_timeout_is_in_microseconds(parameter: dict, seconds: float | None) -> None:
    request = valid()
    request.parameters["timeout"].CopyFrom(type(request.parameters["timeout"])(**parameter))
    assert decode(request).timeout == seconds


@pytest.mark.parametrize("parameter", [{"string_param": "5"}, {"int64_param": -5}, {}])
def test_a_timeout_that_is_none_is_refused(parameter: dict) -> None:
    request = valid()
    request.parameters["timeout"].CopyFrom(type(request.parameters["timeout"])(**parameter))
    with pytest.raises(InvalidInput, match="microseconds"):
        decode(request)


def test_what_would_change_the_answer_is_not_passed_over() -> None:
    request = valid()
    request.outputs[0].parameters["classification"].int64_param = 3
    with pytest.raises(InvalidInput, match="'classification', which is not served"):
        decode(request)


def test_raw_contents_must_be_as_many_as_inputs_and_alone() -> None:
    request = valid()
    del request.raw_input_contents[1]
    with pytest.raises(InvalidInput, match="one raw content for each input"):
        decode(request)
    twice = valid()
    twice.inputs[1].name = "x"
    with pytest.raises(InvalidInput, match="comes twice"):
        decode(twice)


def test_a_config_has_the_batch_apart() -> None:
    inputs = (TensorSpec(name="x", dtype="float32", shape=(-1, 3, 4)),)
    spec = ModelSpec(
        name="m", task="tensors", format="onnx", inputs=inputs, max_batch_size=4,
        outputs=(TensorSpec(name="y", dtype="bytes", shape=(-1,)),),
    )  # fmt: skip
    told = config(spec, max_batch_size=4, max_delay=0.002).SerializeToString()
    found = service_pb2.ModelConfigResponse.FromString(told).config
    assert (found.name, found.max_batch_size) == ("m", 4)
    assert found.dynamic_batching.max_queue_delay_microseconds == 2000
    assert list(found.input[0].dims) == [3, 4]
    assert found.input[0].data_type == model_config_pb2.TYPE_FP32
    assert found.output[0].data_type == model_config_pb2.TYPE_STRING
    whole = (TensorSpec(name="x", dtype="float32", shape=(1, 3), batching="whole"),)
    alone = ModelSpec(name="m", task="tensors", format="onnx", inputs=whole)
    told = config(alone, max_batch_size=4, max_delay=0.0).SerializeToString()
    found = service_pb2.ModelConfigResponse.FromString(told).config
    assert (found.max_batch_size, list(found.input[0].dims)) == (0, [1, 3])


def test_our_messages_are_the_published_ones() -> None:
    compared = 0
    file = POOL.FindFileByName("open_inference.proto")
    theirs: dict[str, Any] = {}
    for module in (service_pb2, model_config_pb2):
        theirs |= module.DESCRIPTOR.message_types_by_name
    stack = [(own, theirs[name]) for name, own in file.message_types_by_name.items()]
    while stack:
        own, their = stack.pop()
        for nested in own.nested_types:
            if nested.name != "PropertiesEntry":
                stack.append((nested, their.nested_types_by_name[nested.name]))
        for field in own.fields:
            if field.name == "properties":
                continue  # KServe's alone
            published = their.fields_by_name[field.name]
            wanted = (published.number, published.type, published.is_repeated)
            assert (field.number, field.type, field.is_repeated) == wanted, field.full_name
            compared += 1
    assert compared > 100
    own = {value.name: value.number for value in file.enum_types_by_name["DataType"].values}
    assert own.items() <= dict(model_config_pb2.DataType.items()).items()
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    for method in file.services_by_name["GRPCInferenceService"].methods:
        other = service.methods_by_name[method.name]
        assert method.input_type.name == other.input_type.name
        assert method.output_type.name == other.output_type.name
        assert method.server_streaming == other.server_streaming


SPEC = ModelSpec(
    name="m", task="tensors", format="onnx",
    inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
)  # fmt: skip


def test_damage_is_refused_or_another_request() -> None:
    originals = [valid().SerializeToString(), typed().SerializeToString()]
    for seed in range(DAMAGED):
        body = damaged(seed, originals[seed % len(originals)])
        with contextlib.suppress(InvalidInput):
            request = decode(parse(ModelInferRequest, body))
            check_inputs(SPEC, fold_offsets(SPEC, request.inputs))


def test_the_messages_that_are_damaged_are_sound() -> None:
    assert decode(valid()).inputs["words"].data.tolist() == [[b"ab"], [b"c"]]
    assert len(decode(typed()).inputs) == len(CONTENTS)
    assert ModelInferResponse.DESCRIPTOR.full_name == "inference.ModelInferResponse"
