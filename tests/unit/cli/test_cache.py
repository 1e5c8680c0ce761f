"""`cache df|dir|prune`: what is left over goes, what is in use stays."""

import os
from pathlib import Path

import pytest

from paddlesrv.zoo.partial import Identity, Partial
from paddlesrv.zoo.progress import SilentObserver
from paddlesrv.zoo.store import Store

DAY = 86400.0


@pytest.fixture
def store(home):
    return Store(home / "cache")


def unfinished(store, name="f.part", size=1000, age=0.0):
    part = Partial(store.partial_dir / name, SilentObserver())
    part.restart(Identity(url="https://x.invalid/f"))
    part.append(b"x" * size)
    part.close()
    for path in (part.path, part.path.with_name(f"{name}.json")):
        status = path.stat()
        os.utime(path, (status.st_atime, status.st_mtime - age))
    return part.path


def test_dir_is_the_path_alone(home, paddlesrv):
    assert paddlesrv("cache", "dir").out == f"{home / 'cache'}\n"
    assert paddlesrv("cache", "dir", "--json").document["path"] == str(home / "cache")
    assert not home.exists()


def test_df_of_nothing_is_nothing(home, paddlesrv):
    record = paddlesrv("cache", "df", "--json").document
    assert record["models"] == []
    assert record["total_bytes"] == record["prunable_bytes"] == 0
    assert record["free_bytes"] > 0
    assert not home.exists()


def test_df_counts_every_byte_of_the_store(shelf, store, paddlesrv):
    assert paddlesrv("get", "pipe").code == 0
    unfinished(store, size=12345)
    (store.staging_dir / "det-dead").mkdir()
    (store.staging_dir / "det-dead" / "half").write_bytes(b"x" * 77)
    (store.root / "converted" / "key").mkdir(parents=True)
    (store.root / "converted" / "key" / "model.onnx").write_bytes(b"x" * 55)
    record = paddlesrv("cache", "df", "--json").document
    assert {model["name"] for model in record["models"]} == {"det", "rec", "pipe"}
    directory = store.installed("det").directory
    real = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    assert {m["name"]: m["size_bytes"] for m in record["models"]}["det"] == real
    identity = (store.partial_dir / "f.part.json").stat().st_size
    assert record["unfinished_download_bytes"] == 12345 + identity
    assert record["staging_bytes"] == 77
    assert record["converted_bytes"] == 55
    assert record["in_use_bytes"] == 0
    assert record["prunable_bytes"] == 12345 + identity + 77
    files = (p for p in store.root.rglob("*") if p.is_symlink() or p.is_file())
    assert record["total_bytes"] == sum(path.lstat().st_size for path in files)
    human = paddlesrv("cache", "df")
    assert "(unfinished downloads)" in human.out
    assert "can be freed: paddlesrv cache prune" in human.err


def test_prune_removes_what_is_left_and_no_model(shelf, store, paddlesrv):
    assert paddlesrv("get", "det").code == 0
    part = unfinished(store)
    (store.staging_dir / "det-dead").mkdir()
    before = {path.name for path in store.objects_dir.iterdir()}
    (store.objects_dir / "det-0123456789ab").mkdir()
    dry = paddlesrv("cache", "prune", "--dry-run", "--json").document
    assert dry["dry_run"] is True
    assert part.exists()
    ended = paddlesrv("cache", "prune", "--json").document
    assert ended["removed"] == dry["removed"]
    assert [each["kind"] for each in ended["removed"]] == [
        "replaced", "download", "download", "staging",
    ]  # fmt: skip
    assert not part.exists()
    assert {path.name for path in store.objects_dir.iterdir()} == before
    assert paddlesrv("verify").code == 0
    assert paddlesrv("cache", "prune", "-q").out == ""


def test_partial_means_downloads_alone(shelf, store, paddlesrv):
    unfinished(store)
    (store.staging_dir / "det-dead").mkdir(parents=True)
    removed = paddlesrv("cache", "prune", "--partial", "--json").document["removed"]
    assert {each["kind"] for each in removed} == {"download"}
    assert (store.staging_dir / "det-dead").is_dir()


@pytest.mark.parametrize(
    ("age", "gone"), [("7d", []), ("36h", ["old.part"]), ("30m", ["old.part", "some.part"])]
)
def test_older_than_spares_what_is_younger(age, gone, home, store, paddlesrv):
    unfinished(store, "old.part", age=2 * DAY)
    unfinished(store, "some.part", age=3600)
    unfinished(store, "new.part")
    ended = paddlesrv("cache", "prune", "--older-than", age)
    assert ended.code == 0
    left = {path.name for path in store.partial_dir.glob("*.part")}
    assert left == {"old.part", "some.part", "new.part"} - set(gone)


@pytest.mark.parametrize("age", ["7", "d", "", "7 days", "-1d", "1y", "nan d", "1e9d", "٣d"])
def test_an_age_that_is_none_is_exit_2(age, home, paddlesrv):
    ended = paddlesrv("cache", "prune", "--older-than", age)
    assert ended.code == 2
    assert "hint: for example: paddlesrv cache prune --older-than 7d" in ended.err


def test_what_is_being_downloaded_or_put_together_is_not_touched(home, store, paddlesrv):
    part = Partial(store.partial_dir / "f.part", SilentObserver())
    part.restart(Identity(url="https://x.invalid/f"))
    with store.staging("det") as staging, store.lock("rec", SilentObserver()):
        (staging / "half").write_bytes(b"x")
        content = store.objects_dir / "rec-0123456789ab"
        content.mkdir(parents=True)
        assert paddlesrv("cache", "prune", "--json").document["removed"] == []
        assert (staging / "half").exists()
        assert paddlesrv("cache", "df", "--json").document["in_use_bytes"] > 0
    part.close()
    removed = paddlesrv("cache", "prune", "--json").document["removed"]
    assert {Path(each["path"]).name for each in removed} == {
        "f.part", "f.part.json", "rec-0123456789ab",
    }  # fmt: skip


def test_what_a_killed_publish_left_goes_after_a_while(home, store, paddlesrv):
    store.models_dir.mkdir(parents=True)
    store.staging_dir.mkdir()
    scratch = store.models_dir / f".det.{'0' * 32}"
    scratch.symlink_to("../objects/det-0123456789ab")
    unborn = store.staging_dir / ".det-1"
    unborn.mkdir()
    pins = store.root / "pins.json.1"
    pins.write_text("{}")
    assert paddlesrv("cache", "prune", "--json").document["removed"] == []
    for path in (scratch, unborn, pins):
        os.utime(path, (1.0, 1.0), follow_symlinks=False)
    assert len(paddlesrv("cache", "prune", "--json").document["removed"]) == 3
    assert not any(os.path.lexists(path) for path in (scratch, unborn, pins))
