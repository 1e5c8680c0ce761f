"""What a program of `client-config` holds of others' texts: whatever they are, they stay texts."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paddlesrv.client.snippets import address, cpp, curl, examples, java, python
from paddlesrv.client.snippets.question import Question
from paddlesrv.client.snippets.snippet import LANGUAGES, check, written
from paddlesrv.client.snippets.template import fill
from paddlesrv.errors import UsageError
from paddlesrv.models.spec import TensorSpec

TEXTS = st.text()
HARD = [
    "", '"', "\\", "\\u0022", "\\\\u000a", "??/", "\\\n", "'; exit 1 #", "$HOME", "`id`", "$(id)",
    "!!", "{{model}}", "\u2028", "\x01", "\x7f1", "größe", "百度", "😀", "END", "\r\n", "@x",
]  # fmt: skip
# A compiler takes seconds: few examples, each of many texts.
COMPILED = settings(
    max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
LISTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


def run(*words: str | Path, stdin: str = "") -> str:
    ended = subprocess.run([str(word) for word in words], input=stdin.encode(), capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


@given(TEXTS | st.text(st.characters()))
@example("\ud800")
def test_a_text_is_the_same_in_python(text):
    literal = python.string(text)
    assert ast.literal_eval(literal) == text
    assert "\n" not in literal


@COMPILED
@given(LISTS)
@example(HARD)
def test_texts_are_the_same_in_java(tmp_path, texts):
    joined = ", ".join(map(java.string, texts))
    (tmp_path / "Echo.java").write_text(
        "public class Echo { public static void main(String[] a) {"
        f"for (String text : new String[] {{{joined}}}) {{"
        "for (byte each : text.getBytes(java.nio.charset.StandardCharsets.UTF_8))"
        ' System.out.printf("%02x", each); System.out.println(); } } }',
        encoding="ascii",
    )
    found = run("java", tmp_path / "Echo.java").splitlines()
    assert [bytes.fromhex(line).decode() for line in found] == texts


@COMPILED
@given(LISTS)
@example(HARD)
def test_texts_are_the_same_in_cpp(tmp_path, texts):
    joined = ", ".join(map(cpp.string, texts))
    (tmp_path / "echo.cpp").write_text(
        "#include <cstdio>\n#include <string>\n#include <vector>\nint main() {\n"
        f"  for (const auto& text : std::vector<std::string>{{std::string(), {joined}}}) {{\n"
        '    for (unsigned char each : text) std::printf("%02x", each);\n'
        '    std::printf("\\n");\n  }\n}\n',
        encoding="utf-8",
    )
    run("g++", "-std=c++17", "-trigraphs", tmp_path / "echo.cpp", "-o", tmp_path / "echo")
    _, *found = run(tmp_path / "echo").splitlines()
    assert [bytes.fromhex(line).decode() for line in found] == texts


@settings(max_examples=25, deadline=None)
@given(LISTS)
@example(HARD)
def test_texts_are_the_same_in_a_here_document(texts):
    body = curl.here_document(json.dumps(texts))
    assert json.loads(run("bash", "-s", stdin=f"cat <<END\n{body}\nEND\n")) == texts


NAMES = st.text(min_size=1, max_size=20) | st.sampled_from([each for each in HARD if each])


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES, st.sampled_from(sorted(LANGUAGES)))
def test_no_name_changes_the_lines_of_a_program(model, tensor, language):
    def lines(model: str, tensor: str) -> int:
        spec = TensorSpec(name=tensor, dtype="float32", shape=(-1, 2))
        question = Question(
            model, model, "http://127.0.0.1:9393", "http", "tensors",
            inputs=(examples.tensor(spec),), outputs=(spec,),
        )  # fmt: skip
        return written(question, LANGUAGES[language]).text.count("\n")

    assert lines(model, tensor) == lines("plain", "x")


@settings(max_examples=25, deadline=None)
@given(NAMES, NAMES)
@example("!!", "$HOME `id` \\n")
def test_a_program_for_a_shell_sends_the_names_as_they_are(model, tensor):
    spec = TensorSpec(name=tensor, dtype="int64", shape=(-1, 2))
    question = Question(
        model, model, "http://127.0.0.1:9393", "http", "tensors", inputs=(examples.tensor(spec),)
    )  # fmt: skip
    text = written(question, LANGUAGES["curl"]).text
    sent = json.loads(run("bash", "-s", stdin=f"curl() {{ cat; }}\n{text}"))
    assert sent["inputs"][0]["name"] == tensor
    assert sent["inputs"][0]["data"] == [1, 1]


@given(TEXTS)
def test_an_address_is_one_or_is_refused(text):
    try:
        url = address.checked(text)
    except UsageError:
        return
    host, port = address.host_and_port(url)
    assert host
    assert 0 < port < 65536
    assert shlex.split(shlex.quote(url)) == [url]


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://x:0", "http://x y", "http://[::1", "http://x/?a"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError):
        address.checked(url)


def test_a_place_of_its_own_line_is_indented_and_goes_when_it_is_empty():
    template = "a {{x}}\n  {{y}}\n  {{z}}\nb\n"
    assert fill(template, {"x": "{{y}}", "y": "1\n2", "z": ""}) == "a {{y}}\n  1\n  2\nb\n"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_protocol_that_is_not_spoken_is_refused_with_those_that_are(language):
    for protocol in ("http", "grpc", "brpc"):
        if protocol in LANGUAGES[language].protocols:
            check(language, protocol)
            continue
        with pytest.raises(UsageError, match=protocol) as refused:
            check(language, protocol)
        assert "python: http, grpc, brpc" in refused.value.context["possible"]
