"""Opening a database: what it is named by, who migrates it, and what is an error at the start."""

import asyncio
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from penstock.core.errors import ConfigError
from penstock.protocols.keeping import KeptTurn
from penstock.store.database import Database, Upgrade, upgrade
from penstock.store.responses import ResponseStore
from penstock.store.schema import METADATA
from tests.store.servers import PostgresServer

pytestmark = pytest.mark.anyio

NEWEST = "0002"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "data" / "penstock.db"
    return request.getfixturevalue("empty_postgres_url")


async def test_an_empty_database_is_migrated_and_then_left_alone(empty: Path | str) -> None:
    assert await upgrade(empty) == Upgrade(None, NEWEST)
    assert await upgrade(empty) == Upgrade(NEWEST, NEWEST)


async def test_a_database_that_is_up_to_date_is_opened_without_the_tools_that_migrate(
    empty: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To load them takes longer than to open it."""
    await upgrade(empty)
    monkeypatch.setitem(sys.modules, "alembic", None)
    assert await upgrade(empty) == Upgrade(NEWEST, NEWEST)


async def test_the_newest_migration_makes_the_tables_that_the_code_knows(empty: Path | str) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    opened = await Database.open(empty)
    async with opened.reading() as connection:
        assert await connection.run_sync(differences) == []
    await opened.close()


async def test_of_processes_that_start_at_once_one_migrates(empty: Path | str) -> None:
    make = "Path" if isinstance(empty, Path) else "str"
    script = (
        "import asyncio; from pathlib import Path; from penstock.store.database import upgrade\n"
        f"done = asyncio.run(upgrade({make}({str(empty)!r}))); print(done.before, done.after)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    outputs = [await asyncio.to_thread(process.communicate) for process in started]

    assert sorted(outputs) == [(f"{NEWEST} {NEWEST}\n".encode(), b"")] * 2 + [(f"None {NEWEST}\n".encode(), b"")]


async def test_a_database_survives_being_closed(location: Path | str) -> None:
    turn = KeptTurn("resp_1", None, b"[]", b"{}")
    opened = await Database.open(location)
    await ResponseStore(opened, 60, 10_000).put("team-a", turn, 0)
    await opened.close()

    opened = await Database.open(location)
    assert await ResponseStore(opened, 60, 10_000).get("team-a", "resp_1", 0) == turn
    await opened.close()


async def test_a_temporary_database_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = await Database.open(None)
    assert list(tmp_path.iterdir())
    await opened.close()
    assert not list(tmp_path.iterdir())


async def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "data" / "penstock.db")
    await opened.close()

    assert stat.S_IMODE((tmp_path / "data" / "penstock.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_a_file_that_is_no_database_is_one_line_of_error(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    path.write_text("not a database, but long enough to have a header of one hundred bytes" * 3)

    with pytest.raises(ConfigError, match=r"penstock\.db: cannot be used: file is not a database"):
        await Database.open(path)


async def test_a_file_that_cannot_be_written_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "penstock.db"
    await upgrade(path)
    create = sa.create_engine

    def read_only(url: sa.URL, **options: object) -> sa.Engine:
        """Open it as SQLite opens what the file system lets nobody write, which the tests' user may be above."""
        return create(f"sqlite:///file:{url.database}?mode=ro&uri=true", **options)

    monkeypatch.setattr(sa, "create_engine", read_only)
    with pytest.raises(ConfigError, match=r"penstock\.db: cannot be used: attempt to write a readonly database"):
        await Database.open(path)


async def test_a_directory_that_cannot_be_made_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match=r"penstock\.db: cannot be written: "):
        await Database.open(tmp_path / "data" / "penstock.db")


async def test_a_database_of_a_newer_version_is_refused(location: Path | str) -> None:
    opened = await Database.open(location)
    async with opened.changing() as connection:
        await connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    await opened.close()

    with pytest.raises(ConfigError, match="9999"):
        await Database.open(location)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql",
        "mysql://root:hunter2@db/penstock",
        "postgresql+asyncpg://root:hunter2@db/penstock",
        "postgresql://root:hunter2@db:port/penstock",
        "postgresql://root:hun@ter2@db:5432/penstock",
        "postgresql://root:hunter2@[::1/penstock",
    ],
)
async def test_what_is_no_address_of_a_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address of a database") as refusal:
        await Database.open(url)
    assert "ter2" not in str(refusal.value)


async def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"^the database penstock on 127\.0\.0\.1: cannot be used: ") as refusal:
        await Database.open("postgresql://root:hunter2@127.0.0.1:1/penstock")
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_a_database_that_is_not_there_is_an_error_at_the_start(postgres: PostgresServer) -> None:
    with pytest.raises(ConfigError, match='"nowhere" does not exist'):
        await Database.open(postgres.url("nowhere"))


async def test_an_option_that_the_driver_does_not_know_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigError, match="slmode"):
        await Database.open("postgresql://root:hunter2@127.0.0.1:1/penstock?slmode=require")


async def test_without_its_driver_postgresql_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r'pip install "penstock\[postgres\]"'):
        await Database.open("postgresql://127.0.0.1:1/penstock")


async def test_connections_are_made_anew_when_the_server_was_away(postgres: PostgresServer, postgres_url: str) -> None:
    opened = await Database.open(postgres_url)
    store = ResponseStore(opened, 60, 10_000)
    turn = KeptTurn("resp_1", None, b"[]", b"{}")
    await store.put("team-a", turn, 0)
    with postgres.outage(postgres_url):
        pass
    assert await store.get("team-a", "resp_1", 0) == turn
    await opened.close()
