"""Classifiers and segmenters as they really are, with drawn weights: what the engine makes of them.

The network's own answer, from before it was saved, is what the server must answer.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.http as triton

from paddlesrv.zoo.catalogue import Catalogue
from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import architectures, zoo
from tests.zoo.asking import ask, ask_at_once, differences, result_of
from tests.zoo.conftest import on_the_web

KEYS = {key.partition("/")[0]: key for key in architectures.STANDINS}
TOLERANCE = 1e-4
"""Of the largest score: oneDNN adds in another order than Paddle's own kernels, and its
convolutions of one picture in another than those of several."""
MOST_OTHER_PIXELS = 1e-3
"""Share of a mask where two scores are so near each other that the order of adding decides."""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.mirror(tmp_path_factory.mktemp("architectures"), families=zoo.ARCHITECTURES)


@pytest.fixture(scope="module")
def server(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("architectures-home")
    with on_the_web(mirror) as url:
        ended = run(home, "get", *KEYS, PADDLESRV_MIRROR=url)
    assert ended.returncode == 0, ended.stderr
    with serve(*KEYS, "--max-delay", "20", home=home) as running:
        yield running


def expected(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """An input, and what the network itself answers to it."""
    with tarfile.open(archive) as packed:
        member = packed.extractfile("expected.npz")
        assert member is not None
        found = np.load(io.BytesIO(member.read()))
    return found["x"], found["y"]


@pytest.mark.parametrize("model", KEYS)
def test_the_server_answers_what_the_network_itself_does(
    server: ServerProcess, mirror: Path, model: str
) -> None:
    x, y = expected(mirror / KEYS[model])
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    described = client.get_model_metadata(model)
    for start, end in ((0, len(x)), (0, 1)):
        given = triton.InferInput(described["inputs"][0]["name"], x[start:end].shape, "FP32")
        given.set_data_from_numpy(x[start:end])
        answer = client.infer(model, [given])
        found = answer.as_numpy(described["outputs"][0]["name"])
        assert found.shape == y[start:end].shape
        if y.dtype == np.int64:
            assert (found != y[start:end]).mean() < MOST_OTHER_PIXELS
        else:
            np.testing.assert_allclose(found, y[start:end], atol=TOLERANCE * np.abs(y).max())
    client.close()


@pytest.mark.parametrize("model", KEYS)
def test_pictures_are_answered_alone_as_together(server: ServerProcess, model: str) -> None:
    random = np.random.default_rng(3)
    pictures = []
    for height, width in ((60, 90), (300, 224), (224, 500)):
        noise = random.random((height, width, 3)).astype(np.float32) * 255
        soft = cv2.GaussianBlur(noise, (0, 0), 5)
        pictures.append(bytes(cv2.imencode(".png", soft.astype(np.uint8))[1]))
    with server.client() as client:
        alone = [result_of(ask(client, model, picture)) for picture in pictures]
    together = [result_of(answer) for answer in ask_at_once(server, model, pictures)]
    for one, other in zip(alone, together, strict=True):
        assert differences(one, other, TOLERANCE) is None


def test_every_classifier_and_segmenter_is_here() -> None:
    wanted = {
        entry.name
        for entry in Catalogue.load().entries
        if entry.collection == "paddle-serving-0.7"
        and entry.task in ("image-classification", "image-segmentation")
    }
    assert KEYS.keys() == wanted
