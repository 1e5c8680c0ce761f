"""Settings: which place a value is taken from, and what a config file may not say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import UsageError
from paddlesrv.settings import SETTINGS, Settings, from_environment, resolve


@pytest.fixture
def home(tmp_path):
    (tmp_path / "config").mkdir()
    return tmp_path


def write(home: Path, text: str) -> Path:
    path = home / "config" / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"PADDLESRV_HOME": str(home), **more}


def refused(home: Path, text: str) -> UsageError:
    write(home, text)
    with pytest.raises(UsageError) as caught:
        resolve({}, environ(home))
    assert str(home / "config" / "config.yaml") in caught.value.message
    return caught.value


def test_a_flag_goes_before_a_variable_before_the_file_before_the_default(home):
    path = write(home, "settings:\n  mirror: https://file.example\n  offline: false\n")
    found = resolve({}, environ(home))
    assert found.settings.mirror == "https://file.example"
    assert found.origins["mirror"] == f"{path}:2"
    assert found.origins["catalogue"] == "default"
    variables = environ(home, PADDLESRV_MIRROR="https://variable.example", PADDLESRV_OFFLINE="0")
    found = resolve({"offline": True}, variables)
    assert found.settings.mirror == "https://variable.example"
    assert found.origins["mirror"] == "PADDLESRV_MIRROR"
    assert found.settings.offline is True
    assert found.origins["offline"] == "--offline"


@given(
    flag=st.none() | st.booleans(),
    variable=st.none() | st.booleans(),
    written=st.none() | st.booleans(),
)
def test_the_strongest_place_that_says_something_wins(flag, variable, written, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "config").mkdir()
    if written is not None:
        write(home, f"settings: {{offline: {str(written).lower()}}}\n")
    given = [value for value in (flag, variable, written) if value is not None]
    found = resolve(
        {} if flag is None else {"offline": flag},
        environ(home) | ({} if variable is None else {"PADDLESRV_OFFLINE": str(variable)}),
    )
    assert found.settings.offline is (given[0] if given else False)


def test_the_paths_of_a_file_start_at_the_file(home):
    write(home, "settings: {mirror: ./mirror, catalogue: my.yaml}")
    found = resolve({}, environ(home)).settings
    assert found.mirror == str(home / "config" / "mirror")
    assert found.catalogue == home / "config" / "my.yaml"
    write(home, "settings: {mirror: 'https://m.example', catalogue: /etc/my.yaml}")
    found = resolve({}, environ(home)).settings
    assert (found.mirror, found.catalogue) == ("https://m.example", Path("/etc/my.yaml"))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "settings:\nserve:\n", "{}"])
def test_an_empty_file_says_nothing(text, home):
    write(home, text)
    assert resolve({}, environ(home)).settings == Settings(home=home)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("settings:\n  miror: x\n", "settings.miror", "did you mean mirror?"),
        ("setings: {}\n", "setings", "did you mean settings?"),
        ("\nmirror: x\n", "mirror", "put it below `settings:`, as mirror"),
        ("\nmodels: []\n", "models", "models stand in ./paddlesrv.yaml"),
        ("settings:\n  home: /x\n", "settings.home", "remove settings.home"),
        ("settings:\n  offline: maybe\n", "settings.offline", "correct settings.offline"),
        ("settings:\n  mirror: 7\n", "settings.mirror", "correct settings.mirror"),
        ("- a\n", "holds no configuration", "paddlesrv help config"),
        ("settings: [a]\n", "settings", "correct settings"),
    ],
)
def test_what_does_not_belong_there_is_named_with_what_may_be_meant(text, message, hint, home):
    error = refused(home, text)
    assert message in error.message
    assert hint in error.hints[0]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("settings:\n  offline: true\n  miror: x\n", "line 3"),
        ("settings:\n\n  offline: maybe\n", "line 3"),
        ("settings:\n  mirror: [\n", "line 3"),
        ("settings: {}\nsettings: {}\n", "line 1 and line 2"),
    ],
)
def test_the_line_is_named(text, at, home):
    assert at in refused(home, text).context["at"]


@pytest.mark.parametrize("name", ["mirror", "index_url"])
def test_a_password_is_refused_and_not_repeated(name, home):
    error = refused(home, f"settings:\n  {name}: https://me:hunter2@index.example/simple\n")
    assert "~/.netrc" in error.hints[0]
    assert "hunter2" not in str([error.message, error.context, error.hints])


def test_a_file_that_everybody_may_write_to_is_refused(home):
    path = write(home, "settings: {offline: true}")
    path.chmod(0o666)
    with pytest.raises(UsageError, match="written by everybody") as caught:
        resolve({}, environ(home))
    assert caught.value.hints == (f"chmod o-w {path}",)
    path.chmod(0o644)
    assert resolve({}, environ(home)).settings.offline


def test_where_problems_are_to_be_lived_with_the_rest_still_holds(home):
    write(home, "settings: {miror: x}")
    found = resolve(
        {}, environ(home, PADDLESRV_DEBUG="maybe", PADDLESRV_MIRROR="/m"), tolerant=True
    )
    assert found.settings == Settings(home=home, mirror="/m")
    assert len(found.problems) == 2


def test_the_environment_alone_reads_no_file(home):
    write(home, "{{{")
    assert from_environment(environ(home)) == Settings(home=home)


def test_values_made_of_each_other_are_shown_short(home):
    layers = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    error = refused(home, f"a0: &a0 [x]\n{layers}\nsettings: *a29\n")
    assert len(str(error.context)) < 1000


def test_every_setting_that_may_stand_in_a_file_does(home):
    values = {
        "mirror": "/m",
        "offline": "true",
        "index_url": "https://i.example",
        "catalogue": "/c",
        "catalogue_key": "RWxxx",
        "choice_seconds": "7.5",
    }
    assert {s.field for s in SETTINGS if s.accepted} == set(values)
    path = write(home, "settings:\n" + "".join(f"  {n}: {v}\n" for n, v in values.items()))
    origins = resolve({}, environ(home)).origins
    assert all(origins[name].startswith(f"{path}:") for name in values)
