"""`bin/services start|stop|status|env` and `bin/rabbitmqctl`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from . import environment, install, instance, ports, processes
from .console import Failed, guarded, say
from .instance import Instance
from .postgres import Postgres
from .rabbitmq import RabbitMQ

CLONE = Path(__file__).resolve().parents[2]
USAGE = """\
usage: bin/services start|stop|status|env|remove

  start    a private RabbitMQ and PostgreSQL for this clone, under .run/, on loopback (does nothing when they run)
  stop     end them, leaving no process; their data stays
  status   what runs where; exit code 3 when something that should run does not
  env      shell lines with the variables that the product reads, those of .env included: eval "$(bin/services env)"
  remove   stop, and delete the data and the credentials for good

Data lies in .run/data. For root in a folder that other users cannot enter it lies in /var/lib/coolthing, linked from
there: the servers run as the system user coolthing.
DATABASE_URL and RABBITMQ_URL (with RABBITMQ_MANAGEMENT_URL), in the environment or in .env, are used instead."""
NOT_RUNNING = 3
Service = Postgres | RabbitMQ


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    commands = {"start": start, "stop": stop, "status": status, "env": env, "remove": remove}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return guarded(commands[arguments[0]])


def rabbitmqctl(arguments: list[str]) -> int:
    """Become rabbitmqctl against this clone's node; returns only when that is impossible."""
    return guarded(lambda: _rabbitmqctl(arguments))


def start() -> int:
    """Run what is not given from outside, wait until it can be used, and write its variables down."""
    with instance.locked(CLONE):
        overrides = environment.load_overrides(CLONE)
        this = instance.load_or_create(CLONE)
        _end_leftovers(this)
        services = _own_services(this, overrides)
        if services:
            this.prepare()
            _require_programs(services)
        chosen = this.assign_ports(_ports_in_use(this))
        stopped = [service for service in services if not service.pids()]
        for service in stopped:
            service.launch(chosen)
        for service in services:
            service.wait(chosen)
        _write_variables(this, chosen, overrides)
    if stopped:
        say("services are ready")
    return 0


def stop() -> int:
    """End the processes of this clone, those of a removed `.run` folder included."""
    with instance.locked(CLONE):
        this = instance.load(CLONE)
        if this is not None:
            for service in (RabbitMQ(this), Postgres(this)):
                if service.pids():
                    say(f"stopping {service.name}")
                service.stop()
        _end(processes.running(instance.clone_key(CLONE)))
    return 0


def remove() -> int:
    """Stop, and delete this clone's data and credentials for good."""
    stop()
    with instance.locked(CLONE):
        this = instance.load(CLONE)
        if this is not None and this.data.is_dir():
            shutil.rmtree(this.data)
        shutil.rmtree(CLONE / ".run")
    return 0


def status() -> int:
    """One line a service on stdout."""
    this = instance.load(CLONE)
    overrides = environment.load_overrides(CLONE)
    missing = False
    for name, given in (("postgres", overrides.database), ("rabbitmq", overrides.rabbitmq)):
        line = "given from outside" if given else _state(this, name)
        missing = missing or line.startswith("stopped")
        print(f"{name:<10} {line}")
    if this is not None:
        print(f"{'data':<10} {this.data}")
    return NOT_RUNNING if missing else 0


def env() -> int:
    """The effective variables as shell lines on stdout."""
    this = instance.load(CLONE)
    if this is None or not this.env_file.exists():
        raise Failed("nothing has been started here yet: bin/services start")
    own, dotenv = environment.read_env(this.env_file), environment.read_env(CLONE / ".env")
    print(environment.render(environment.effective(own, os.environ, dotenv), prefix="export "), end="")
    return 0


def _rabbitmqctl(arguments: list[str]) -> int:
    this = instance.load(CLONE)
    if this is None or not RabbitMQ(this).pids():
        raise Failed("this clone's RabbitMQ is not running: bin/services start")
    RabbitMQ(this).exec_ctl(this.recorded_ports(), arguments)
    return 0


def _own_services(this: Instance, overrides: environment.Overrides) -> list[Service]:
    services: list[Service] = []
    if not overrides.rabbitmq:
        services.append(RabbitMQ(this))
    if not overrides.database:
        services.append(Postgres(this))
    return services


def _require_programs(services: list[Service]) -> None:
    """Before anything is started: a missing package ends the command with nothing half done."""
    if any(isinstance(service, RabbitMQ) for service in services):
        install.require_rabbitmq()
    for service in services:
        if isinstance(service, Postgres):
            service.require_programs()


def _ports_in_use(this: Instance) -> frozenset[str]:
    """Names whose recorded ports are taken by our own processes and must not move."""
    names: set[str] = set()
    if RabbitMQ(this).pids():
        names.update(ports.RABBITMQ_PORTS, ports.PROCESS_PORTS)
    if Postgres(this).pids():
        names.update(ports.POSTGRES_PORTS, ports.PROCESS_PORTS)
    return frozenset(names)


def _write_variables(this: Instance, chosen: dict[str, int], overrides: environment.Overrides) -> None:
    """Only what is ours: beside a server given from outside, a leftover address of our own would be read."""
    variables = environment.own_variables(chosen, this.secrets)
    for given, keys in (
        (overrides.rabbitmq, environment.RABBITMQ_KEYS),
        (overrides.database, environment.DATABASE_KEYS),
    ):
        if given:
            variables = {key: value for key, value in variables.items() if key not in keys}
    instance.write_private(this.env_file, environment.render(variables))


def _end_leftovers(this: Instance) -> None:
    """Processes of this clone whose `.run` folder was removed under them: nobody could stop them again."""
    leftovers = [item for item in processes.running(this.key) if item.instance != this.name]
    if leftovers:
        say("ending services whose .run folder was removed")
    _end(leftovers)


def _end(found: list[processes.Process]) -> None:
    processes.end([item.pid for item in found], first=signal.SIGINT, patience=2.0)


def _state(this: Instance | None, name: str) -> str:
    if this is None:
        return "stopped (never started)"
    service: Service = Postgres(this) if name == "postgres" else RabbitMQ(this)
    pids = service.pids()
    if not pids:
        return "stopped"
    chosen = this.recorded_ports()
    answers = "running" if service.ready(chosen) else "starting or not answering"
    shown = ports.POSTGRES_PORTS if name == "postgres" else ports.RABBITMQ_PORTS
    return f"{answers}, pid {pids[0]}, " + ", ".join(f"{port} {chosen[port]}" for port in shown)
