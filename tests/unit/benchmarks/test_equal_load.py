"""What is told of servers that are asked at equal rates."""

from __future__ import annotations

from benchmarks.equal_load import Arrivals, markdown


def arrivals(system: str, *, answered: float = 1.0, p99: float | None = 3.0, busy: float = 0.2,
             turn: int = 0) -> Arrivals:  # fmt: skip
    return Arrivals(
        network="n", wire="json", system=system, share=0.1, rate=100.0, round=turn,
        answered=answered, p50_ms=None if p99 is None else p99 / 2, p99_ms=p99, busy=busy,
    )  # fmt: skip


def cell(*found: Arrivals) -> str:
    line = markdown(found, {}, ["a note"]).splitlines()[-1]
    return line.split("|")[2].strip()


def test_times_are_medians_over_the_rounds() -> None:
    rounds = [arrivals("paddlesrv", p99=p99, turn=i) for i, p99 in enumerate((9.0, 4.0, 5.0))]
    assert cell(*rounds) == "2.5 / **5**"


def test_times_of_a_server_that_falls_behind_are_not_told() -> None:
    assert cell(arrivals("slow", answered=0.4)) == "falls behind: 40% answered within 5 s"
    assert cell(arrivals("dead", answered=0.0, p99=None)).startswith("falls behind: 0%")


def test_times_of_a_load_that_is_at_its_end_are_not_told() -> None:
    assert cell(arrivals("fast", busy=0.97)) == "more than the load can send"


def test_who_is_absent_is_told_with_the_reason() -> None:
    assert "- gone: does not install here" in markdown(
        [arrivals("paddlesrv")], {"gone": "does not install here"}, []
    )
