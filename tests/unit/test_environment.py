"""Configuration: what is missing or malformed is named in one line."""

import os
import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from coolthing_site.environment import Environment

ROOT = Path(__file__).parents[2]


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
