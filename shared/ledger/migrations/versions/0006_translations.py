"""A title has translations that people gave, or those of its own subtitle streams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("title", sa.Column("translations", sa.JSON(), nullable=True))
    op.add_column("title", sa.Column("subtitles", sa.String(16), nullable=True))
