"""The generated reference is what the program would write now."""

import pytest

from docs import generate

PAGES = generate.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_not_stale(name):
    path = generate.FOLDER / name
    assert path.is_file(), f"renew it: {generate.COMMAND}"
    assert path.read_text(encoding="utf-8") == PAGES[name], f"renew it: {generate.COMMAND}"


def test_the_list_of_models_is_not_stale():
    text = generate.MODELS.read_text(encoding="utf-8")
    assert text == generate.models_page(), f"renew it: {generate.COMMAND}"


def test_the_tables_of_precision_are_not_stale():
    text = generate.PRECISION.read_text(encoding="utf-8")
    assert text == generate.precision_page(), f"renew it: {generate.COMMAND}"
    assert text.count("`onnxruntime`") > 4


def test_there_is_no_page_that_nobody_writes():
    assert {path.name for path in generate.FOLDER.glob("*.md")} == set(PAGES)


def test_the_width_of_the_terminal_changes_nothing(monkeypatch):
    for columns in ("40", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        assert generate.pages() == PAGES


def test_every_listed_command_is_described():
    for path, _ in generate.commands():
        assert f"\n## paddlesrv {' '.join(path)}\n" in PAGES["cli.md"]
