"""`serving_server_conf.prototxt` as text and as bytes, and where it disagrees with the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError
from paddlesrv.models import serving_conf
from paddlesrv.models.serving_conf import ServingConf, Variable
from paddlesrv.models.spec import TensorSpec
from paddlesrv.models.wire import Malformed
from tests.protocols.old_client import messages

NAMES = st.text("abz_.0/", min_size=1, max_size=8)
VARIABLES = st.builds(
    Variable,
    NAMES,
    NAMES,
    st.booleans(),
    st.integers(0, 20),
    st.lists(st.integers(-1, 4096), max_size=4).map(tuple),
)
CONFS = st.builds(
    ServingConf,
    st.lists(VARIABLES, max_size=3).map(tuple),
    st.lists(VARIABLES, max_size=3).map(tuple),
)
ROWS = TensorSpec(name="image", dtype="float32", shape=(-1, 3, 224, 224))
OPEN = TensorSpec(name="image", dtype="float32", shape=(-1, 3, -1, -1))
WORDS = TensorSpec(name="words", dtype="int64", shape=(-1, 1), lod_level=1)


@given(conf=CONFS)
def test_what_the_published_messages_write_is_read_in_both_forms(conf):
    theirs = messages("general_model_config")["GeneralModelConfig"]()
    for feed in conf.feeds:
        theirs.feed_var.add(name=feed.name, alias_name=feed.alias, is_lod_tensor=feed.is_lod,
                            feed_type=feed.type_code, shape=feed.shape)  # fmt: skip
    for fetch in conf.fetches:
        theirs.fetch_var.add(name=fetch.name, alias_name=fetch.alias, is_lod_tensor=fetch.is_lod,
                             fetch_type=fetch.type_code, shape=fetch.shape)  # fmt: skip
    assert serving_conf.decode(theirs.SerializeToString()) == conf
    assert serving_conf.parse(text_format.MessageToString(theirs).encode()) == conf


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_config_or_malformed(data):
    try:
        conf = serving_conf.decode(data)
    except Malformed:
        return
    assert all(each.name and each.alias for each in (*conf.feeds, *conf.fetches))


def test_the_text_goes_before_the_bytes_and_damage_is_named(tmp_path: Path):
    assert serving_conf.read(tmp_path) is None
    stream = tmp_path / "serving_server_conf.stream.prototxt"
    stream.write_bytes(b"\xff")
    with pytest.raises(IntegrityError, match=r"stream\.prototxt is damaged"):
        serving_conf.read(tmp_path)
    (tmp_path / "serving_server_conf.prototxt").write_text('feed_var { name: "x" }')
    conf = serving_conf.read(tmp_path)
    assert conf is not None
    assert conf.feeds == (Variable("x", "x"),)


@pytest.mark.parametrize(
    ("feed", "tensor", "words"),
    [
        (Variable("image", "image", False, 1, (3, 224, 224)), ROWS, None),
        (Variable("image", "image", False, 1, (3, 640, 640)), OPEN, None),
        (Variable("image", "image", False, 1, (3,)), OPEN, None),
        (Variable("words", "words", True, 0, (-1,)), WORDS, None),
        (Variable("image", "pic", False, 1, (3, 320, 320)), ROWS, "rows of [3, 320, 320]"),
        (Variable("image", "pic", False, 1, (4,)), OPEN, "rows of [4]"),
        (Variable("image", "pic", False, 7, (3, 224, 224)), ROWS, "'pic' as uint8"),
        (Variable("image", "pic", False, 99, (3, 224, 224)), ROWS, "as type 99"),
        (Variable("words", "words", False, 0, (1,)), WORDS, "is no sequence, to the network one"),
        (Variable("image", "image", True, 1, (-1,)), ROWS, "is a sequence, to the network no"),
        (Variable("other", "other", False, 1, (3,)), ROWS, "'other', which the network has not"),
    ],
)
def test_only_what_clients_would_be_refused_for_is_doubted(feed, tensor, words):
    found = serving_conf.doubts(ServingConf((feed,), ()), (tensor,))
    if words is None:
        assert found == []
    else:
        assert [words in text for text in found] == [True]


def test_a_word_for_an_input_and_an_output_is_doubted():
    conf = ServingConf(
        (Variable("image", "x", False, 1, (3,)),), (Variable("y", "x", False, 1, (3,)),)
    )
    (doubt,) = serving_conf.doubts(conf, (OPEN,))
    assert "feed it as 'image'" in doubt
