"""`help`: the topics are there, fit a terminal, and name commands that parse."""

import re

import pytest

from paddlesrv.cli.failure import EXIT_CODES
from paddlesrv.cli.output import width_of
from paddlesrv.cli.topics import TOPICS
from paddlesrv.environment import HEEDED, OWN
from paddlesrv.zoo.catalogue import Catalogue, data_directory
from tests.unit.cli.commands import COMMANDS
from tests.unit.cli.test_conventions import parse

TEXTS = {topic.name: topic.text() for topic in TOPICS}
LINES = [
    pytest.param(line.strip(), id=line.strip()[:60])
    for text in TEXTS.values()
    for line in text.splitlines()
    if re.match(r"    (PADDLESRV_\S+ )?paddlesrv ", line)
]


def test_every_text_is_a_topic_and_every_topic_has_one(paddlesrv):
    written = {path.stem for path in (data_directory("templates") / "help").glob("*.md")}
    assert written == set(TEXTS)
    assert paddlesrv("help", "-q").out.split() == [topic.name for topic in TOPICS]


@pytest.mark.parametrize("name", TEXTS)
def test_a_topic_fits_a_terminal(name):
    lines = TEXTS[name].splitlines()
    assert lines[0].startswith("# ")
    assert max(width_of(line) for line in lines) <= 100
    assert "{{" not in TEXTS[name]


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_in_a_topic_parses(line):
    parse(re.split(r"\s{2,}", line)[0])


@pytest.mark.parametrize("name", TEXTS)
def test_models_that_are_named_are_in_the_catalogue(name):
    catalogue = Catalogue.load()
    for line in TEXTS[name].splitlines():
        found = re.match(r"    (?:PADDLESRV_\S+ )?paddlesrv (?:get|serve|predict|info) (\w+)", line)
        if found and found[1] != "my_model":
            assert catalogue.resolve(found[1])


def test_lists_are_made_of_the_programs_own(paddlesrv):
    text = " ".join(paddlesrv("help", "exit-codes").out.split())
    assert all(f"{code} {meaning}" in text for code, meaning in EXIT_CODES.items())
    text = paddlesrv("help", "environment").out
    assert all(f"    {variable.name} " in text for variable in (*OWN, *HEEDED))


@pytest.mark.parametrize(
    ("words", "name"),
    [(["exit-codes"], "exit-codes"), (["exit", "codes"], "exit-codes"), (["air-gapped"], "offline"),
     (["ENV"], "environment")],
)  # fmt: skip
def test_a_topic_is_found_by_the_names_that_people_try(words, name, paddlesrv):
    assert paddlesrv("help", *words, "--json").document["topic"] == name


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_a_command_is_what_its_flag_prints(path, paddlesrv):
    assert paddlesrv("help", *path).out.endswith(paddlesrv(*path, "--help").out)


def test_a_name_of_both_shows_both(paddlesrv):
    text = paddlesrv("help", "config").out
    assert text.startswith("Config files\n")
    assert "Usage: paddlesrv config " in text


@pytest.mark.parametrize(
    ("asked", "meant"), [("exitcodes", "exit-codes"), ("serv", "serve"), ("ofline", "offline")]
)
def test_an_unknown_topic_exits_3_with_what_may_be_meant(asked, meant, paddlesrv):
    ended = paddlesrv("help", asked)
    assert ended.code == 3
    assert f"hint: did you mean {meant}? paddlesrv help {meant}" in ended.err
