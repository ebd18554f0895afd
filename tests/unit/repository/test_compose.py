"""docker-compose.yml runs what the Procfile names, and nothing in it is unsafe by default."""

import re
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from tests.support import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
PROCFILE = parse_procfile((ROOT / "Procfile").read_text()).processes
# The sandbox stands in for Telegram on a laptop; a server has the real one.
PROCESSES = set(PROCFILE) - {"sandbox"}
SERVERS = {"postgres", "rabbitmq"}
# What a server has no use for: tracebacks on its pages, and the sandbox.
LAPTOP_ONLY = {"DJANGO_DEBUG", "SANDBOX_MTPROTO_PORT", "SANDBOX_HTTP_PORT"}
# Made by the processes of the parts that compose passes: it cannot percent-encode a password.
ADDRESSES = {"DATABASE_URL", "DATABASE_DIRECT_URL", "RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL"}
# Set by the image.
OF_IMAGE = {"WORDS_DIR"}


def test_every_process_of_the_procfile_is_a_service_of_its_own():
    assert set(SERVICES) == PROCESSES | SERVERS | {"setup"}
    assert all(SERVICES[name]["command"] == ["bin/process", name] for name in PROCESSES)


def test_every_lasting_service_has_a_health_check():
    assert [name for name in PROCESSES | SERVERS if "healthcheck" not in SERVICES[name]] == []


def test_every_lasting_service_is_started_again_when_it_ends():
    assert {name for name in SERVICES if SERVICES[name].get("restart") != "unless-stopped"} == {"setup"}


def test_every_process_waits_for_setup():
    for name in PROCESSES:
        assert SERVICES[name]["depends_on"]["setup"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_can_be_scaled(name):
    service = SERVICES[name]
    assert "container_name" not in service
    # A fixed host port would refuse the second container: a range does not.
    for port in service.get("ports", []):
        host_ports = re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)-(\d+)\}:\d+", port)
        assert host_ports
        assert int(host_ports[2]) > int(host_ports[1])


def test_every_documented_variable_reaches_the_processes():
    documented, _, compose_only = (ROOT / ".env.example").read_text().partition("# --- docker compose only")
    assert compose_only
    names = set(re.findall(r"^([A-Z_]+)=", documented, re.MULTILINE))
    passed = set.union(*(set(SERVICES[name]["environment"]) for name in PROCESSES))
    assert names - passed == LAPTOP_ONLY | ADDRESSES | OF_IMAGE


def test_no_credential_is_part_of_an_address():
    assert re.findall(r"//[^\s]*\$\{[^\s]*@", TEXT) == []


def test_no_credential_has_a_default():
    secret = re.compile(r"\$\{(\w*(?:PASSWORD|SECRET|KEYS?|HASH|AUTH|TOKEN(?!S))\w*)([^}]*)\}")
    # A public key, and the path of it at that.
    found = [pair for pair in secret.findall(TEXT) if pair[0] != "TELEGRAM_SERVER_KEY"]
    assert found
    assert [name for name, rest in found if not rest.startswith(":?")] == []


def test_no_container_controls_the_engine():
    assert "docker.sock" not in TEXT
    assert "privileged: true" not in TEXT


def test_images_are_pinned_to_a_release():
    images = {SERVICES[name]["image"] for name in SERVERS}
    assert all(re.search(r":\d+\.\d+(\.\d+)?(-\w+)?$", image) for image in images)
