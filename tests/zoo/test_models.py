"""All 42 models of Paddle Serving 0.7: got from a mirror, served, and asked over HTTP.

Their archives are stand-ins (`tests/standins`), since the published ones cannot be had here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from paddlesrv.zoo.catalogue import Catalogue
from tests.standins import zoo
from tests.standins.classification import COLOURS
from tests.zoo import odd_pictures
from tests.zoo.asking import ask, differences, result_of
from tests.zoo.conftest import ANCESTOR, Families, all_rows, rows
from tests.zoo.row import Row

ROWS = all_rows()
WORDY = [(f, row.model) for f, row in ROWS if row.model in ("senta_bilstm", "lac", "transformer")]
TABLE = pytest.mark.parametrize(("family", "row"), ROWS, ids=[row.model for _, row in ROWS])
VISUAL = [(family, row) for family, row in ROWS if isinstance(row.inputs[0], bytes)]


def test_every_model_of_paddle_serving_has_a_row() -> None:
    listed = {e.name for e in Catalogue.load().entries if e.collection == ANCESTOR}
    assert len(listed) == 42
    assert {row.model for _, row in ROWS} == listed


@TABLE
def test_a_model_is_got_served_and_answers(families: Families, family: str, row: Row) -> None:
    assert len(row.inputs) >= 3
    server = families.server(family)
    with server.client() as client:
        for number, given in enumerate(row.inputs):
            row.check(number, result_of(ask(client, row.model, given)))


@pytest.mark.parametrize("case", odd_pictures.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(("family", "row"), VISUAL, ids=[row.model for _, row in VISUAL])
def test_an_odd_picture_is_answered_or_refused_with_a_reason(
    families: Families, family: str, row: Row, case: odd_pictures.Case
) -> None:
    server = families.server(family)
    with server.client() as client:
        answer = ask(client, row.model, case.data)
        if case.refused is not None:
            assert answer.status_code == case.refused.status, answer.text
            assert case.refused.word in answer.json()["error"]
        elif case.same_as is not None:
            plain = ask(client, row.model, case.same_as)
            assert differences(result_of(plain), result_of(answer), row.tolerance) is None
        else:
            assert case.size is not None
            lies_inside(result_of(answer), *case.size)


@pytest.mark.parametrize(("family", "row"), VISUAL, ids=[row.model for _, row in VISUAL])
def test_a_visual_answer_can_be_drawn(families: Families, family: str, row: Row) -> None:
    server = families.server(family)
    with server.client() as client:
        answer = ask(client, row.model, row.inputs[0], "?draw=1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_every_source_of_a_standin_is_one_of_the_catalogue() -> None:
    catalogue = Catalogue.load()
    for key in zoo.all_standins():
        model, _, file = key.partition("/")
        entry = catalogue.resolve(model).entry
        if entry.status == "needs-export":  # a mirror may hold what an organisation made itself
            assert file == f"{entry.slug}.tar.gz"
            continue
        sources = (*entry.sources, *(extra.source for extra in entry.extras))
        assert any(str(source).find(file) >= 0 for source in sources), key


def test_differences_are_found() -> None:
    assert differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.0 + 1e-7]}, 1e-5) is None
    assert differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, 1e-5) == ".a[1]: 2.0 and 2.1"
    assert differences({"a": "x"}, {"a": "y"}, 1e-5) is not None
    assert differences([1, 2], [1], 1e-5) is not None


def lies_inside(result: dict[str, Any], width: int, height: int) -> None:
    """Whatever a visual task answers: boxes within the picture, masks of its size, true shares."""
    assert result.keys() <= {"boxes", "classes", "mask", "text", "score", "lines"}
    for each in (*result.get("boxes", ()), *result.get("lines", ())):
        box = np.array(each["box"], float).reshape(-1, 2)
        assert (box >= 0).all()
        assert (box <= (width, height)).all()
        assert 0 <= each["score"] <= 1
    for each in (result, *result.get("boxes", ())):
        if "mask" in each:
            assert each["mask"]["size"] == [height, width]
            assert sum(each["mask"]["counts"]) == width * height
    classes = result.get("classes", ())
    if "mask" in result:
        assert sum(each["share"] for each in classes) == pytest.approx(1)
    elif classes:
        scores = [each["score"] for each in classes]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] <= scores[0] <= 1 + 1e-6


@pytest.mark.family("classification")
@pytest.mark.parametrize("row", rows("classification"), ids=lambda row: row.model)
def test_one_pixel_is_the_colour_that_it_is(families: Families, row: Row) -> None:
    red = next(index for index, colour in COLOURS.items() if colour == (1, 0, 0))
    server = families.server("classification")
    with server.client() as client:
        pixel = odd_pictures.CASES[0]
        assert result_of(ask(client, row.model, pixel.data))["classes"][0]["index"] == red


@pytest.mark.parametrize(("family", "row"), VISUAL, ids=[row.model for _, row in VISUAL])
def test_an_empty_picture_is_an_answer(families: Families, family: str, row: Row) -> None:
    """White paper: no box, no text, one class everywhere."""
    server = families.server(family)
    with server.client() as client:
        result = result_of(ask(client, row.model, odd_pictures.WHITE))
    assert result.get("boxes", []) == []
    assert result.get("lines", []) == []
    assert result.get("text", "") == ""
    if "mask" in result:
        assert [each["share"] for each in result["classes"]] == [1]


@pytest.mark.parametrize(("family", "model"), WORDY, ids=[model for _, model in WORDY])
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_a_word_is_refused_where_nothing_can_be_said_of_it(
    families: Families, family: str, model: str, text: str
) -> None:
    server = families.server(family)
    with server.client() as client:
        answer = ask(client, model, text)
    assert answer.status_code == 400
    assert "text" in answer.json()["error"]
