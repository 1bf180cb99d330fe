"""Run by alembic: applies the steps on the connection of :func:`shared.ledger.migrate.upgrade`."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from shared.ledger.database import Database
from shared.ledger.migrate import connected
from shared.ledger.tables import Base, Utc


def render(kind: str, value: Any, _context: Any) -> str | Literal[False]:
    """Keep our own types out of the steps: they must stay the same when the program changes."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, Utc) else False


def run(connection: Any) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render,
        render_as_batch=connection.dialect.name == "sqlite",
        # All or nothing, on SQLite too, which can do it though alembic does not count on it.
        transactional_ddl=True,
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    # `alembic -x url=sqlite:///some.db revision --autogenerate` and the like, by a developer.
    with connected(Database(context.get_x_argument(as_dictionary=True)["url"])) as connection:
        run(connection)
