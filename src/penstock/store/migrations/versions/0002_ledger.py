"""Keys, the ledger, budgets, rates and streams; and an index with all that the pruning of responses looks at."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


_COUNTERS = (
    "uncached", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning",
    "input_audio", "input_image", "cached_audio", "output_audio", "output_image", "web_searches",
)  # fmt: skip


def _counters() -> list[sa.Column[Any]]:
    counted = [sa.Column(name, sa.BigInteger, nullable=True) for name in _COUNTERS]
    return [*counted, sa.Column("service_tier", sa.Text, nullable=True)]


def upgrade() -> None:
    """Make the tables."""
    _make_keys()
    _make_attempts()
    _make_requests()
    _make_counters()
    _make_streams()
    op.drop_index("ix_responses_expires", "responses")
    op.create_index("ix_responses_expires", "responses", ["expires", "id", "size", "key"])


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=True),
        sa.Column("revoked", sa.BigInteger, nullable=True),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger, nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger, nullable=True),
        sa.Column("streams", sa.BigInteger, nullable=True),
        sa.Column("budget_limit", sa.BigInteger, nullable=True),
        sa.Column("budget_unit", sa.Text, nullable=True),
        sa.Column("budget_period", sa.Text, nullable=True),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
    )
    works = sa.text("revoked IS NULL")
    op.create_index("ix_keys_name", "keys", ["name"], unique=True, sqlite_where=works, postgresql_where=works)
    op.create_table(
        "key_secrets",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, sa.ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_key_secrets_key", "key_secrets", ["key"])


def _claims() -> list[sa.Column[Any]]:
    """Return the columns of what is given back or put right when an attempt is settled."""
    return [
        sa.Column("hold", sa.BigInteger, nullable=False),
        sa.Column("budget_unit", sa.Text, nullable=True),
        sa.Column("budget_period", sa.Text, nullable=True),
        sa.Column("slot", sa.Boolean, nullable=False),
        sa.Column("expected_tokens", sa.BigInteger, nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger, nullable=True),
    ]


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("key_name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("upstream_model", sa.Text, nullable=False),
        sa.Column("client_protocol", sa.Text, nullable=False),
        sa.Column("upstream_protocol", sa.Text, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("input_estimate", sa.BigInteger, nullable=False),
        *_claims(),
        sa.Column("progressed_ms", sa.BigInteger, nullable=True),
        sa.Column("end", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        *_counters(),
        sa.Column("usage_source", sa.Text, nullable=True),
        sa.Column("cost", sa.BigInteger, nullable=True),
        sa.Column("unpriced", sa.Text, nullable=True),
        sa.Column("borne", sa.BigInteger, nullable=True),
        sa.Column("price", sa.Text, nullable=True),
        sa.Column("price_version", sa.Text, nullable=True),
        sa.Column("first_output_ms", sa.BigInteger, nullable=True),
        sa.Column("duration_ms", sa.BigInteger, nullable=True),
        sa.Column("gap_median_ms", sa.BigInteger, nullable=True),
        sa.Column("gap_longest_ms", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_attempts_created", "attempts", ["created_ms"])
    op.create_index("ix_attempts_key", "attempts", ["key", "created_ms"])
    still_open = sa.text("state = 'open'")
    op.create_index("ix_attempts_open", "attempts", ["process"], sqlite_where=still_open, postgresql_where=still_open)


def _make_requests() -> None:
    """Make a view: a request is its last attempt, with what all of them used up."""
    own = ("key", "key_name", "model", "provider", "upstream_model", "upstream_protocol", "client_protocol", "stream")
    before = "last.started_ms - last.created_ms"
    first = "MIN(every.started_ms + every.first_output_ms) - last.started_ms"
    columns = (
        "last.request AS id",
        *(f"last.{name}" for name in (*own, "created_ms")),
        f"{_all('number', 'MAX(every.number)')} AS attempts",
        'last."end"',
        "last.error",
        *(f"{_all(name, f'SUM(every.{name})')} AS {name}" for name in _COUNTERS),
        "last.service_tier",
        f"{_all('cost', 'SUM(every.cost - COALESCE(every.borne, 0))')} AS cost",
        f"{_all('unpriced', 'MAX(every.unpriced)', 'TEXT')} AS unpriced",
        "last.usage_source",
        f"{before} + {_all('first_output_ms', first)} AS first_output_ms",
        f"{before} + last.duration_ms AS duration_ms",
        "last.gap_median_ms",
        "last.gap_longest_ms",
    )
    ended = "FROM attempts AS last WHERE last.state = 'settled'"
    op.execute(f"CREATE VIEW requests AS SELECT {', '.join(columns)} {ended}")


def _all(name: str, what: str, kind: str = "BIGINT") -> str:
    """Return a column of the attempt of a request, or what all of them came to. Most requests have only one.

    Where the first was the last, others may have been made beside it: then `borne` is given.
    """
    every = f"SELECT CAST({what} AS {kind}) FROM attempts AS every WHERE every.request = last.request"  # noqa: S608
    return f"CASE WHEN last.number = 1 AND last.borne IS NULL THEN last.{name} ELSE ({every}) END"


def _make_counters() -> None:
    versions = op.create_table(
        "versions",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(versions, [{"name": "keys", "number": 0}])
    op.create_table(
        "budgets",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, primary_key=True),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rates",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
    )


def _make_streams() -> None:
    op.create_table(
        "streams",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=True),
        sa.Column("answer", sa.Text, nullable=True),
        sa.Column("print", sa.LargeBinary, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("call", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("headers", sa.LargeBinary, nullable=True),
        sa.Column("fault", sa.LargeBinary, nullable=True),
        sa.Column("count", sa.BigInteger, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=True),
        sa.Column("unwanted", sa.Boolean, nullable=False),
    )
    op.create_index("ix_streams_name", "streams", ["key", "name"], unique=True)
    op.create_index("ix_streams_answer", "streams", ["key", "answer"], unique=True)
    op.create_index("ix_streams_process", "streams", ["process"])
    op.create_index("ix_streams_expires", "streams", ["expires"])
    op.create_table(
        "stream_events",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_index("ix_responses_expires", "responses")
    op.create_index("ix_responses_expires", "responses", ["expires"])
    op.execute("DROP VIEW requests")
    for table in (
        "stream_events",
        "streams",
        "processes",
        "rates",
        "budgets",
        "versions",
        "attempts",
        "key_secrets",
        "keys",
    ):
        op.drop_table(table)
