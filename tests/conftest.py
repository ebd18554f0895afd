"""Fixtures of all rooms. Each test run has a database and a virtual host of its own, named after its process id."""

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import HealthCheck, settings

from tests import private
from tests.support import Process

# The same examples in every run, however slow the machine is. Remove `derandomize` to look for new ones.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("tests")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays until the end: searching it for garbage is seconds for each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    private.name_database()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """As pytest-django's; LISTEN and advisory locks go to the same database."""
    from django.conf import settings

    settings.DATABASE_DIRECT_URL = private.database_url()


@pytest.fixture(scope="session", autouse=True)
def _flush_by_deleting() -> Iterator[None]:
    """After a test that committed, rows are deleted: truncating makes and unlinks some 400 files, seconds each time."""

    def delete_all(self: DatabaseOperations, style: object, tables: Sequence[str], **_: object) -> list[str]:
        # Foreign keys are deferred and the flush is one transaction, so the order does not matter.
        return [f"DELETE FROM {self.quote_name(table)}" for table in tables]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", delete_all)
        yield


@pytest.fixture(scope="session")
def _vhost() -> Iterator[private.Broker]:
    with private.virtual_host() as broker:
        yield broker


@pytest.fixture(scope="session", autouse=True)
def _no_broker() -> None:
    """Without the fixture `broker` a test reaches none: a stray task must not end up with somebody's workers."""
    private.use_broker("pyamqp://nobody:nothing@127.0.0.1:1/none")


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> None:
    """A hash that is safe to store takes a quarter of a second of a core, for each account that a test makes."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _own_servers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The servers that tests start are this machine's; what they write is nobody's."""
    from django.conf import settings

    settings.OUTGOING_ALLOWED_HOSTS = ["127.0.0.0/8", "::1", "localhost"]
    settings.NOTIFICATION_FILES_DIR = str(tmp_path_factory.mktemp("notifications"))


@pytest.fixture(scope="session")
def _broken_orders() -> Iterator[list[str]]:
    """What `tests.lock_watch` has found and no test has failed for."""
    from tests import lock_watch

    found: list[str] = []
    with lock_watch.watching(found.append):
        yield found


@pytest.fixture(autouse=True)
def _order_of_locks(_broken_orders: list[str]) -> Iterator[None]:
    """A test fails in which the product locks rows in another order than the written one."""
    yield
    if _broken_orders:
        told = "\n".join(dict.fromkeys(_broken_orders))
        _broken_orders.clear()
        pytest.fail(f"The order of locks (docs/architecture.md) is broken:\n{told}")


@pytest.fixture(autouse=True)
def _all_failures_are_news() -> None:
    """Ids come again in the next test's database."""
    from messaging import rounds

    rounds._reported.clear()


@pytest.fixture
def broker(_vhost: private.Broker, transactional_db: None) -> Iterator[private.Broker]:
    """A RabbitMQ virtual host with the declared topology and empty queues, and a database that is emptied after.

    This process uses it too, for Celery tasks and wherever the settings name a broker.
    """
    _vhost.reset()
    previous = private.use_broker(_vhost.url)
    yield _vhost
    private.use_broker(previous)


@pytest.fixture
def start_process(broker: private.Broker, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a process of the product on the test's database and broker: `start_process("manage.py", "relay_events")`.

    At the end of the test every process still running is killed, and the end of each output is printed.
    """
    started: list[Process] = []

    def start(*argv: str, **env: str) -> Process:
        process = Process(argv, {**broker.env, **env}, tmp_path / f"process-{len(started)}.log")
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
    for process in started:
        lines = process.log().splitlines()[-60:]
        print(f"--- {' '.join(process.argv)} ---", *lines, sep="\n")  # noqa: T201 - shown when the test failed
