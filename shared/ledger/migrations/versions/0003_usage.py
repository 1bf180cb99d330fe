"""The ledger of use: minutes that were worked on stay counted when their job is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "title", name=op.f("pk_usage")),
    )
    op.create_index(op.f("ix_usage_key_id"), "usage", ["key_id"])
    op.execute(
        "INSERT INTO usage (job_id, title, key_id, seconds, at) SELECT job.id, title.name, job.key_id, title.seconds, "
        "job.created FROM title JOIN job ON job.id = title.job_id WHERE title.seconds > 0"
    )
