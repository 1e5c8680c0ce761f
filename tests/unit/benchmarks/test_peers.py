"""How peers are asked, and what is made of their answers and of pip's errors."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.networks import Network
from benchmarks.peers import network as engine
from benchmarks.peers.environments import CannotInstall, find_python, last_error, make, version_of
from benchmarks.peers.table import PEERS, answer_of, target
from benchmarks.systems import free_port

ROOT = Path(engine.__file__).parent


@pytest.fixture
def network(tmp_path):
    return Network("n", "N", tmp_path, "x", "y", (13,), 1, 64, 1, 1)


def test_every_peer_has_a_program_that_says_which_documentation_it_follows():
    for peer in PEERS.values():
        text = (ROOT / f"serve_{peer.name}.py").read_text()
        assert re.search(r"^Tuned by .+documentation", text, re.MULTILINE), peer.name


def test_every_peer_is_pinned():
    for peer in PEERS.values():
        assert re.search(r"==\d", peer.packages[0]), peer.name


def test_all_forms_of_a_request_hold_the_same_row(network):
    row = network.row()[0]
    job = engine.Job.__new__(engine.Job)
    job.shape = network.shape
    asked = target(network, 1, "open-inference", "/{name}")
    assert asked.url == "http://127.0.0.1:1/n"
    assert (engine.row_of_json(job, json.loads(asked.body)) == row).all()
    assert (engine.row_of_bytes(job, target(network, 1, "bytes", "/").body) == row).all()
    binary = target(network, 1, "open-inference-binary", "/")
    head = int(binary.headers["inference-header-content-length"])
    assert json.loads(binary.body[:head])["inputs"][0]["shape"] == [1, 13]
    assert (engine.row_of_bytes(job, binary.body[head:]) == row).all()


def test_an_answer_is_read_in_every_form(network):
    row = np.float32([19.5])
    told = {"outputs": [{"name": "y", "data": [19.5]}]}
    assert answer_of(json.dumps(told).encode(), "json", network) == row
    assert answer_of(json.dumps(told["outputs"]).encode(), "json", network) == row
    assert answer_of(b'{"outputs":[]}' + row.tobytes(), "binary", network) == row
    with pytest.raises(LookupError):
        answer_of(b'{"error": "no"}', "json", network)


def test_a_python_that_is_not_here_is_a_reason_and_no_crash(tmp_path):
    with pytest.raises(CannotInstall, match=r"needs Python 3\.99"):
        make("x", ["x==1"], "3.99", tmp_path)
    assert not list(tmp_path.iterdir())
    assert find_python(None) == sys.executable
    assert version_of(sys.executable) == "{}.{}".format(*sys.version_info)
    assert version_of(os.devnull) == ""


def test_of_pips_output_the_last_error_is_told():
    said = "Collecting x\nERROR: Could not find a version\nERROR: No matching distribution\nbye\n"
    assert last_error(said) == "ERROR: No matching distribution"
    assert last_error("a\nb\n") == "b"
    assert last_error("") == "it says nothing"


def test_free_ports_are_below_those_of_outgoing_connections():
    assert 20000 <= free_port() < 32000
