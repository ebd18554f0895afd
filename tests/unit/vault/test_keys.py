"""Secrets at rest: keys, and what is said when they are wrong."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from tests.support import ROOT
from vault.keys import parse_keys


def test_printed_key_encrypts_and_needs_no_settings():
    bare = {"PATH": os.environ["PATH"]}
    printed = subprocess.run([sys.executable, "-m", "vault"], cwd=ROOT, env=bare, capture_output=True, text=True)
    cipher = parse_keys([printed.stdout.strip()])
    assert cipher.decrypt(cipher.encrypt(b"secret")) == b"secret"


def test_older_keys_still_decrypt():
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    written = parse_keys([old]).encrypt(b"secret")
    assert parse_keys([new, old]).decrypt(written) == b"secret"


@pytest.mark.parametrize("keys", [[], ["hunter2"]])
def test_wrong_keys_are_refused_and_not_repeated(keys):
    with pytest.raises(ImproperlyConfigured) as refused:
        parse_keys(keys)
    assert "hunter2" not in str(refused.value)
