"""Asking over HTTP: what is said of servers that are not there, or are not ours."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from paddlesrv import errors
from paddlesrv.client.http import HttpClient, Unreachable
from paddlesrv.errors import InvalidInput, NotFound, Overloaded, Unavailable, UsageError
from paddlesrv.tasks.base import TaskInput, TaskOptions

PICTURE = TaskInput("image", b"a picture")
ANSWER = {"schema": 1, "model": "m", "task": "ocr", "results": [{}], "timing_ms": {}}


@contextmanager
def answering(*answers):
    """A server that gives these answers (status, JSON or bytes), and keeps what it was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("content-length", 0))
            asked.append((self.path, self.headers["content-type"], self.rfile.read(length)))
            status, body = left.pop(0) if len(left) > 1 else left[0]
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url, item=PICTURE, options=None):
    with HttpClient(url) as client:
        return client.predict("a model", item, options or TaskOptions())


def test_a_picture_is_sent_as_it_is_with_options_in_the_query():
    with answering((200, ANSWER)) as (url, asked):
        assert ask(url, options=TaskOptions(top=3, threshold=0.25, tokens=True)) == ANSWER
    assert asked == [
        (
            "/predict/a%20model?top=3&threshold=0.25&tokens=1",
            "application/octet-stream",
            b"a picture",
        )
    ]


@pytest.mark.parametrize(
    ("item", "body"),
    [
        (TaskInput("text", "百度"), {"text": "百度"}),
        (TaskInput("features", [1, 2]), {"features": [1, 2]}),
    ],
)
def test_texts_and_features_are_sent_as_json(item, body):
    with answering((200, ANSWER)) as (url, asked):
        ask(url, item)
    assert asked[0][1] == "application/json"
    assert json.loads(asked[0][2]) == body


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "invalid-input", InvalidInput), (404, "not-found", NotFound),
     (429, "overloaded", Overloaded), (503, "unavailable", Unavailable),
     (405, "method-not-allowed", errors.PaddlesrvError)],
)  # fmt: skip
def test_an_error_of_the_server_comes_back_as_it_was(status, code, kind):
    said = {"error": "it broke", "code": code, "hint": "do this", "request_id": "1"}
    with answering((status, said)) as (url, _), pytest.raises(kind) as caught:
        ask(url)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hints) == ("it broke", ("do this",))


def test_nobody_there_is_said_with_the_way_to_start_one():
    with answering((200, ANSWER)) as (url, _):
        pass
    with pytest.raises(Unreachable) as caught:
        ask(url)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"no server answers at {url}"
    assert "start one: paddlesrv serve 'a model'" in caught.value.hints


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (200, {}), (200, [1]), (404, b"<html>"), (500, [1])]
)
def test_another_kind_of_server_is_recognised(answer):
    with answering(answer) as (url, _), pytest.raises(Unreachable, match="no paddlesrv server"):
        ask(url)


def test_waiting_ends_when_the_model_is_ready():
    with answering((503, {}), (503, {}), (200, {})) as (url, asked):
        with HttpClient(url) as client:
            client.wait_ready("m", 30)
    assert [path for path, _, _ in asked] == ["/v2/models/m/ready"] * 3


def test_waiting_has_an_end():
    with answering((503, {})) as (url, _), HttpClient(url) as client:
        with pytest.raises(Unavailable, match="not ready within 0 s"):
            client.wait_ready("m", 0)


def test_waiting_for_a_model_that_is_not_served_is_refused_at_once():
    said = {"error": "model 'm' is not served here", "code": "not-found"}
    with answering((404, said)) as (url, asked), HttpClient(url) as client:
        with pytest.raises(NotFound, match="not served here"):
            client.wait_ready("m", 30)
    assert len(asked) == 1


@pytest.mark.parametrize("url", ["ftp://x", "http://", "://", ""])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError):
        HttpClient(url)


def test_a_bare_host_and_port_is_an_address():
    with HttpClient("127.0.0.1:9393/") as client:
        assert client.url == "http://127.0.0.1:9393"
