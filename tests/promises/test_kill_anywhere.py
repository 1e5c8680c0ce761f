"""A `get` that is killed leaves a model that is whole or none, and the next `get` succeeds.

Held at every phase: fetching, unpacking, publishing; and for two deaths in a row.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import msgspec
import pytest

from paddlesrv.settings import Settings
from paddlesrv.zoo.store import Store
from tests.unit.zoo import models
from tests.unit.zoo.web import Web

PHASES = {
    "get": {
        "install", "sources", "fetch", "download", "partial", "network", "locks", "pins",
        "answers", "crew", "pieces", "prefix_digest", "encodings",
    },
    "unpack": {
        "archive", "members", "assemble", "specification", "digests", "tree", "bounds",
        "tar_reader", "inflate", "pipeline", "events",
    },
    "publish": {"store"},
}  # fmt: skip
POINTS = 72
"""Deaths in each phase."""
PIECE = 30_000
SITUATIONS = {
    "get": ("get", 0),
    "get in pieces": ("get", PIECE),
    "unpack": ("unpack", 0),
    "publish": ("publish", 0),
}

MODEL = "tiny"
NOISE = random.Random(8).randbytes(300_000)
ARCHIVE = models.tar_gz(
    {
        "tiny/__model__": models.PROGRAM,
        "tiny/__params__": models.PARAMS,
        **{f"tiny/extra/{i}.bin": NOISE[i * 20_000 : (i + 1) * 20_000] for i in range(15)},
    }
)


@dataclass
class Zygote:
    """Runs `get`s in processes of their own, fast: they are forked with everything imported."""

    process: subprocess.Popen[str]
    catalogue: Path
    url: str

    def get(
        self, home: Path, phase: str = "", *, pieces: int = 0, fatal: int | None = None
    ) -> dict[str, Any]:
        order = {
            "home": str(home), "catalogue": str(self.catalogue), "model": MODEL, "pieces": pieces,
            "from": self.url, "fatal": fatal, "phase": sorted(PHASES.get(phase, ())),
        }  # fmt: skip
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def served() -> Iterator[Web]:
    with Web() as server:
        yield server


@pytest.fixture(scope="module")
def zygote(served: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    url = served.put("/tiny.tar.gz", ARCHIVE)
    manifest = tmp_path_factory.mktemp("catalogue") / "manifest.yaml"
    source = {"kind": "https", "url": "https://models.example/tiny.tar.gz"}
    source["sha256"] = models.sha256(ARCHIVE)
    manifest.write_bytes(
        msgspec.yaml.encode({"schema": 1, "models": [models.entry(MODEL, source)]})
    )
    # Half the time of a short `get` goes into reading certificates, which nobody needs here.
    end = "-----END CERTIFICATE-----\n"
    certificate = manifest.with_name("one.pem")
    certificate.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.promises.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"SSL_CERT_FILE": str(certificate)},
    ) as process:
        yield Zygote(process, manifest, url)
        process.stdin.close()


def steps(zygote: Zygote, home: Path, phase: str, pieces: int) -> int:
    """The steps of a phase in a `get` that lives."""
    answer = zygote.get(home, phase, pieces=pieces)
    assert "error" not in answer, answer["error"]
    return answer["steps"]


def fatal_steps(steps: int, phase: str) -> list[int]:
    """Steps spread over a phase: evenly, each moved a little.

    They are counted within their phase: how many steps a transfer takes differs from run to run,
    and would move all that come after it.
    """
    chance = random.Random(phase)
    width = steps / POINTS
    return sorted({int((i + chance.random()) * width) for i in range(POINTS)})


def leftovers_besides_the_model(store: Store) -> list[str]:
    """Every file in the store that belongs neither to the model nor to its keeping."""
    directory = store.installed(MODEL).directory
    kept = {store.root / "locks", store.models_dir, directory}
    return [
        str(path)
        for path in store.root.rglob("*")
        if path.is_file() and not kept & set(path.parents) and path.name != "pins.json"
    ]


def assert_whole_or_absent(store: Store) -> bool:
    """What a reader sees between two runs; True if the model is there."""
    seen = store.installed(MODEL)
    if seen is not None:
        store.verify_digests(seen)
        assert (seen.path / "tiny" / "__model__").read_bytes() == models.PROGRAM
    return seen is not None


@pytest.mark.parametrize("situation", SITUATIONS)
def test_killed_at_any_step_the_model_is_whole_or_absent_and_the_next_get_succeeds(
    situation: str, zygote: Zygote, served: Web, tmp_path: Path
) -> None:
    phase, pieces = SITUATIONS[situation]
    points = fatal_steps(steps(zygote, tmp_path / "alive", phase, pieces), phase)
    assert len(points) >= 60, "the phase has become too short to be worth that many deaths"
    died = 0
    for number, fatal in enumerate(points):
        home = tmp_path / str(fatal)
        died += zygote.get(home, phase, pieces=pieces, fatal=fatal)["killed"]
        store = Store(Settings(home=home).cache_dir)
        present = assert_whole_or_absent(store)
        if number % 4 == 0:
            # A second death, at a step of its own, in what the first has left.
            again = random.Random(fatal).randrange(fatal + 1)
            died += zygote.get(home, phase, pieces=pieces, fatal=again)["killed"]
            present = assert_whole_or_absent(store) or present
        before = served.bytes_sent
        answer = zygote.get(home, pieces=pieces)
        assert "error" not in answer, f"after a death at step {fatal}: {answer['error']}"
        assert assert_whole_or_absent(store)
        fetched = served.bytes_sent - before
        assert fetched <= len(ARCHIVE)
        if present:
            assert fetched == 0, "what is installed is not fetched again"
        store.prune()
        assert leftovers_besides_the_model(store) == []
        shutil.rmtree(home)
    assert died >= len(points) * 0.9, "most of the deaths must have happened"
