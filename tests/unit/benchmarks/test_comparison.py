"""What is read from a side by side run: ratios, tables, and sections of a page."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.batching import WITHOUT, factors
from benchmarks.comparison import (
    ENGINE,
    OURS,
    Document,
    Point,
    Served,
    between,
    markdown,
    merged,
    summarise,
    write_section,
)
from benchmarks.efficiency import Round, cost
from benchmarks.plot import panels


def point(system, rate, connections=16, wire="json", round=0, **more):
    return Point(
        network="linear", wire=wire, system=system, connections=connections, round=round,
        rate=rate, **more,
    )  # fmt: skip


def document(points, **served):
    told = {"threads": 1, "workers": 2, "max_batch_size": 64, **served}
    network = Served(name="linear", title="linear, 13 features", **told)
    return Document(
        command="it", made="2030-01-01", machine="a machine", notes=[], networks=[network],
        points=points,
    )  # fmt: skip


def test_a_ratio_is_of_medians_under_the_same_load_and_form():
    points = [
        *(point(OURS, rate, round=i) for i, rate in enumerate((100, 1000, 200))),
        *(point("other", rate, round=i) for i, rate in enumerate((50, 1, 100))),
        point(OURS, 7, connections=1),
        point("other", 14, connections=1),
        point(OURS, 5, wire="binary"),
    ]
    rows = {(r.system, r.connections): r for r in summarise(points, "linear", "json")}
    assert rows["other", 16].ratio == 50 / 200
    assert rows["other", 1].ratio == 2
    assert rows[OURS, 16].ratio == 1


def test_without_ours_there_is_a_rate_and_no_ratio():
    (row,) = summarise([point("other", 50)], "linear", "json")
    assert (row.rate, row.ratio) == (50, None)


def test_errors_of_all_rounds_are_told():
    points = [point(OURS, 10, errors=2), point(OURS, 10, round=1, errors=3)]
    assert summarise(points, "linear", "json")[0].errors == 5
    assert "5 errors" in markdown(document(points))


def test_a_table_has_a_line_for_each_system_and_leaves_open_what_was_not_measured():
    points = [
        point(OURS, 100, connections=1, p50_ms=1, p99_ms=2),
        point(OURS, 200, batch=8.0),
        point(ENGINE, 400, batch=8),
        point("other", 50),
    ]
    lines = markdown(document(points)).splitlines()
    assert "|  | 1 connection | 16 connections |" in lines
    assert "| **paddlesrv** | **1.00** · 100/s (1 / 2) | **1.00** · 200/s, batch 8.0 |" in lines
    assert "| engine alone |  | **2.00** · 400/s, batch 8.0 |" in lines
    assert "| other |  | **0.25** · 50/s |" in lines


def test_a_peer_that_is_not_there_is_named_with_the_reason():
    absent = {"other": "does not install here: no such Python"}
    text = markdown(document([point(OURS, 1)], absent=absent, idle={"busy": 0.25, OURS: 0.0}))
    assert "- other: does not install here: no such Python" in text
    assert "busy 25%" in text
    assert f"{OURS} 0%" not in text


def test_a_document_that_was_written_is_read_as_it_was():
    made = document([point(OURS, 1.5, batch=None), point(ENGINE, 2.5, batch=3)])
    assert msgspec.json.decode(msgspec.json.encode(made), type=Document) == made


def test_runs_of_other_networks_are_told_as_one_and_of_the_same_are_refused():
    one = document([point(OURS, 1)])
    other = msgspec.structs.replace(
        one,
        networks=[msgspec.structs.replace(one.networks[0], name="resnet50")],
        points=[msgspec.structs.replace(one.points[0], network="resnet50", rate=2)],
    )
    both = merged([one, other])
    assert [served.name for served in both.networks] == ["linear", "resnet50"]
    assert [p.rate for p in both.points] == [1, 2]
    with pytest.raises(ValueError, match="the same network"):
        merged([one, one])


def test_a_panel_is_drawn_where_there_is_something_to_compare():
    points = [point(OURS, 1), point(OURS, 1, wire="binary"), point(ENGINE, 2, wire="binary")]
    shown = [form for _, form, _ in panels(document([*points, point("other", 2)]))]
    assert shown == ["json"]
    assert [form for _, form, _ in panels(document(points))] == ["json", "binary"]


_words = st.text(st.characters(blacklist_characters="<>\r"), max_size=40)


@given(before=_words, old=_words, after=_words, new=_words)
def test_a_section_changes_nothing_beside_it_and_writing_twice_is_as_once(before, old, after, new):
    page = f"{before}<!-- x:begin -->{old}<!-- x:end -->{after}"
    once = between(page, "x", new)
    assert once.startswith(f"{before}<!-- x:begin -->\n\n{new.strip()}")
    assert once.endswith(f"<!-- x:end -->{after}")
    assert between(once, "x", new) == once


@pytest.mark.parametrize(
    "page",
    ["", "<!-- x:begin -->", "<!-- x:end --><!-- x:begin -->", "<!-- x:begin -->" * 2],
)
def test_a_page_without_both_markers_is_refused_and_stays(page, tmp_path):
    file = tmp_path / "page.md"
    file.write_text(page)
    with pytest.raises(ValueError, match="x:begin"):
        write_section(file, "x", "new")
    assert file.read_text() == page


def test_the_factor_of_batching_is_of_medians():
    points = [
        *(point(OURS, rate, round=i, wire="binary", batch=4) for i, rate in enumerate((3, 9, 6))),
        *(point(WITHOUT, rate, round=i, wire="binary") for i, rate in enumerate((2, 1, 9))),
    ]
    assert factors(points, "linear") == {16: (6, 2, 4)}


def test_a_share_of_the_engine_is_found_within_each_round():
    # The machine was half as fast in the second round, for both.
    rounds = [
        Round(network="x", connections=64, rate=r, batch=8, alone=a, p50_ms=3, run_ms=2)
        for r, a in ((80, 100), (40, 50), (80, 100))
    ]
    found = cost(rounds)
    assert found.share == 0.8
    assert found.overhead_ms == 1
