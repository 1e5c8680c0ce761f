"""What is worth a try: no more threads than cores, no batch that nobody fills."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tuning.candidates import Candidate, Way, candidates, delayed

WAYS = (Way("paddle"), Way("onnxruntime"))
DEFAULT = Candidate(engine="paddle", threads=2, max_batch_size=8)


@given(
    objective=st.sampled_from(["latency", "throughput"]),
    cores=st.integers(1, 96),
    max_rows=st.integers(1, 256),
    concurrency=st.integers(1, 256),
)
def test_only_what_could_be_better_is_tried(objective, cores, max_rows, concurrency):
    found = candidates(WAYS, DEFAULT, objective=objective, cores=cores, max_rows=max_rows,
                       concurrency=concurrency)  # fmt: skip
    assert found[0] == DEFAULT
    assert len(set(found)) == len(found)
    for each in found[1:]:
        assert each.threads * each.instances <= cores
        assert each.instances <= concurrency
        assert 1 <= each.max_batch_size <= max(1, min(max_rows, concurrency))
        if objective == "throughput" and concurrency >= cores:
            assert 2 * each.threads * each.instances >= cores
    engines = {each.engine for each in found}
    assert engines == {"paddle", "onnxruntime"}


def test_waiting_is_tried_only_where_a_batch_could_grow():
    best = Candidate(engine="paddle", threads=1, instances=2, max_batch_size=8)
    assert [each.max_delay_ms for each in delayed(best, 16)] == [1.0, 2.0, 5.0]
    assert delayed(best, 2) == ()
    assert delayed(Candidate(engine="paddle", threads=1, max_batch_size=1), 16) == ()


def test_a_candidate_is_told_in_words():
    way = Candidate(engine="onnxruntime", precision="int8", threads=1, instances=2,
                    max_batch_size=8, max_delay_ms=2.0)  # fmt: skip
    assert str(way) == "onnxruntime int8, 1 thread, 2 instances, batch 8, delay 2 ms"
