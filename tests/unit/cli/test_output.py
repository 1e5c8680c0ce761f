"""The sink: colour, widths, and that a pipe loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.cli import output
from paddlesrv.cli.output import Output, human_size, shortened, width_of


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (14_961_695, "15.0 MB"),
     (99_960_000, "100 MB"), (999_600, "1.0 MB"), (362_000_000, "362 MB"), (5 * 10**12, "5.0 TB")],
)  # fmt: skip
def test_sizes_for_people(size, text):
    assert human_size(size) == text


@given(text=st.text(), limit=st.integers(1, 20))
def test_a_shortened_text_fits_and_a_short_one_is_kept(text, limit):
    assert width_of(shortened(text, limit)) <= limit
    if width_of(text) <= limit:
        assert shortened(text, limit) == text


def test_wide_letters_count_twice_and_columns_stay_in_line(capsys):
    Output().table(("A", "B"), [("文字", "x"), ("abc", "y")])
    assert capsys.readouterr().out.splitlines() == ["A     B", "文字  x", "abc   y"]


def test_a_table_in_a_pipe_is_whole(capsys):
    Output().table(("A", "B"), [("name", "x" * 500)])
    assert "x" * 500 in capsys.readouterr().out


def test_a_table_on_a_terminal_fits_it(capsys, monkeypatch):
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    Output().table(("A", "B"), [("name", "x" * 500)])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].endswith("…")


@pytest.mark.parametrize(
    ("flags", "environment", "terminal", "colored"),
    [
        ([], {}, False, False),
        ([], {}, True, True),
        ([], {"TERM": "dumb"}, True, False),
        ([], {"NO_COLOR": "1"}, True, False),
        ([], {"NO_COLOR": ""}, True, True),
        ([], {"FORCE_COLOR": "1"}, False, True),
        ([], {"FORCE_COLOR": "0"}, False, False),
        ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        (["--color", "always"], {"NO_COLOR": "1"}, False, True),
        (["--color=never"], {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_flag_then_environment_then_terminal(
    flags, environment, terminal, colored, paddlesrv, monkeypatch
):
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(output, "is_terminal", lambda stream: terminal)
    assert ("\x1b[" in paddlesrv("list", *flags).out) is colored
    failed = paddlesrv("info", "nonesuch", *flags).err
    assert ("\x1b[" in failed) is colored
    assert "error:" in failed


def test_json_is_never_coloured(paddlesrv):
    assert "\x1b" not in paddlesrv("list", "--json", "--color", "always").out


def test_an_error_in_the_arguments_is_coloured_as_asked(paddlesrv):
    assert "\x1b[" in paddlesrv("list", "--frob", "--color", "always").err


def test_a_long_name_on_a_narrow_terminal_has_a_line_of_its_own_and_is_whole(capsys, monkeypatch):
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    name = "a_name_of_more_than_twenty_letters"
    Output(color="never").table(
        ("NAME", "STATUS", "ALIASES"), [(name, "available", "short"), ("b", "pipeline", "x" * 30)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == name
    assert lines[2].split() == ["available", "short"]
    assert len({lines[0].index("STATUS"), lines[2].index("avail"), lines[3].index("pipe")}) == 1
    assert max(map(width_of, lines)) <= 40
