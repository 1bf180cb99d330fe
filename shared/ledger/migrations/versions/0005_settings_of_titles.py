"""A title of an output folder has settings of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("title", sa.Column("settings", sa.JSON(), nullable=True))
