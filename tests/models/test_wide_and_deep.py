"""wide&deep, trained on clicks that follow a rule: it learns the rule."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.settings import Settings
from paddlesrv.tasks.base import TaskInput
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.store import Store
from tests.cli.program import run

LEARNT, ASKED = 12000, 1500


def impressions(count: int, seed: int) -> tuple[list[list[float]], list[list[str]], np.ndarray]:
    """Numbers, categories, and each one's probability of a click: the rule."""
    random = np.random.default_rng(seed)
    dense = random.random((count, 13)).round(3)
    shops, hours = random.integers(0, 20, count), random.integers(0, 6, count)
    others = random.integers(0, 50, (count, 24))
    taste = np.random.default_rng(99).normal(0, 1.6, 20)
    logit = taste[shops] + 3 * (dense[:, 0] - dense[:, 1]) + np.where(hours == 3, 1.5, -0.5)
    categories = [
        [f"shop-{shop}", f"hour-{hour}", *map(str, rest)]
        for shop, hour, rest in zip(shops, hours, others, strict=True)
    ]
    return dense.tolist(), categories, 1 / (1 + np.exp(-logit))


def auc(scores: np.ndarray, clicks: np.ndarray) -> float:
    """The share of pairs of a click and none of which the click has the higher score."""
    ranks = scores.argsort(kind="stable").argsort() + 1
    hits = int(clicks.sum())
    return float((ranks[clicks].sum() - hits * (hits + 1) / 2) / (hits * (len(clicks) - hits)))


def test_it_learns_the_rule_by_which_clicks_were_made(tmp_path: Path) -> None:
    dense, categories, chance = impressions(LEARNT, 1)
    clicked = np.random.default_rng(2).random(LEARNT) < chance
    folder = tmp_path / "clicks"
    folder.mkdir()
    (folder / "part-0.tsv").write_text(
        "".join(
            "\t".join([str(int(click)), *map(str, numbers), *words]) + "\n"
            for click, numbers, words in zip(clicked, dense, categories, strict=True)
        )
    )
    settings = Settings(home=tmp_path / "home")
    installer = Installer(Catalogue.load(), Store(settings.cache_dir), settings)
    (model,) = installer.get(["wide&deep"], from_=str(folder))
    assert model.spec.made is not None

    engine = load_engine(model.spec, model.directory, EngineOptions())
    loaded = {model.name: LoadedModel(model.spec, model.directory, engine)}
    dense, categories, chance = impressions(ASKED, 3)
    rows = [[*n, *words] for n, words in zip(dense, categories, strict=True)]
    answers = predict_in_process(loaded, model.name, [TaskInput("features", row) for row in rows])
    engine.close()
    scores = np.array([answer.score for answer in answers])  # type: ignore[attr-defined]
    clicks = np.random.default_rng(4).random(ASKED) < chance
    best = auc(chance, clicks)
    assert best > 0.85
    assert auc(scores, clicks) > best - 0.04


def told(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(home, "get", "wide&deep", *arguments)


def test_without_clicks_it_says_what_it_needs(tmp_path: Path) -> None:
    ended = told(tmp_path)
    assert ended.returncode == 4
    assert "--from" in ended.stderr
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "readme.md").write_text("nothing")
    ended = told(tmp_path, "--from", str(tmp_path / "clicks"))
    assert ended.returncode == 3
    assert "there are no clicks to learn from" in ended.stderr
    assert "click:0 dense_feature:0.05" in ended.stderr
    (tmp_path / "clicks" / "part-0").write_text("click:0 dense_feature:0.1 1:5\n")
    ended = told(tmp_path, "--from", str(tmp_path / "clicks"))
    assert ended.returncode == 5
    assert "line 1 of part-0 is no impression: 1 numbers" in ended.stderr
