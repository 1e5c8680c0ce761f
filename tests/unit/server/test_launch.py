"""From configurations and installed models to what is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from paddlesrv.errors import UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.deciding import decide
from paddlesrv.server.launch import plan, setups
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.service import Service
from tests.server.harness import local_spec, setup
from tests.standins import linear

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
    planned = plan([config], MODELS.__getitem__)
    options = decide(planned, Path(), limit_seconds=0).options
    with pytest.raises(UsageError, match="its part part") as refused:
        setups(planned, options)
    assert refused.value.hints == ("serve the part by its tensors: paddlesrv serve part",)


def test_a_model_with_a_network_and_a_component_is_as_ready_as_both(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path)
    part, front = local_spec(tmp_path, "part"), local_spec(tmp_path, "front")
    front = msgspec.structs.replace(front, components={"reader": "part"})

    async def main() -> None:
        service = Service()
        try:
            for spec in (part, front):
                service.add(setup(spec, tmp_path), load_timeout=60)
            served = service.models["front"]
            assert served.scheduler is not None
            assert served.components == [service.models["part"]]
            await service.loaded()
            assert served.ready
            await served.components[0].scheduler.close()
            assert served.scheduler.ready
            assert not served.ready
        finally:
            await service.close()

    asyncio.run(main())
