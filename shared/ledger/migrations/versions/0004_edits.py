"""An edit belongs to its line by time and text, and is taken back when nothing comes of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("edit", sa.Column("start", sa.Double(), nullable=True))
    op.add_column("edit", sa.Column("end", sa.Double(), nullable=True))
    op.add_column("edit", sa.Column("source", sa.String(), nullable=True))
    op.add_column("edit", sa.Column("pending", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("edit", sa.Column("replaced", sa.JSON(), nullable=True))
