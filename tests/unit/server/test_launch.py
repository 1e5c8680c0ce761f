"""From configurations and installed models to what is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlesrv.errors import UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.launch import LocalModel, plan, setups

PART = ModelSpec(name="part", task="unheard-of", format="onnx", program="model.onnx")
WHOLE = ModelSpec(name="whole", task="ocr", format="pipeline", components={"detection": "part"})
MODELS = {spec.name: LocalModel(spec, Path()) for spec in (PART, WHOLE)}


def test_components_come_before_their_pipeline_and_take_its_configuration() -> None:
    config = ModelConfig(name="whole", engine="onnxruntime", instances=3)
    planned = plan([config], MODELS.__getitem__)
    assert [model.spec.name for _, model in planned] == ["part", "whole"]
    assert (planned[0][0].engine, planned[0][0].instances) == ("onnxruntime", 3)


def test_a_component_configured_itself_keeps_its_own_configuration() -> None:
    configs = [ModelConfig(name="whole", instances=3), ModelConfig(name="part", instances=2)]
    planned = plan(configs, MODELS.__getitem__)
    assert [(c.name, c.instances) for c, _ in planned] == [("part", 2), ("whole", 3)]


def test_a_pipeline_with_a_part_that_has_no_task_says_which() -> None:
    config = ModelConfig(name="whole", engine="onnxruntime")
    with pytest.raises(UsageError, match="its part part") as refused:
        setups(plan([config], MODELS.__getitem__))
    assert refused.value.hints == ("serve the part by its tensors: paddlesrv serve part",)
