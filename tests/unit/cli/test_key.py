"""`key new|list|rm`: a key is shown once, its file never holds it."""

from pathlib import Path

import pytest


@pytest.fixture
def keys(tmp_path):
    return str(tmp_path / "keys")


def test_a_key_is_shown_once_and_its_limits_always(paddlesrv, keys):
    made = paddlesrv(
        "key", "new", "shop", "--rate", "2.5", "--concurrent", "3", "--api-key-file", keys
    )
    assert made.code == 0
    key = made.out.strip()
    assert key.startswith("psk_")
    assert "not shown again" in made.err
    listed = paddlesrv("key", "list", "--api-key-file", keys, "--json")
    assert listed.document["keys"] == [
        {"name": "shop", "rate": 2.5, "burst": None, "concurrent": 3, "admin": False}
    ]
    assert key not in Path(keys).read_text() + listed.out


@pytest.mark.parametrize("form", ["-q", "--json"])
def test_a_key_for_a_program_is_all_there_is_on_stdout(paddlesrv, keys, form):
    made = paddlesrv("key", "new", "ops", "--admin", "--api-key-file", keys, form)
    key = made.out.strip() if form == "-q" else made.document["key"]
    assert key.startswith("psk_")
    assert " " not in key


def test_trying_it_dry_writes_nothing_and_makes_no_key(paddlesrv, keys):
    tried = paddlesrv("key", "new", "shop", "--dry-run", "--api-key-file", keys)
    assert tried.code == 0
    assert "psk_" not in tried.out + tried.err
    assert not Path(keys).exists()


def test_a_name_is_given_once(paddlesrv, keys):
    paddlesrv("key", "new", "shop", "--api-key-file", keys)
    again = paddlesrv("key", "new", "shop", "--api-key-file", keys)
    assert again.code == 2
    assert "paddlesrv key rm shop" in again.err


def test_removing_asks_and_says_what_is_not_there(paddlesrv, keys):
    paddlesrv("key", "new", "shop", "--api-key-file", keys)
    refused = paddlesrv("key", "rm", "shop", "--api-key-file", keys)
    assert refused.code == 2
    assert "-y" in refused.err
    assert paddlesrv("key", "rm", "shop", "--dry-run", "--api-key-file", keys).code == 0
    assert paddlesrv("key", "list", "-q", "--api-key-file", keys).out == "shop\n"
    assert paddlesrv("key", "rm", "shop", "-y", "--api-key-file", keys).code == 0
    assert paddlesrv("key", "list", "-q", "--api-key-file", keys).out == ""
    assert paddlesrv("key", "rm", "shop", "-y", "--api-key-file", keys).code == 3


def test_a_file_that_is_not_there_is_named_with_the_way_to_make_it(paddlesrv, keys):
    ended = paddlesrv("key", "list", "--api-key-file", keys)
    assert ended.code == 2
    assert f"paddlesrv key new NAME --api-key-file {keys}" in ended.err
