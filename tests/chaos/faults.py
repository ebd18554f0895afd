"""What is done to the product while it works: each fault does harm, waits a random moment and makes good again.

A fault is chosen from a fixed list by the seed, and draws its moments and victims from the seed as well.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.chaos.fleet import RELAYS, WORKERS, Fleet
from tests.chaos.servers import Servers
from tests.tcp_proxy import TcpProxy

# Below this share of the machine's memory the node takes no more messages.
_ALARMED, _CALM = "0.00000001", "0.4"


@dataclass
class World:
    """All that a fault may touch. `amqp` and `sql` are the networks between the processes and their servers."""

    servers: Servers
    amqp: TcpProxy
    sql: TcpProxy
    fleet: Fleet
    rng: random.Random
    started: float = field(default_factory=time.monotonic)
    timeline: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        entry = f"{time.monotonic() - self.started:6.1f} s  {line}"
        self.timeline.append(entry)
        print(entry, flush=True)  # noqa: T201 - the course of a long run, and what a failed one shows

    def linger(self, least: float, most: float) -> None:
        """A random moment; sometimes a process is killed in the midst of it."""
        seconds = self.rng.uniform(least, most)
        if self.rng.random() < 0.3:
            time.sleep(seconds / 2)
            self.rng.choice([kill_relay, kill_worker, kill_child])(self)
            seconds /= 2
        time.sleep(seconds)


Fault = Callable[[World], None]


def kill_relay(world: World) -> None:
    """Whichever relay publishes: the other one takes over."""
    publishing = [name for name in RELAYS if world.fleet.current(name).log().rstrip().endswith("relay: publishing")]
    name = publishing[0] if publishing else world.rng.choice(RELAYS)
    world.note(f"kill {name}{' (it publishes)' if publishing else ''}")
    world.fleet.kill(name)


def kill_worker(world: World) -> None:
    name, alone = world.rng.choice(WORKERS), world.rng.random() < 0.5
    world.note(f"kill worker {name}{', not its children' if alone else ''}")
    world.fleet.kill(name, alone=alone)


def kill_child(world: World) -> None:
    name = world.rng.choice(WORKERS)
    world.note(f"kill a child of worker {name}: {world.fleet.kill_child(name, world.rng) or 'it has none now'}")


def kill_beat(world: World) -> None:
    world.note("kill beat")
    world.fleet.kill("beat")


def restart_broker(world: World) -> None:
    world.note("stop the broker")
    world.servers.stop_broker()
    world.linger(0.0, 3.0)
    world.servers.start_broker()
    world.note("the broker is back")


def crash_broker(world: World) -> None:
    world.note("crash the broker")
    world.servers.crash_broker()
    world.linger(0.0, 2.0)
    world.servers.start_broker()
    world.note("the broker is back")


def alarm_broker(world: World) -> None:
    world.servers.rabbitmqctl("set_vm_memory_high_watermark", _ALARMED)
    world.note("the broker is short of memory and takes no messages")
    world.linger(2.0, 5.0)
    world.servers.rabbitmqctl("set_vm_memory_high_watermark", _CALM)
    world.note("the broker has memory again")


def cut_amqp(world: World) -> None:
    world.note(f"cut {world.amqp.reset()} connections to the broker")


def refuse_amqp(world: World) -> None:
    _refuse(world, world.amqp, "the broker")


def freeze_amqp(world: World) -> None:
    """Sometimes longer than heartbeats take to notice."""
    _freeze(world, world.amqp, "the broker", world.rng.choice([2.0, 12.0]))


def restart_database(world: World) -> None:
    world.note("restart the database")
    world.servers.stop_database()
    world.linger(0.0, 2.0)
    world.servers.start_database()
    world.note("the database is back")


def crash_database(world: World) -> None:
    world.note("crash the database")
    world.servers.crash_database()
    world.linger(0.0, 1.0)
    world.servers.start_database()
    world.note("the database is back")


def end_sessions(world: World) -> None:
    with psycopg.connect(world.servers.env["DATABASE_URL"], autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    world.note(f"end {len(ended)} sessions of the database")


def cut_sql(world: World) -> None:
    world.note(f"cut {world.sql.reset()} connections to the database")


def refuse_sql(world: World) -> None:
    _refuse(world, world.sql, "the database")


def freeze_sql(world: World) -> None:
    _freeze(world, world.sql, "the database", 3.0)


def _refuse(world: World, proxy: TcpProxy, what: str) -> None:
    world.note(f"cut {proxy.cut()} connections to {what}, and refuse new ones")
    world.linger(1.0, 4.0)
    proxy.restore()
    world.note(f"{what} can be reached again")


def _freeze(world: World, proxy: TcpProxy, what: str, most: float) -> None:
    proxy.freeze()
    world.note(f"nothing passes to and from {what}")
    world.linger(0.5 * most, most)
    proxy.restore()
    world.note(f"it passes again to and from {what}")


# A short run draws one of each kind, a long one all of them.
KINDS: dict[str, list[Fault]] = {
    "process": [kill_relay, kill_worker, kill_child, kill_beat],
    "broker": [crash_broker, restart_broker, alarm_broker],
    "database": [crash_database, restart_database, end_sessions],
    "network": [cut_amqp, refuse_amqp, freeze_amqp, cut_sql, refuse_sql, freeze_sql],
}
ALL: list[Fault] = [fault for kind in KINDS.values() for fault in kind]


def plan(rng: random.Random, count: int) -> list[Fault]:
    """So many faults in a random order. Every kind is among them if there is room, and every fault if there is more."""
    chosen = [rng.choice(faults) for faults in KINDS.values()] if count < len(ALL) else list(ALL)
    chosen += [rng.choice(ALL) for _ in range(count - len(chosen))]
    rng.shuffle(chosen)
    return chosen[:count]
