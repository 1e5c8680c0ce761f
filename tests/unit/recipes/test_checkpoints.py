"""Checkpoints are read as numbers: right ones whole, every other bytes refused, nothing run."""

from __future__ import annotations

import collections
import io
import json
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.recipes.checkpoints import read_pdparams, read_safetensors, read_torch

READERS = (read_torch, read_pdparams, read_safetensors)
RNG = np.random.default_rng(3)
WEIGHT = RNG.standard_normal((3, 4)).astype("f4")
COUNTS = np.arange(5, dtype="i8")


class Global:
    """Pickled as a name, whatever it is; `write` puts it into a pickle by hand."""

    def __init__(self, module: str, name: str) -> None:
        self.text = f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def storage(kind: str, key: str, numbers: int) -> bytes:
    name = Global("torch", kind).text
    return b"(" + text("storage") + name + text(key) + text("cpu") + number(numbers) + b"tQ"


def tensor(kind: str, key: str, numbers: int, offset: int, shape: Any, strides: Any) -> bytes:
    def several(values: Any) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    ordered = Global("collections", "OrderedDict").text + b")R"
    return (
        Global("torch._utils", "_rebuild_tensor_v2").text
        + b"("
        + storage(kind, key, numbers)
        + number(offset)
        + several(shape)
        + several(strides)
        + b"\x89"
        + ordered
        + b"tR"
    )


def state(**tensors: bytes) -> bytes:
    """A pickled OrderedDict of tensors, as torch writes it, with its `_metadata`."""
    items = b"".join(text(name) + value for name, value in tensors.items())
    ordered = Global("collections", "OrderedDict").text + b")R"
    return b"\x80\x02" + ordered + b"(" + items + b"u}" + text("_metadata") + b"}sb."


BOTH = state(
    w=tensor("FloatStorage", "1", 12, 0, (3, 4), (4, 1)),
    transposed=tensor("FloatStorage", "1", 12, 0, (4, 3), (1, 4)),
    part=tensor("FloatStorage", "1", 12, 4, (4,), (1,)),
    n=tensor("LongStorage", "2", 5, 0, (5,), (1,)),
    one=tensor("LongStorage", "2", 5, 3, (), ()),
    half=tensor("BFloat16Storage", "3", 2, 0, (2,), (1,)),
)
HALVES = np.array([1.5, -2.0], "f4")
BLOCKS = {
    "1": WEIGHT.tobytes(),
    "2": COUNTS.tobytes(),
    "3": (HALVES.view("u4") >> 16).astype("<u2").tobytes(),
}
NUMBERS = {"1": 12, "2": 5, "3": 2}


def legacy(pickled: bytes = BOTH) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [0x1950A86A20F9469CFC6C, 1001, system]
    head = b"".join(pickle.dumps(part, 2) for part in parts)
    blocks = b"".join(struct.pack("<q", NUMBERS[key]) + BLOCKS[key] for key in BLOCKS)
    return head + pickled + pickle.dumps(list(BLOCKS), 2) + blocks


def zipped(pickled: bytes = BOTH) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, block in BLOCKS.items():
            archive.writestr(f"archive/data/{key}", block)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def safetensors(header: dict[str, Any] | None = None, body: bytes = WEIGHT.tobytes()) -> bytes:
    default = {"w": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}
    written = json.dumps({"__metadata__": {"format": "pt"}, **(header or default)}).encode()
    return len(written).to_bytes(8, "little") + written + body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.mark.parametrize("make", [legacy, zipped])
def test_tensors_of_pytorch_are_read(file: Path, make: Any) -> None:
    file.write_bytes(make())
    found = read_torch(file)
    assert list(found) == ["w", "transposed", "part", "n", "one", "half"]
    np.testing.assert_array_equal(found["w"], WEIGHT)
    np.testing.assert_array_equal(found["transposed"], WEIGHT.T)
    np.testing.assert_array_equal(found["part"], WEIGHT.ravel()[4:8])
    np.testing.assert_array_equal(found["n"], COUNTS)
    assert found["one"] == 3
    np.testing.assert_array_equal(found["half"], HALVES)
    assert not found["w"].flags.writeable


@pytest.mark.parametrize(
    "wrong",
    [
        tensor("FloatStorage", "1", 12, 1, (3, 4), (4, 1)),
        tensor("FloatStorage", "1", 12, 0, (3, 4), (400, 1)),
        tensor("FloatStorage", "1", 12, 0, (1000, 1000, 1000), (0, 0, 0)),
        tensor("FloatStorage", "1", 12, 0, (-1, 4), (4, 1)),
        tensor("FloatStorage", "1", 12, -4, (3, 4), (4, 1)),
        tensor("FloatStorage", "1", 12, 0, (3, 4), (4,)),
        tensor("FloatStorage", "1", 1200, 0, (3, 4), (4, 1)),
        tensor("FloatStorage", "none", 12, 0, (3, 4), (4, 1)),
        tensor("UnheardOfStorage", "1", 12, 0, (3, 4), (4, 1)),
    ],
)
@pytest.mark.parametrize("make", [legacy, zipped])
def test_a_tensor_outside_its_storage_is_refused(file: Path, make: Any, wrong: bytes) -> None:
    file.write_bytes(make(state(w=wrong)))
    with pytest.raises(IntegrityError):
        read_torch(file)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_a_pickle_are_read_whatever_its_protocol(file: Path, protocol: int) -> None:
    arrays = {
        "w": WEIGHT,
        "fortran": np.asfortranarray(WEIGHT),
        "n": COUNTS,
        "one": np.float32(2.5),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), "f4"),
    }
    saved = {**arrays, "StructuredToParameterName@@": {"w": "linear_0.w_0"}, "rate": 0.1}
    file.write_bytes(pickle.dumps(saved, protocol))
    found = read_pdparams(file)
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_paddle_saves_is_read(file: Path, protocol: int) -> None:
    code = (
        "import sys, numpy, paddle\n"
        "layer = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.BatchNorm1D(4))\n"
        "paddle.save(layer.state_dict(), sys.argv[1], protocol=int(sys.argv[2]))\n"
        "state = {name: value.numpy() for name, value in layer.state_dict().items()}\n"
        "numpy.savez(sys.argv[1] + '.npz', **state)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file), str(protocol)], check=True)
    found, expected = read_pdparams(file), np.load(f"{file}.npz")
    assert sorted(found) == sorted(expected.files)
    for name in expected.files:
        np.testing.assert_array_equal(found[name], expected[name])


def test_safetensors_are_read(file: Path) -> None:
    header = {
        "w": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
        "half": {"dtype": "BF16", "shape": [2], "data_offsets": [48, 52]},
        "none": {"dtype": "I64", "shape": [0], "data_offsets": [52, 52]},
    }
    file.write_bytes(safetensors(header, WEIGHT.tobytes() + BLOCKS["3"]))
    found = read_safetensors(file)
    np.testing.assert_array_equal(found["w"], WEIGHT)
    np.testing.assert_array_equal(found["half"], HALVES)
    assert found["none"].shape == (0,)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({"w": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 44]}}, b"\0" * 44),
        ({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, b"\0" * 16),
        ({"w": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}, b"\0" * 16),
        ({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
        ({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, b"\0" * 4),
        (
            {
                "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
            },
            b"\0" * 6,
        ),
    ],
)
def test_places_that_do_not_fit_are_refused(file: Path, header: Any, body: bytes) -> None:
    file.write_bytes(safetensors(header, body))
    with pytest.raises(IntegrityError):
        read_safetensors(file)


class Evil:
    """What a pickle of an attacker says of itself."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self.place}",)


@pytest.mark.parametrize("reader", [read_torch, read_pdparams])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_would_run_a_command_is_refused_by_name(
    tmp_path: Path, reader: Any, protocol: int
) -> None:
    file, place = tmp_path / "evil", tmp_path / "was-here"
    evil = pickle.dumps({"w": Evil(place)}, protocol)
    file.write_bytes(legacy(evil) if reader is read_torch else evil)
    with pytest.raises(IntegrityError, match=r"posix\.system"):
        reader(file)
    assert not place.exists()


@pytest.mark.parametrize(
    "written",
    [
        b"cbuiltins\neval\n(X\x04\0\0\0dataX\x04\0\0\0datatR.",
        b"cbuiltins\ngetattr\n.",
        b"(X\x06\0\0\0whoamiios\nsystem\n.",  # INST
        b"(cos\nsystem\nX\x06\0\0\0whoamio.",  # OBJ
        b"\x82\x01.",  # an extension
        b"cnumpy\nndarray\n)\x81.",  # NEWOBJ
        b"\x80\x02]q\0(h\0e.",  # holds itself; is no dictionary
        b"}" + b"(" * 5000 + b".",
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x01O\x85R.",
    ],
)
def test_other_ways_to_run_or_to_confuse_are_refused(file: Path, written: bytes) -> None:
    file.write_bytes(written)
    with pytest.raises(IntegrityError):
        read_pdparams(file)


def test_objects_inside_arrays_are_refused(file: Path) -> None:
    file.write_bytes(pickle.dumps({"w": np.array([{}], dtype=object)}))
    with pytest.raises(IntegrityError):
        read_pdparams(file)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for reader in READERS:
        with pytest.raises(SourceUnreachable):
            reader(tmp_path / "none")


def whole(reader: Any) -> bytes:
    if reader is read_safetensors:
        return safetensors()
    if reader is read_pdparams:
        return pickle.dumps(collections.OrderedDict(w=WEIGHT, n=COUNTS), 4)
    return legacy()


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=300)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read(
    reader: Any, data: st.DataObject, tmp_path_factory: Any
) -> None:
    good = zipped() if reader is read_torch and data.draw(st.booleans()) else whole(reader)
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(1, len(damaged))) :]
    _read(reader, bytes(damaged), tmp_path_factory)


CODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=300)
@given(
    written=st.one_of(
        st.binary(max_size=200),
        st.lists(st.one_of(st.sampled_from(CODES), st.binary(max_size=8)), max_size=60).map(
            lambda parts: b"".join(parts) + b"."
        ),
    )
)
def test_any_bytes_are_refused_or_read(reader: Any, written: bytes, tmp_path_factory: Any) -> None:
    _read(reader, written, tmp_path_factory)


def _read(reader: Any, written: bytes, factory: Any) -> None:
    file = factory.getbasetemp() / "any"
    file.write_bytes(written)
    try:
        found = reader(file)
    except IntegrityError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
