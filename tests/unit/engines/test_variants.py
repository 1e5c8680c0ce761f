"""The choice among paddle's variants: fast if it is right, right in any case."""

from __future__ import annotations

import numpy as np
import pytest

from paddlesrv.engines import variants
from paddlesrv.engines.variants import NO_ACT_FUSE, NO_PLACEMENT, ONEDNN, PLAIN, choose, difference
from paddlesrv.errors import EngineError
from paddlesrv.models.tensor import Tensor

ALL = (ONEDNN, NO_ACT_FUSE, PLAIN)


class Network:
    """Answers one number, whatever it is asked; None stands for a failure."""

    def __init__(self, value: float | None) -> None:
        self.value = value
        self.closed = False

    def run(self, inputs):
        if self.value is None:
            raise EngineError("the network failed")
        return {"y": Tensor(np.array([self.value, 1.0], dtype=np.float32))}

    def close(self):
        self.closed = True


def chosen(**values: float | None) -> tuple[str, dict[str, Network]]:
    loaded: dict[str, Network] = {}

    def load(variant):
        loaded[variant.name] = Network(values[variant.name.replace("-", "_")])
        return loaded[variant.name]

    variant, network = choose(load, ALL, {})
    assert network is loaded[variant.name]
    assert [name for name, each in loaded.items() if not each.closed] == [variant.name]
    return variant.name, loaded


def test_the_first_variant_is_taken_if_its_answers_are_finite():
    name, loaded = chosen(onednn=1.0)
    assert (name, list(loaded)) == ("onednn", ["onednn"])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None])
def test_one_that_fails_or_says_nan_gives_way_to_one_that_agrees_with_plain(wrong):
    assert chosen(onednn=wrong, plain=1.0, onednn_without_act_fuse=1.00001)[0] == NO_ACT_FUSE.name


@pytest.mark.parametrize("wrong", [float("nan"), 2.0, None])
def test_plain_is_taken_if_no_other_agrees_with_it(wrong):
    assert chosen(onednn=None, plain=1.0, onednn_without_act_fuse=wrong)[0] == "plain"


def test_an_input_that_suits_no_variant_changes_nothing():
    assert chosen(onednn=None, plain=None)[0] == "onednn"


def test_a_pir_program_that_interpolates_never_meets_the_pass_that_breaks_it():
    program = b'{"ops":[{"#":"1.bilinear_interp"}]}'
    assert variants.candidates("paddle-pir", program) == (NO_PLACEMENT, PLAIN)
    assert variants.candidates("paddle-pir", b"{}")[0] is ONEDNN


def test_a_variant_that_is_alone_is_loaded_and_not_asked():
    network = Network(None)
    assert choose(lambda variant: network, (PLAIN,), {}) == (PLAIN, network)


def test_differences_are_relative_to_the_largest_number():
    def answers(*values):
        return {"y": Tensor(np.array(values, dtype=np.float32))}

    assert difference(answers(100, 1), answers(100, 2)) == pytest.approx(0.01)
    assert difference(answers(1, 2), answers(1, 2)) == 0
    assert difference(answers(1, np.nan), answers(1, 2)) == float("inf")
    assert difference(answers(1), answers(1, 2)) == float("inf")
    assert difference({}, answers(1)) == float("inf")
