"""Configuration: what is missing or malformed is named in one line."""

import os
import re

import pytest
from cryptography.fernet import Fernet
from kombu.utils.url import parse_url
from psycopg.conninfo import conninfo_to_dict

from coolthing_site.environment import Environment
from coolthing_site.flower_server import require_login
from messaging.broker.management_api import ManagementApi
from tests.support import ROOT


@pytest.fixture
def variables(monkeypatch):
    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return Environment()

    return give


def ends_with(call, *words):
    with pytest.raises(SystemExit) as ended:
        call()
    line = str(ended.value)
    assert "\n" not in line
    assert all(word in line for word in words), line
    return line


def test_missing_variable_is_named(variables):
    ends_with(lambda: variables(X_TEXT="").text("X_TEXT"), "X_TEXT", ".env.example")


@pytest.mark.parametrize(
    ("method", "arguments", "value", "word"),
    [
        ("whole", (1,), "ten", "whole number"),
        ("whole", (1,), "-5", "from 0"),
        ("port", (80,), "99999", "from 1 to 65535"),
        ("choice", (("INFO", "ERROR"), "INFO"), "loud", "one of INFO, ERROR"),
        ("database", (), "postgres://u:hunter2@h:notaport/x", "postgres://"),
        ("url", ({"amqp"},), "amqp://u:hunter2@h:port/x", "amqp://"),
        ("flag", (False,), "perhaps", "true or false"),
        ("address", (), "localhost", "host:port"),
        ("address", (), "localhost:99999", "host:port"),
        ("database", (), "mysql://u:hunter2@h/x", "postgres://"),
        ("url", ({"http"},), "hunter2", "http://"),
        ("fernet_keys", (), "hunter2", "base64"),
    ],
)
def test_malformed_variable_is_named_and_not_repeated(variables, method, arguments, value, word):
    line = ends_with(lambda: getattr(variables(X_NAME=value), method)("X_NAME", *arguments), "X_NAME", word)
    assert "hunter2" not in line


def test_values_are_read_as_they_are(variables):
    key = Fernet.generate_key().decode()
    env = variables(X_PASSWORD="$ecret", X_FLAG="Yes", X_LIST="a, b,,c", X_KEYS=f"{key},{key}", X_N="7")
    assert env.text("X_PASSWORD") == "$ecret"
    assert env.flag("X_FLAG", False) is True
    assert env.listed("X_LIST", []) == ["a", "b", "c"]
    assert env.fernet_keys("X_KEYS") == [key, key]
    assert env.whole("X_N", 1) == 7
    assert env.whole("X_ABSENT", 3) == 3


def test_first_file_and_the_environment_outrank_later_files(tmp_path, variables, monkeypatch):
    (tmp_path / "one").write_text("X_A=one   # the first\nX_B=one\nX_C=   # left empty\n")
    (tmp_path / "two").write_text("X_A=two\nX_B=two\nX_C=two\n")
    variables(X_B="process")
    for name in ("X_A", "X_C"):
        # Registers the names that reading the files sets, so that they are removed again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    env = Environment(tmp_path / "one", tmp_path / "two")
    assert [env.text(name) for name in ("X_A", "X_B", "X_C")] == ["one", "process", "two"]


def test_env_example_can_be_used_as_it_is(monkeypatch):
    # Whatever the file leaves empty is not set by it, and no comment becomes part of a value.
    before = dict(os.environ)
    Environment(ROOT / ".env.example")
    added = {name: value for name, value in os.environ.items() if name not in before}
    for name in added:
        monkeypatch.delenv(name)
    assert all(value and "#" not in value for value in added.values()), added


def test_env_example_documents_every_variable():
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "coolthing_site/settings.py").read_text()))
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read <= documented, read - documented


@pytest.mark.parametrize("password", ["plain", "p@ss/w#rd:50%?&=+x", "$ecret ' \" \\ ü", "%40", "a@b:c/d"])
def test_an_address_of_parts_holds_any_password(variables, password):
    env = variables(PG_HOST="db", PG_PASSWORD=password, MQ_HOST="mq", MQ_PASSWORD=password)
    database = env.address_from_parts("postgres", "PG", port=5432)
    assert database
    assert variables(X_URL=database).database("X_URL") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "coolthing",
        "USER": "coolthing",
        "PASSWORD": password,
        "HOST": "db",
        "PORT": 5432,
    }
    assert env.database("X_ABSENT", database)["PASSWORD"] == password
    # The relay's and the listener's own connection.
    assert conninfo_to_dict(database)["password"] == password
    broker = parse_url(env.address_from_parts("pyamqp", "MQ", port=5672))
    assert (broker["hostname"], broker["password"], broker["virtual_host"]) == ("mq", password, "coolthing")
    assert ManagementApi(env.address_from_parts("http", "MQ", port=15672, path=""), "v")._auth == (
        "coolthing",
        password,
    )


def test_without_a_host_there_is_no_address_of_parts_and_without_a_password_it_is_named(variables):
    assert variables(X_PASSWORD="x").address_from_parts("postgres", "X", port=5432) is None
    env = variables(X_HOST="db", X_PASSWORD="")
    ends_with(lambda: env.address_from_parts("postgres", "X", port=5432), "X_PASSWORD")


def test_a_whole_address_needs_no_parts(variables):
    env = variables(X_URL="postgres://u:p@h/d", X_HOST="db", X_PASSWORD="")
    assert env.text_or("X_URL", lambda: env.address_from_parts("postgres", "X", port=5432)) == "postgres://u:p@h/d"
    ends_with(lambda: env.text_or("Y_URL", lambda: env.address_from_parts("postgres", "Y", port=5432)), "Y_URL")


@pytest.mark.parametrize("logins", ["", "operator", "operator:", ":secret", "operator:one,two"])
def test_flower_does_not_start_without_a_login(logins):
    assert "one,two" not in ends_with(lambda: require_login(logins), "FLOWER_BASIC_AUTH")
    require_login("operator:secret:with:colons")
    require_login("one:secret,two:secret")
