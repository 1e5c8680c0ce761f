"""What is read from a directory to calibrate with, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import InvalidInput, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.precision.calibration import read_samples

TENSORS = ModelSpec(
    name="m",
    task="tensors",
    format="onnx",
    inputs=(
        TensorSpec(name="x", dtype="float32", shape=(-1, 3)),
        TensorSpec(name="ids", dtype="int64", shape=(-1, 2)),
    ),
)
ONE = ModelSpec(name="one", task="tensors", format="onnx", inputs=TENSORS.inputs[:1])


def test_texts_are_one_a_line_and_blank_lines_are_none(tmp_path: Path):
    (tmp_path / "b.txt").write_text("three\n", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("\ufeffone\n\n 二 \n", encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "picture.png").write_bytes(b"no")
    found = read_samples(tmp_path, TENSORS, ("text",))
    assert [(sample.name, sample.item.data) for sample in found.samples] == [
        ("b.txt:1", "three"), ("deep/a.txt:1", "one"), ("deep/a.txt:3", " 二 "),
    ]  # fmt: skip


def test_features_are_one_a_file_or_one_a_line(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"id": [1, 2]}')
    (tmp_path / "b.jsonl").write_text("[1]\n[2]\n")
    found = read_samples(tmp_path, TENSORS, ("features",))
    assert [sample.item.data for sample in found.samples] == [{"id": [1, 2]}, [1], [2]]


def test_tensors_are_taken_by_name_and_get_their_batch_dimension(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), ids=np.zeros((2, 2), np.int64)[:1])
    (sample,) = read_samples(tmp_path, TENSORS, None).samples
    assert sample.item["x"].data.shape == (1, 3)
    assert sample.item["x"].data.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "content", "accepts", "told"),
    [
        ("a.txt", b"\xff\xfe\x00", ("text",), r"a\.txt is not a text in UTF-8"),
        ("a.json", b'{"x": ', ("features",), r"a\.json holds no features"),
        ("a.jsonl", b"[1]\n7\n", ("features",), r"a\.jsonl:2 holds no features"),
        ("a.npz", b"PK\x03\x04torn", None, r"a\.npz cannot be read as tensors"),
        ("a.npy", b"\x93NUMPY", None, r"a\.npy cannot be read as tensors"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name, content, accepts, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=told):
        read_samples(tmp_path, ONE, accepts)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"a\.npy cannot be read"):
        read_samples(tmp_path, ONE, None)


def test_tensors_that_are_not_the_models_are_refused_with_their_file(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((1, 4), np.float32))
    with pytest.raises(InvalidInput, match=r"^a\.npy: "):
        read_samples(tmp_path, ONE, None)
    with pytest.raises(InvalidInput, match=r"a\.npy holds one tensor, and m takes 2"):
        read_samples(tmp_path, TENSORS, None)


def test_nothing_of_the_kind_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(UsageError, match="holds nothing that m could be calibrated with"):
        read_samples(tmp_path, TENSORS, ("text",))


@given(st.integers(1, 40), st.integers(1, 12))
def test_of_too_many_as_many_as_wanted_are_taken_from_all_over(tmp_path_factory, there, most):
    directory = tmp_path_factory.mktemp("texts")
    (directory / "a.txt").write_text("\n".join(str(number) for number in range(there)))
    taken = [int(s.item.data) for s in read_samples(directory, ONE, ("text",), most).samples]
    assert len(taken) == min(there, most)
    assert taken == sorted(set(taken))
    gaps = np.diff([*taken, there])
    assert gaps.max() - gaps.min() <= 1


def test_the_digest_is_of_names_and_contents(tmp_path: Path):
    seen = set()
    for name, text in (("a.txt", "one"), ("a.txt", "two"), ("b.txt", "one")):
        directory = tmp_path / f"{name}-{text}"
        directory.mkdir()
        (directory / name).write_text(text)
        seen.add(read_samples(directory, ONE, ("text",)).sha256)
    assert len(seen) == 3
