"""A network with trained weights in int8: the report tells what it gains and what it loses."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.models.spec import ModelSpec
from paddlesrv.precision import quantise
from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tasks.base import TaskInput

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="paddle2onnx 1.3 has no such wheel"),
]

NAME = "ch_ppocr_mobile_v2.0_cls"
WORDS = ("Tea 18", "Hello World", "2026-11-23", "Invoice No. 4711", "OPEN DAILY", "Platform 9")


def line(text: str, *, turned: bool) -> bytes:
    """A line of text, upright or upside down, as PNG."""
    picture = Image.new("RGB", (24 * len(text), 48), "white")
    ImageDraw.Draw(picture).text((6, 6), text, "black", ImageFont.load_default(size=32))
    buffer = io.BytesIO()
    picture.rotate(180 if turned else 0).save(buffer, "PNG")
    return buffer.getvalue()


def test_which_way_up_a_line_is_is_known_in_int8_as_well(
    installed_models: Mapping[str, tuple[ModelSpec, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "home"))
    photos = tmp_path / "lines"
    photos.mkdir()
    for number, text in enumerate(WORDS * 2):
        (photos / f"{number}.png").write_bytes(line(text, turned=number >= len(WORDS)))
    spec, root = installed_models[NAME]
    report = quantise(LocalModel(spec, root), [], photos)
    assert report.accepted, report.lines
    (network,) = report.networks
    assert network.int8_bytes < network.fp32_bytes
    assert network.cosine > 0.95
    engine = load_engine(spec, root, EngineOptions(engine="onnxruntime", precision="int8"))
    items = [TaskInput("image", line("Exit 12", turned=turned)) for turned in (False, True)]
    answers = predict_in_process({NAME: LoadedModel(spec, root, engine)}, NAME, items)
    assert [answer.angle for answer in answers] == [0, 180]
