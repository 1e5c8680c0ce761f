"""The page at `/docs`: nothing that a name holds becomes markup, and examples are valid."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.engines.base import EngineOptions
from paddlesrv.models.spec import DType, ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array
from paddlesrv.server import pages
from paddlesrv.server.protocols import open_inference
from paddlesrv.server.service import ModelSetup, ServedModel, Service
from paddlesrv.server.validation import check_inputs, fold_offsets
from paddlesrv.tasks.base import Task, TaskInput, TaskOptions
from tests.server.harness import LIMITS

EVIL = "</script><img src=x onerror=alert(1)><!--&\"'"


class Plain(Task):
    """A task of pictures that paints nothing."""

    name = "text-recognition"
    accepts = ("image",)

    async def answer(self, item: TaskInput, options: TaskOptions, runner: Any) -> Any:
        raise AssertionError("the page asks for no answer")

    def example(self) -> TaskInput:
        raise AssertionError("the page paints its own picture")


class Drawing(Plain):
    """One that does."""

    def draw(self, image: Array, result: Any) -> Array | None:
        return image


class Words(Plain):
    """A task of texts."""

    name = "lexical-analysis"
    accepts = ("text",)

    def example(self) -> TaskInput:
        return TaskInput("text", "<b>今天</b>")


@pytest.fixture
def service() -> Service:
    return Service()


def spec(name: str, *inputs: TensorSpec, **fields: Any) -> ModelSpec:
    return ModelSpec(
        **({"name": name, "task": "tensors", "format": "onnx"} | fields), inputs=inputs
    )


def tensor(name: str, shape: tuple[int, ...], dtype: DType = "float32", **more: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, **more)


def add(service: Service, spec: ModelSpec, task: type[Task] | None = None) -> None:
    made = task(spec, Path()) if task is not None else None
    setup = ModelSetup(spec=spec, root=Path(), task=made, options=EngineOptions(), limits=LIMITS)
    service.models[spec.name] = ServedModel(setup, None)


class _Reader(HTMLParser):
    """What a browser would see: elements, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = (dict(attrs).get("id") or "") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def served(service: Service) -> dict[str, dict[str, Any]]:
    told = json.loads(read(pages.docs(service)).scripts["served"])
    return {model["name"]: model for model in told["models"]}


def decoded(spec: ModelSpec) -> dict[str, Any]:
    """The example as the server reads it, with zeros behind it as the page sends them."""
    request = pages.example_request(spec)
    assert request is not None
    head = json.dumps(request).encode()
    sizes = [t.get("parameters", {}).get("binary_data_size", 0) for t in request["inputs"]]
    inference, _ = open_inference.decode(
        spec.name, None, head + bytes(sum(sizes)), str(len(head)) if sum(sizes) else None
    )
    return fold_offsets(spec, inference.inputs)


def test_a_model_named_like_markup_adds_no_element_and_is_told_as_it_is(service: Service) -> None:
    plain = Service()
    add(plain, spec("linear", tensor("x", (-1, 13))))
    add(service, spec(EVIL, tensor(EVIL, (-1, 13)), task=EVIL))
    evil, harmless = read(pages.docs(service)), read(pages.docs(plain))
    assert evil.elements == harmless.elements
    assert evil.scripts[""] == harmless.scripts[""]
    model = served(service)[EVIL]
    assert model["task"] == model["inputs"][0]["name"] == EVIL


@given(st.text())
def test_embedded_json_has_no_character_of_markup_and_reads_back(text: str) -> None:
    embedded = pages.embed({text: text})
    assert not set(embedded) & set("<>&")
    assert json.loads(embedded) == {text: text}


def test_a_name_is_one_segment_of_a_path(service: Service) -> None:
    add(service, spec("wide&deep/a b?#%", tensor("x", (-1, 13))))
    assert served(service)["wide&deep/a b?#%"]["path"] == "wide%26deep%2Fa%20b%3F%23%25"


def test_the_page_takes_nothing_from_elsewhere_and_stays_small(
    service: Service,
) -> None:
    add(service, spec("linear", tensor("x", (-1, 13))))
    page = pages.docs(service)
    assert "://" not in page
    for tag, attributes in read(page).elements:
        assert "src" not in attributes, tag
        if "href" in attributes:
            assert attributes["href"] in ("data:,", "openapi.json", "metrics", "#models")
    assert len(page.encode()) < 40_000


def test_what_can_be_tried_follows_from_the_task(service: Service) -> None:
    for name, task in {"plain": Plain, "drawing": Drawing, "words": Words}.items():
        add(service, spec(name, tensor("x", (-1, 3, 48, -1)), task=task.name), task)
    add(service, spec("bare", tensor("x", (-1, 13))))
    models = served(service)
    assert {n: (m["accepts"], m["draws"], m["sample"]) for n, m in models.items()} == {
        "plain": (["image"], False, None),
        "drawing": (["image"], True, None),
        "words": (["text"], False, "<b>今天</b>"),
        "bare": ([], False, None),
    }
    assert not any(model["maps"] for model in models.values())


def test_a_pipeline_comes_before_its_parts_and_takes_no_tensors(service: Service) -> None:
    add(service, spec("det", tensor("x", (-1, 3, -1, -1))))
    add(service, spec("ocr", task="ocr", format="pipeline", components={"detection": "det"}), Plain)
    models = served(service)
    assert list(models) == ["ocr", "det"]
    assert models["ocr"]["request"] is None
    assert models["det"]["part_of"] == ["ocr"]


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor("x", (-1, 13))],
        [tensor("x", (3, 5), "float64"), tensor("n", (3, 1), "int32")],
        [tensor("image", (-1, 3, -1, -1)), tensor("scale_factor", (-1, 2))],
        [tensor("half", (-1, 4), "float16"), tensor("on", (-1, 2), "bool")],
        [tensor("words", (-1, 1), "int64", lod_level=1, batching="lod")],
        [tensor("all", (2, -1), "uint8", batching="whole")],
    ],
    ids=lambda inputs: ",".join(t.name for t in inputs),
)
def test_the_example_is_taken_by_the_server(inputs: list[TensorSpec]) -> None:
    model = spec("example", *inputs)
    assert check_inputs(model, decoded(model)) >= 1


def test_small_examples_are_numbers_to_edit_and_large_ones_are_bytes() -> None:
    small = pages.example_request(spec("small", tensor("x", (-1, 13))))
    large = pages.example_request(spec("large", tensor("x", (-1, 3, 224, 224))))
    assert small is not None
    assert large is not None
    assert len(small["inputs"][0]["data"]) == 13
    assert large["inputs"][0]["parameters"] == {"binary_data_size": 3 * 224 * 224 * 4}
    assert decoded(spec("large", tensor("x", (-1, 3, 224, 224))))["x"].data.dtype == np.float32


def test_a_type_that_the_protocol_cannot_carry_has_no_example(service: Service) -> None:
    add(service, spec("brain", tensor("x", (-1, 4), "bfloat16")))
    assert served(service)["brain"]["request"] is None
