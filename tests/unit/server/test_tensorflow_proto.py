"""TensorFlow's messages: every tensor survives; what is damaged is refused."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import InvalidInput, NotFound, PayloadTooLarge
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.grpc.calls import parse
from paddlesrv.server.protocols import tensorflow_proto
from paddlesrv.server.protocols.tensorflow_proto import (
    MetadataRequest,
    PredictRequest,
    TensorProto,
    decode_predict,
    decode_tensor,
    encode_predict,
    fill_tensor,
    metadata,
)
from paddlesrv.server.request import InferResponse
from paddlesrv.server.validation import check_inputs, fold_offsets
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))

TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "bytes": 7,
    "complex64": 8, "int64": 9, "bool": 10, "uint16": 17, "complex128": 18, "float16": 19,
    "uint32": 22, "uint64": 23,
}  # fmt: skip
NUMBERS = sorted(set(TYPES) - {"bytes"})


def elements(dtype: str) -> st.SearchStrategy[Any]:
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    if dtype == "bytes":
        return arrays.arrays(object, shapes, elements=st.binary(max_size=9), fill=st.just(b""))
    return arrays.arrays(dtype, shapes)


def tensor(dtype: str, shape: tuple[int, ...], **fields: Any) -> Any:
    shape_ = {"dim": [{"size": size} for size in shape]}
    return TensorProto(dtype=TYPES[dtype], tensor_shape=shape_, **fields)


@given(st.sampled_from(sorted(TYPES)).flatmap(elements))
def test_values_in_their_fields_survive(data: np.ndarray) -> None:
    proto = TensorProto()
    fill_tensor(proto, data)
    assert proto.dtype == TYPES["bytes" if data.dtype.kind == "O" else data.dtype.name]
    found = decode_tensor("x", TensorProto.FromString(proto.SerializeToString()))
    assert (found.dtype, found.shape) == (data.dtype, data.shape)
    if data.dtype.kind == "O":
        assert found.tolist() == data.tolist()
    else:
        np.testing.assert_array_equal(found, data)


@given(st.sampled_from(NUMBERS).flatmap(elements))
def test_content_survives_bit_for_bit(data: np.ndarray) -> None:
    little = data.astype(data.dtype.newbyteorder("<"))
    found = decode_tensor("x", tensor(data.dtype.name, data.shape, tensor_content=little.tobytes()))
    assert (found.dtype, found.shape) == (data.dtype, data.shape)
    assert found.tobytes() == data.tobytes()


def test_the_last_value_stands_for_all_that_follow() -> None:
    found = decode_tensor("x", tensor("int32", (2, 3), int_val=[1, 2]))
    assert found.tolist() == [[1, 2, 2], [2, 2, 2]]
    assert decode_tensor("x", tensor("float64", (2,))).tolist() == [0.0, 0.0]
    texts = decode_tensor("x", tensor("bytes", (3,), string_val=[b"a"]))
    assert texts.tolist() == [b"a", b"a", b"a"]
    pairs = decode_tensor("x", tensor("complex64", (2,), scomplex_val=[1, 2]))
    assert pairs.tolist() == [1 + 2j, 1 + 2j]
    halves = decode_tensor("x", tensor("float16", (2,), half_val=[0x3C00]))
    assert halves.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (tensor("int8", (1,), int_val=[128]), "out of range for int8"),
        (tensor("float16", (1,), half_val=[-1]), "out of range for float16"),
        (tensor("float16", (1,), half_val=[0x10000]), "out of range for float16"),
        (tensor("int32", (1,), float_val=[1]), "wrong field"),
        (tensor("int32", (1,), int_val=[1], tensor_content=b"abcd"), "wrong field"),
        (tensor("int32", (1,), tensor_content=b"abc"), "not as long"),
        (tensor("int32", (1,), int_val=[1, 2]), "more values"),
        (tensor("bytes", (1,), tensor_content=b"\1a"), "string"),
        (tensor("complex64", (1,), scomplex_val=[1]), "half a complex"),
        (tensor("int32", (-1,), int_val=[1]), "impossible shape"),
        (TensorProto(dtype=20), "not taken"),
        (TensorProto(), "not taken"),
    ],
)
def test_what_does_not_go_together_is_refused(proto: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        decode_tensor("x", proto)


def test_a_repeated_value_has_a_limit() -> None:
    with pytest.raises(PayloadTooLarge, match="repeats"):
        decode_tensor("x", tensor("float32", (2**31,), float_val=[1]))


def test_an_answer_names_model_version_and_offsets() -> None:
    data = np.arange(5, dtype=np.int64)
    answer = encode_predict(InferResponse("m", "1", {"y": Tensor(data, (0, 2, 5))}))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("m", 1)
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["y.lod"].int64_val) == [0, 2, 5]


def test_metadata_is_the_signature_alone() -> None:
    spec = ModelSpec(
        name="m", task="tensors", format="onnx",
        inputs=(TensorSpec(name="x", dtype="bfloat16", shape=(-1, 1), lod_level=1),),
        outputs=(TensorSpec(name="y", dtype="bytes", shape=(7,), batching="whole"),),
    )  # fmt: skip
    said = metadata(MetadataRequest(metadata_field=["signature_def"]), spec, "1")
    signatures = tensorflow_proto.message("tensorflow.serving.SignatureDefMap")()
    assert said.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert (signature.inputs["x"].dtype, signature.inputs["x.lod"].dtype) == (14, 9)
    assert [d.size for d in signature.outputs["y"].tensor_shape.dim] == [7]
    for fields in ([], ["other"], ["signature_def", "other"]):
        with pytest.raises(InvalidInput, match="signatures"):
            metadata(MetadataRequest(metadata_field=fields), spec, "1")


SPEC = ModelSpec(
    name="m", task="tensors", format="onnx",
    inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
)  # fmt: skip


def valid(dtypes: list[str]) -> Any:
    request = PredictRequest(model_spec={"name": "m", "version": {"value": 1}}, output_filter=["y"])
    for dtype in dtypes:
        data = np.array([[b"ab", b"c"]], object) if dtype == "bytes" else np.ones((1, 2), dtype)
        fill_tensor(request.inputs[dtype], data)
    return request


def test_damage_is_refused_or_another_request() -> None:
    content = PredictRequest(model_spec={"name": "m"})
    content.inputs["x"].CopyFrom(tensor("float32", (2, 3), tensor_content=bytes(24)))
    originals = [valid(sorted(TYPES)), valid(["float32"]), valid(["bytes"]), content]
    bodies = [request.SerializeToString() for request in originals]
    for request in originals:
        assert decode_predict(request).model == "m"
    for seed in range(DAMAGED):
        body = damaged(seed, bodies[seed % len(bodies)])
        with contextlib.suppress(InvalidInput, NotFound):
            request = decode_predict(parse(PredictRequest, body))
            check_inputs(SPEC, fold_offsets(SPEC, request.inputs))
