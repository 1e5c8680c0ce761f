"""Real trained models behind the running service: right answers, alone and among others."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from paddlesrv.errors import DeadlineExceeded, EngineError, InvalidInput, Unavailable
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.deciding import decide
from paddlesrv.server.launch import plan, setups
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.request import InferRequest, Timing
from paddlesrv.server.service import Service
from paddlesrv.server.validation import check_inputs, fold_offsets
from paddlesrv.tasks.base import TaskInput, TaskOptions
from tests.server.harness import local_spec, serving, setup
from tests.standins import linear

pytestmark = pytest.mark.models

Models = Mapping[str, tuple[ModelSpec, Path]]


def service_for(models: Models, *names: str, **options: object):
    """A service of catalogue models, with the components of pipelines."""
    configs = [ModelConfig(name=name, threads=1, **options) for name in names]  # type: ignore[arg-type]
    planned = plan(configs, lambda name: LocalModel(*models[name]))
    return serving(*setups(planned, decide(planned, Path(), limit_seconds=0).options))


async def answers(service: Service, model: str, *inputs: TaskInput) -> list:
    return (await service.predict(model, inputs, TaskOptions())).results


def test_reads_the_picture_of_the_readme(installed_models: Models) -> None:
    picture = (Path(__file__).parents[2] / "docs" / "images" / "hello.png").read_bytes()

    async def main() -> None:
        async with service_for(installed_models, "ocr") as service:
            await service.warm_up()
            (result,) = await answers(service, "ocr", TaskInput("image", picture))
            assert "HelloPaddle" in result.text.replace(" ", "")
            assert "飞桨" in result.text

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="paddle2onnx 1.3 has no such wheel")
def test_reads_it_on_onnxruntime_as_well(
    installed_models: Models, model_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where converted networks are kept: workers inherit it.
    monkeypatch.setenv("PADDLESRV_HOME", str(model_home))
    picture = (Path(__file__).parents[2] / "docs" / "images" / "hello.png").read_bytes()

    async def main() -> None:
        async with service_for(installed_models, "ocr", engine="onnxruntime") as service:
            (result,) = await answers(service, "ocr", TaskInput("image", picture))
            assert "HelloPaddle" in result.text.replace(" ", "")
            assert "飞桨" in result.text

    asyncio.run(main())


def test_analyses_chinese(installed_models: Models) -> None:
    async def main() -> None:
        async with service_for(installed_models, "LAC_2.1") as service:
            (result,) = await answers(service, "LAC_2.1", TaskInput("text", "百度是一家高科技公司"))
            assert result.words == ["百度", "是", "一家", "高科技", "公司"]
            assert result.tags == ["ORG", "v", "m", "n", "n"]

    asyncio.run(main())


# -- whatever else is in flight ------------------------------------------------------------------

SENTENCES = [
    "百度是一家高科技公司",
    "我",
    "王小明昨天从上海坐火车去北京参加人工智能大会",
    "PaddlePaddle 3.3 发布于2026年，支持Python 3.13！",
    "今天天气真好，我们一起去公园散步吧。" * 4,
    "１２３ＡＢＣ全角字符",
]
WORDS = ["Tea 18", "Hello World", "2026-11-23", "Invoice No. 4711", "OPEN DAILY 8:00"]
SIZES = [(320, 64), (320, 64), (480, 96), (256, 128), (640, 64)]


def _picture(index: int) -> bytes:
    text, (width, height) = WORDS[index], SIZES[index]
    picture = Image.new("RGB", (width, height), "white")
    font = ImageFont.load_default(size=height // 2)
    ImageDraw.Draw(picture).text((12, height // 5), text, "black", font)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _features(index: int) -> np.ndarray:
    return np.random.default_rng(index).standard_normal((1 + index, 13)).astype(np.float32)


async def _ask(service: Service, kind: str, index: int) -> object:
    """One request, and its answer in a form that can be compared."""
    if kind == "linear":
        inputs = {"x": Tensor(_features(index))}
        response = await service.infer(InferRequest(model="linear", inputs=inputs))
        return response.outputs["y"].data
    if kind == "words":
        item = TaskInput("text", SENTENCES[index])
        return (await answers(service, "LAC_2.1", item))[0]
    return (await answers(service, "ocr", TaskInput("image", _picture(index))))[0]


def _same(kind: str, one: Any, other: Any) -> bool:
    """Equal, but for the last digits of a float: kernels differ from batch size to batch size."""
    if kind == "linear":
        return bool(np.allclose(one, other, rtol=1e-5, atol=1e-6))
    if kind == "words":
        return bool(one == other)
    boxes = [
        np.allclose(a.box, b.box, atol=0.2) and abs(a.score - b.score) < 1e-3
        for a, b in zip(one.lines, other.lines, strict=True)
    ]
    return one.text == other.text and all(boxes)


COUNTS = {"linear": 6, "words": len(SENTENCES), "ocr": len(WORDS)}
requests = st.sampled_from([(kind, i) for kind, count in COUNTS.items() for i in range(count)])


def test_concurrent_requests_get_the_answers_that_they_get_one_at_a_time(
    installed_models: Models, tmp_path: Path
) -> None:
    linear.write_onnx(tmp_path)
    plain = setup(local_spec(tmp_path, "linear"), tmp_path)
    configs = [ModelConfig(name=name, threads=1) for name in ("ocr", "LAC_2.1")]
    planned = plan(configs, lambda name: LocalModel(*installed_models[name]))
    real = setups(planned, decide(planned, Path(), limit_seconds=0).options)
    loop = asyncio.new_event_loop()
    stack = contextlib.AsyncExitStack()
    try:
        service = loop.run_until_complete(stack.enter_async_context(serving(*real, plain)))
        alone = {
            (kind, i): loop.run_until_complete(_ask(service, kind, i))
            for kind, count in COUNTS.items()
            for i in range(count)
        }

        @settings(max_examples=25, deadline=None)
        @given(st.lists(requests, min_size=2, max_size=24))
        def together(asked: list[tuple[str, int]]) -> None:
            async def all_at_once() -> list[object]:
                return await asyncio.gather(*(_ask(service, *request) for request in asked))

            for request, answer in zip(asked, loop.run_until_complete(all_at_once()), strict=True):
                assert _same(request[0], answer, alone[request]), request

        together()
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


# -- what would kill or hang Paddle --------------------------------------------------------------

BAD_OFFSETS = [(0, 0), (0, 5), (0, 99), (1, 4), (0, 2, 2, 4), (0, 3, 2, 4), (), (0,), (0, -1, 4)]


@pytest.mark.parametrize("lod", [None, *BAD_OFFSETS])
def test_offsets_that_would_crash_or_hang_paddle_are_refused_at_the_door(
    installed_models: Models, lod: tuple[int, ...] | None
) -> None:
    spec, _ = installed_models["LAC_2.1"]
    name = spec.inputs[0].name
    words = Tensor(np.ones((4, 1), np.int64))
    inputs = {name: words}
    if lod is not None:
        inputs[name + ".lod"] = Tensor(np.array(lod, np.int64))
    with pytest.raises(InvalidInput, match=name):
        check_inputs(spec, fold_offsets(spec, inputs))


@pytest.mark.parametrize("lod", [(0, 0), (0, 99)], ids=["empty", "past-the-end"])
def test_offsets_forced_past_the_door_cost_only_their_worker(
    installed_models: Models, lod: tuple[int, ...]
) -> None:
    async def main() -> None:
        async with service_for(installed_models, "LAC_2.1", timeout_s=4.0) as service:
            scheduler = service.models["LAC_2.1"].scheduler
            assert scheduler is not None
            name = scheduler.spec.inputs[0].name
            rows = 0 if lod == (0, 0) else 4
            killer = {name: Tensor(np.ones((rows, 1), np.int64), lod)}
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await scheduler.submit(killer, 1, time.monotonic() + 4, Timing())
            for _ in range(1000):
                if service.ready:
                    break
                await asyncio.sleep(0.01)
            assert scheduler.workers[0].restarts >= 1
            (result,) = await answers(service, "LAC_2.1", TaskInput("text", "百度是一家高科技公司"))
            assert result.words[0] == "百度"

    asyncio.run(main())


def test_missing_offsets_forced_past_the_door_are_an_error_not_those_of_the_call_before(
    installed_models: Models,
) -> None:
    async def main() -> None:
        async with service_for(installed_models, "LAC_2.1") as service:
            item = TaskInput("text", "百度是一家高科技公司")
            before = await answers(service, "LAC_2.1", item)
            scheduler = service.models["LAC_2.1"].scheduler
            assert scheduler is not None
            bare = {scheduler.spec.inputs[0].name: Tensor(np.ones((4, 1), np.int64))}
            with pytest.raises(EngineError, match="no LoD offsets"):
                await scheduler.submit(bare, 1, time.monotonic() + 20, Timing())
            assert await answers(service, "LAC_2.1", item) == before
            assert scheduler.workers[0].restarts == 0

    asyncio.run(main())


def test_a_killed_worker_under_load_leaves_no_request_without_an_answer(
    installed_models: Models,
) -> None:
    async def main() -> None:
        async with service_for(installed_models, "LAC_2.1") as service:
            scheduler = service.models["LAC_2.1"].scheduler
            assert scheduler is not None
            right = {s: (await _ask(service, "words", i)) for i, s in enumerate(SENTENCES)}
            refused = 0

            async def client(number: int) -> None:
                nonlocal refused
                for i in range(40):
                    sentence = SENTENCES[(number + i) % len(SENTENCES)]
                    try:
                        (result,) = await answers(service, "LAC_2.1", TaskInput("text", sentence))
                    except Unavailable:
                        refused += 1
                        await asyncio.sleep(0.02)
                        continue
                    assert result == right[sentence]

            clients = [asyncio.ensure_future(client(n)) for n in range(16)]
            while not scheduler.in_flight:
                await asyncio.sleep(0)
            os.kill(scheduler.workers[0].pid, signal.SIGKILL)
            while service.ready:
                await asyncio.sleep(0.001)
            while not service.ready:
                await asyncio.sleep(0.001)
            await asyncio.gather(*clients)
            assert scheduler.in_flight == 0
            assert scheduler.queue.rows == 0

    asyncio.run(main())
