"""bin/services: which ports it takes, what it reads and prints, how it finds its processes again."""

import base64
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, wait_until

sys.path.insert(0, str(ROOT / "bin"))

from _services import environment, instance, ports, processes
from _services.console import Unavailable

CLONE = Path("/srv/clone")
OTHER_CLONE = Path("/srv/another")


def free_but(*taken: int):
    return lambda port: port not in taken


def choose(clone=CLONE, *, recorded=None, keep=(), taken=()):
    return ports.choose(clone, recorded=recorded or {}, keep=frozenset(keep), free=free_but(*taken))


class TestPorts:
    def test_one_clone_gets_the_same_ports_every_time(self):
        assert choose() == choose()

    def test_two_clones_share_no_port(self):
        assert not set(choose(CLONE).values()) & set(choose(OTHER_CLONE).values())

    def test_every_name_gets_its_own_port_below_the_ephemeral_range(self):
        chosen = choose()
        assert set(chosen) == set(ports.NAMES)
        assert len(set(chosen.values())) == len(ports.NAMES)
        assert all(ports.FIRST_PORT <= port < ports.LAST_PORT for port in chosen.values())

    def test_a_taken_port_moves_a_new_clone_to_another_slot(self):
        first = choose()
        assert not set(choose(taken=[first["amqp"]]).values()) & set(first.values())

    def test_a_recorded_port_that_somebody_else_took_is_the_only_one_that_moves(self):
        before = choose()
        after = choose(recorded=before, taken=[before["web"]])
        assert {name for name in before if before[name] != after[name]} == {"web"}

    def test_the_port_of_a_running_service_stays_although_it_is_taken(self):
        before = choose()
        assert choose(recorded=before, keep=["amqp"], taken=[before["amqp"]]) == before

    def test_no_free_port_at_all_is_an_error(self):
        with pytest.raises(OSError, match="no free ports"):
            ports.choose(CLONE, recorded={}, free=lambda port: False)

    def test_a_listening_port_is_not_free(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            assert not ports.is_free(server.getsockname()[1])


class TestEnvFiles:
    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("KEY=plain", "plain"),
            ("export KEY='a b'", "a b"),
            ('KEY="a # b"  # note', "a # b"),
            ("KEY=p#ss # note", "p#ss"),
            ("KEY=           # only a note", ""),
            ("KEY=a=b", "a=b"),
            ("  KEY = spaced ", "spaced"),
        ],
    )
    def test_a_line_is_read_as_a_shell_user_means_it(self, line, value):
        assert environment.parse_env(line) == {"KEY": value}

    def test_comments_and_nonsense_are_passed_over(self):
        assert environment.parse_env("# KEY=1\n\nnonsense\n2x=3\n") == {}

    def test_what_is_printed_can_be_read_back_and_is_quoted_for_a_shell(self):
        variables = {"A": "x", "B": "it's $HOME"}
        shown = environment.render(variables, prefix="export ")
        assert shown.startswith("export A='x'\n")
        script = shown + 'printf "%s|%s" "$A" "$B"'
        assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "x|it's $HOME"


class TestOverrides:
    OWN = environment.own_variables(dict.fromkeys(ports.NAMES, 1), instance.new_secrets())

    def test_nothing_given_means_that_both_services_are_ours(self):
        given = environment.read_overrides({}, {"DATABASE_URL": ""})
        assert not given.database
        assert not given.rabbitmq
        assert given.merged(self.OWN) == self.OWN

    def test_a_given_database_replaces_only_the_database(self):
        given = environment.read_overrides({"DATABASE_URL": "postgres://db/x"}, {})
        merged = given.merged(self.OWN)
        assert merged["DATABASE_URL"] == merged["DATABASE_DIRECT_URL"] == "postgres://db/x"
        assert merged["RABBITMQ_URL"] == self.OWN["RABBITMQ_URL"]

    def test_a_given_broker_brings_its_own_management_address_or_none(self):
        alone = environment.read_overrides({"RABBITMQ_URL": "amqp://mq"}, {}).merged(self.OWN)
        assert "RABBITMQ_MANAGEMENT_URL" not in alone
        both = {"RABBITMQ_URL": "amqp://mq", "RABBITMQ_MANAGEMENT_URL": "http://mq:15672"}
        assert environment.read_overrides(both, {}).merged(self.OWN)["RABBITMQ_MANAGEMENT_URL"] == "http://mq:15672"

    def test_a_management_address_alone_replaces_nothing(self):
        given = environment.read_overrides({"RABBITMQ_MANAGEMENT_URL": "http://mq:15672"}, {})
        assert given.merged(self.OWN) == self.OWN

    def test_the_environment_outranks_the_file(self):
        given = environment.read_overrides({"DATABASE_URL": "postgres://env"}, {"DATABASE_URL": "postgres://file"})
        assert given.database["DATABASE_URL"] == "postgres://env"


class TestEffective:
    """What `bin/services env` prints."""

    OWN = TestOverrides.OWN

    def test_the_file_outranks_what_the_services_provide_and_brings_its_own(self):
        shown = environment.effective(self.OWN, {}, {"WEB_PORT": "9000", "TELEGRAM_API_ID": "7", "LOG_LEVEL": ""})
        assert shown == self.OWN | {"WEB_PORT": "9000", "TELEGRAM_API_ID": "7"}

    def test_the_environment_outranks_the_file_and_adds_nothing(self):
        shown = environment.effective(self.OWN, {"WEB_PORT": "9001", "HOME": "/root"}, {"WEB_PORT": "9000"})
        assert shown == self.OWN | {"WEB_PORT": "9001"}

    def test_a_database_in_the_file_leaves_nothing_of_ours(self):
        shown = environment.effective(self.OWN, {}, {"DATABASE_URL": "postgres://db/x"})
        assert shown["DATABASE_URL"] == shown["DATABASE_DIRECT_URL"] == "postgres://db/x"

    def test_what_it_has_put_into_a_shell_was_not_given_from_outside(self, tmp_path, monkeypatch):
        (tmp_path / ".run").mkdir()
        (tmp_path / environment.SERVICES_ENV).write_text(environment.render(self.OWN))
        monkeypatch.setenv("DATABASE_URL", self.OWN["DATABASE_URL"])
        monkeypatch.setenv("RABBITMQ_URL", "amqp://mq")
        given = environment.load_overrides(tmp_path)
        assert not given.database
        assert given.rabbitmq["RABBITMQ_URL"] == "amqp://mq"


class TestSecrets:
    def test_each_instance_has_its_own(self):
        assert not set(instance.new_secrets().values()) & set(instance.new_secrets().values())

    def test_the_field_key_is_a_fernet_key(self):
        assert len(base64.urlsafe_b64decode(instance.new_secrets()["fernet"])) == 32

    def test_files_are_for_their_owner_alone(self, tmp_path):
        instance.write_private(tmp_path / "secret", "x")
        assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


class TestInstance:
    def test_a_copied_run_folder_is_refused(self, tmp_path):
        (tmp_path / ".run").mkdir()
        (tmp_path / ".run" / "secrets.json").write_text('{"clone": "/elsewhere"}')
        with pytest.raises(Unavailable, match="/elsewhere"):
            instance.load(tmp_path)

    def test_a_clone_that_was_never_started_has_none(self, tmp_path):
        assert instance.load(tmp_path) is None

    def test_a_folder_below_a_private_one_is_out_of_reach(self, tmp_path):
        inner = tmp_path / "private" / "clone"
        inner.mkdir(parents=True)
        inner.parent.chmod(0o700)
        assert not instance.reachable(inner)


class TestProcesses:
    def test_a_process_is_found_by_its_mark_and_ended(self):
        key = f"test{os.getpid()}"
        child = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARKER: f"{key}-one"})
        try:
            # For a moment after its start the kernel shows no environment of it.
            found = wait_until(lambda: processes.running(key), what="the process")
            assert [(item.pid, item.instance) for item in found] == [(child.pid, f"{key}-one")]
            processes.end([child.pid], first=signal.SIGTERM, patience=5.0)
            assert not processes.alive(child.pid)
        finally:
            child.kill()
            child.wait()
        assert processes.running(key) == []

    def test_one_that_ignores_the_signal_is_killed(self):
        script = (
            "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
        )
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        processes.end([child.pid], first=signal.SIGTERM, patience=0.1)
        assert child.wait(timeout=60) == -signal.SIGKILL
        child.stdout.close()
