"""The store: a model is there whole or not at all, and damage does not go unseen."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.digests import digests_of
from paddlesrv.zoo.locks import locked
from paddlesrv.zoo.partial import Identity, Partial
from paddlesrv.zoo.progress import SilentObserver
from paddlesrv.zoo.store import InstalledModel, Record, Store, now

RECORD = Record(
    source="https", where="https://x.invalid/m.tar", sha256="0" * 64, size_bytes=3,
    installed_at=now(), version="0",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(
    store: Store, name: str = "m1", body: bytes = b"abc", revision: str = ""
) -> InstalledModel:
    with store.staging(name) as staging:
        (staging / "d").mkdir()
        (staging / "d" / "w").write_bytes(body)
        spec = ModelSpec(
            name=name, task="tensors", format="paddle-program", program="d/w",
            digests=digests_of(staging), revision=revision or body.hex().ljust(12, "0"),
        )  # fmt: skip
        return store.publish(staging, spec, RECORD)


def test_a_published_model_is_found_with_its_files(store: Store) -> None:
    assert store.installed("m1") is None
    model = publish(store)
    assert store.installed("m1") == model
    assert store.installed_models() == [model]
    assert (model.path / "d" / "w").read_bytes() == b"abc"
    assert model.directory == model.path.resolve()
    assert store.leftovers() == []


def test_a_newer_revision_takes_the_name_and_the_old_content_stays_readable(store: Store) -> None:
    old = publish(store)
    new = publish(store, body=b"xyz")
    assert (new.path / "d" / "w").read_bytes() == b"xyz"
    assert (old.directory / "d" / "w").read_bytes() == b"abc"
    assert store.prune() == [old.directory]
    assert store.installed("m1") == new


def test_the_same_content_again_is_kept_and_damaged_content_replaced(store: Store) -> None:
    first = publish(store)
    assert publish(store).directory == first.directory
    (first.directory / "d" / "w").write_bytes(b"rot")
    with pytest.raises(IntegrityError, match="d/w") as caught:
        store.verify_digests(first)
    assert caught.value.hints == ("paddlesrv get m1 --force",)
    store.verify_digests(publish(store))


def test_a_missing_file_is_damage(store: Store) -> None:
    model = publish(store)
    (model.directory / "d" / "w").unlink()
    with pytest.raises(IntegrityError, match="d/w"):
        store.verify_digests(model)


def test_content_without_its_record_is_no_model(store: Store) -> None:
    model = publish(store)
    (model.directory / "install.json").unlink()
    assert store.installed("m1") is None
    assert store.installed_models() == []


def test_damaged_records_are_an_error_that_says_what_to_do(store: Store) -> None:
    model = publish(store)
    (model.directory / "spec.json").write_text("{")
    with pytest.raises(IntegrityError) as caught:
        store.installed("m1")
    assert caught.value.hints == ("paddlesrv get m1 --force",)


def test_a_store_that_cannot_be_written_still_serves(store: Store, tmp_path: Path) -> None:
    expected = publish(store)
    places = [store.root, *store.root.rglob("*")]
    for place in places:
        if not place.is_symlink():
            place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        before = {p: p.lstat().st_mtime_ns for p in places}
        reader = Store(store.root)
        model = reader.installed("m1")
        assert model == expected
        reader.verify_digests(model)
        assert reader.installed_models() == [expected]
        assert {p: p.lstat().st_mtime_ns for p in [store.root, *store.root.rglob("*")]} == before
    finally:
        for place in places:
            if not place.is_symlink():
                place.chmod(0o755)


@pytest.mark.parametrize("name", ["../m", "a/b", "", ".m", "m\n", "a" * 101, "m\0"])
def test_names_that_would_be_paths_are_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError):
        store.installed(name)
    with pytest.raises(UsageError):
        store.remove(name)


def test_a_removed_model_leaves_others_alone(store: Store) -> None:
    publish(store)
    other = publish(store, name="m1-more")
    assert store.remove("m1")
    assert not store.remove("m1")
    assert store.installed_models() == [other]
    assert store.leftovers() == []


def test_a_staging_directory_that_fails_is_gone(store: Store) -> None:
    with pytest.raises(RuntimeError), store.staging("m1") as staging:
        (staging / "half").write_bytes(b"")
        raise RuntimeError
    assert store.leftovers() == []


def test_a_store_can_be_moved(store: Store, tmp_path: Path) -> None:
    publish(store)
    shutil.move(store.root, tmp_path / "elsewhere")
    moved = Store(tmp_path / "elsewhere")
    model = moved.installed("m1")
    assert model is not None
    moved.verify_digests(model)


def test_publishing_at_once_without_a_lock_gives_one_whole_model(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=publish, args=(store,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    model = store.installed("m1")
    assert model is not None
    store.verify_digests(model)
    assert store.leftovers() == []


def test_who_waits_for_a_lock_is_told_so(store: Store) -> None:
    told: queue.Queue[str] = queue.Queue()

    class Teller(SilentObserver):
        def note(self, text: str) -> None:
            told.put(text)

    def wait() -> None:
        with store.lock("m1", Teller()):
            told.put("locked")

    waiter = threading.Thread(target=wait)
    with store.lock("m1", SilentObserver()):
        waiter.start()
        assert "waiting for another paddlesrv" in told.get(timeout=60)
    assert told.get(timeout=60) == "locked"
    waiter.join()


def test_a_lock_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError), locked(tmp_path / "lock", lambda: None):
        pass
    assert not (tmp_path / "victim").exists()


def test_pins_hold_and_damage_is_said(store: Store) -> None:
    assert store.pins.get("https://x.invalid") is None
    store.pins.note("https://x.invalid", "a" * 64)
    store.pins.note("https://x.invalid", "a" * 64)
    assert Store(store.root).pins.get("https://x.invalid") == "a" * 64
    with pytest.raises(IntegrityError):
        store.pins.note("https://x.invalid", "b" * 64)
    assert msgspec.json.decode(store.pins.path.read_bytes()) == {"https://x.invalid": "a" * 64}
    store.pins.path.write_text("[")
    with pytest.raises(IntegrityError):
        store.pins.get("https://x.invalid")


def test_only_leftovers_of_that_age_are_pruned(store: Store) -> None:
    store.partial_dir.mkdir(parents=True)
    for name, age in (("old.part", 7200), ("new.part", 0)):
        path = store.partial_dir / name
        path.write_bytes(b"x")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert [p.name for p in store.prune(older_than_seconds=3600)] == ["old.part"]
    assert [p.name for p in store.leftovers()] == ["new.part"]


def test_a_download_in_progress_is_no_leftover(store: Store) -> None:
    unfinished = Partial(store.partial_dir / "f.part", SilentObserver())
    unfinished.restart(Identity(url="https://x.invalid"))
    assert store.prune() == []
    unfinished.close()
    assert {p.name for p in store.prune()} == {"f.part", "f.part.json"}
