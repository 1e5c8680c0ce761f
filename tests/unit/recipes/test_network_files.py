"""Files of other frameworks are read as data: damaged ones are refused, whatever their bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.tfjs_file import read_tfjs
from paddlesrv.recipes.tflite_file import read_tflite
from tests.unit.recipes.flatbuffers import tflite

WEIGHTS = [
    {"name": "plain", "shape": [2, 2], "dtype": "float32"},
    {
        "name": "small",
        "shape": [3],
        "dtype": "float32",
        "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
    },
]
NUMBERS = np.arange(4, dtype="<f4").tobytes() + bytes([0, 2, 255])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "manifest.json", tmp_path / "weights.bin"


def write(files: tuple[Path, Path], weights: Any = WEIGHTS, numbers: bytes = NUMBERS) -> None:
    files[0].write_text(json.dumps([{"weights": weights, "paths": ["weights.bin"]}]))
    files[1].write_bytes(numbers)


def test_quantised_numbers_are_what_they_stand_for(files: tuple[Path, Path]) -> None:
    write(files)
    found = read_tfjs(*files)
    np.testing.assert_array_equal(found["plain"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(found["small"], np.array([-1, 0, 126.5], "f4"))


@pytest.mark.parametrize(
    ("weights", "numbers"),
    [
        (WEIGHTS, NUMBERS[:-1]),
        (WEIGHTS, NUMBERS + b"\0"),
        ([{"name": "w", "shape": [-1], "dtype": "float32"}], b""),
        ([{"name": "w", "shape": [1 << 40], "dtype": "float32"}], b""),
        ([{"name": "w", "shape": [1], "dtype": "string"}], b"\0"),
        ([], b""),
        ("weights", b""),
    ],
)
def test_weights_that_do_not_fit_their_manifest_are_refused(
    files: tuple[Path, Path], weights: Any, numbers: bytes
) -> None:
    write(files, weights, numbers)
    with pytest.raises(IntegrityError):
        read_tfjs(*files)


def test_a_network_is_read_with_its_constants_widened(tmp_path: Path) -> None:
    kernel = np.arange(12, dtype="<f2").reshape(2, 1, 2, 3)
    file = tmp_path / "n.tflite"
    file.write_bytes(tflite(kernel))
    network = read_tflite(file)
    (step,) = network.operators
    assert (step.kind, step.options["same"], step.options["down"]) == ("CONV_2D", 1, 2)
    np.testing.assert_array_equal(network.constants[step.inputs[1]], kernel.astype("f4"))
    assert network.shapes[network.input] == (1, 8, 8, 3)


@pytest.mark.parametrize("code", [2, 32, 120])
def test_an_operator_that_is_not_known_is_refused(tmp_path: Path, code: int) -> None:
    file = tmp_path / "n.tflite"
    file.write_bytes(tflite(np.zeros((2, 1, 2, 3), "<f2"), code=code))
    from paddlesrv.recipes.tflite_network import build

    with pytest.raises(IntegrityError, match=r"not supported|no inputs"):
        build(tmp_path, tmp_path, {"weights": "n.tflite"})


@settings(max_examples=400)
@given(data=st.data())
def test_damaged_networks_are_refused_or_read(data: st.DataObject, tmp_path_factory: Any) -> None:
    damaged = bytearray(tflite(np.zeros((2, 1, 2, 3), "<f2")))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(8, len(damaged) - 5))
        if data.draw(st.booleans()):
            damaged[place] = data.draw(st.integers(0, 255))
        else:
            struct.pack_into("<i", damaged, place, data.draw(st.integers(-(2**31), 2**31 - 1)))
    del damaged[data.draw(st.integers(8, len(damaged))) :]
    _any(read_tflite, bytes(damaged), tmp_path_factory)


@given(written=st.binary(max_size=100))
def test_any_bytes_are_no_network(written: bytes, tmp_path_factory: Any) -> None:
    _any(read_tflite, written[:4] + b"TFL3" + written[4:], tmp_path_factory)


def _any(reader: Any, written: bytes, factory: Any) -> None:
    file = factory.getbasetemp() / "any.tflite"
    file.write_bytes(written)
    try:
        reader(file)
    except IntegrityError:
        return
