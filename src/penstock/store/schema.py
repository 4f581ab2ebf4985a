"""The tables, as the newest migration leaves them. `migrations/versions` says how a database gets there."""

import sqlalchemy as sa

from penstock.core.usage import COUNTERS

METADATA = sa.MetaData()

REVISION = "0002"
"""The newest migration."""

RESPONSES = sa.Table(
    "responses",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),  # the id of the key that made it: nobody else can see it
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("previous", sa.Text, nullable=True),
    sa.Column("expires", sa.BigInteger, nullable=False),  # Unix time in seconds
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes of the two that follow
    sa.Column("input", sa.LargeBinary, nullable=False),
    sa.Column("response", sa.LargeBinary, nullable=False),
    # All that pruning looks at, in its order, so that it does not read the contents.
    sa.Index("ix_responses_expires", "expires", "id", "size", "key"),
)

# Which response an item belongs to, for clients that name an item instead of sending it again.
RESPONSE_ITEMS = sa.Table(
    "response_items",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),
    sa.Column("response", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["key", "response"], ["responses.key", "responses.id"], ondelete="CASCADE"),
    sa.Index("ix_response_items_response", "key", "response"),
)

# What somebody may do, and how much of it. Its secrets are beside, so that two can live while one replaces the other.
KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),  # stands in the key itself, may be shown and logged
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),  # this and the next two: Unix time in seconds
    sa.Column("expires", sa.BigInteger, nullable=True),
    sa.Column("revoked", sa.BigInteger, nullable=True),
    sa.Column("models", sa.JSON, nullable=False),  # list of globs
    sa.Column("requests_per_minute", sa.BigInteger, nullable=True),
    sa.Column("tokens_per_minute", sa.BigInteger, nullable=True),
    sa.Column("streams", sa.BigInteger, nullable=True),  # requests under way at once
    sa.Column("budget_limit", sa.BigInteger, nullable=True),  # nano-dollars or tokens
    sa.Column("budget_unit", sa.Text, nullable=True),  # usd, tokens
    sa.Column("budget_period", sa.Text, nullable=True),  # day, month, total
    sa.Column("networks", sa.JSON, nullable=False),  # list of CIDR networks; empty: any
    sa.Column("labels", sa.JSON, nullable=False),  # object of strings
    # No two that work have the same name.
    sa.Index(
        "ix_keys_name",
        "name",
        unique=True,
        sqlite_where=sa.text("revoked IS NULL"),
        postgresql_where=sa.text("revoked IS NULL"),
    ),
)

KEY_SECRETS = sa.Table(
    "key_secrets",
    METADATA,
    sa.Column("digest", sa.Text, primary_key=True),  # keyed hash, hexadecimal
    sa.Column("key", sa.Text, sa.ForeignKey("keys.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=True),  # when the one that was replaced ceases to work
)

# Counters by which processes notice that something was changed: `keys`; and `pepper`, a number that tells whether a
# pepper is the one that all secrets were hashed with.
VERSIONS = sa.Table(
    "versions",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)


def _counters() -> list[sa.Column[int]]:
    """Return the columns of core.usage.Usage, as numbers. NULL is unknown, not 0."""
    return [sa.Column(name, sa.BigInteger, nullable=True) for name in COUNTERS]


# One row for each call of a provider, written before it is called.
ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
    sa.Column("request", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # 1, 2 ...
    sa.Column("process", sa.Text, nullable=False),  # that makes the call, and settles it while it lives
    sa.Column("state", sa.Text, nullable=False),  # open; retried: another attempt followed; settled: it was the last
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("key_name", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),  # as the client asked for it
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("upstream_model", sa.Text, nullable=False),
    sa.Column("client_protocol", sa.Text, nullable=False),
    sa.Column("upstream_protocol", sa.Text, nullable=False),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),  # of the request; Unix time in milliseconds
    sa.Column("started_ms", sa.BigInteger, nullable=False),  # of the attempt
    sa.Column("input_estimate", sa.BigInteger, nullable=False),  # tokens
    # What is given back when it is settled.
    sa.Column("hold", sa.BigInteger, nullable=False),  # in the unit of the budget
    sa.Column("budget_unit", sa.Text, nullable=True),
    sa.Column("budget_period", sa.Text, nullable=True),  # the row of budgets: 2026-11-22, 2026-11, total
    sa.Column("slot", sa.Boolean, nullable=False),  # whether it counts in rates as one of the key's streams
    # What the key's rate of tokens let it through for, less what attempts before it have used; and that rate then.
    sa.Column("expected_tokens", sa.BigInteger, nullable=True),
    sa.Column("tokens_per_minute", sa.BigInteger, nullable=True),
    # What it came to; until it is settled, what was seen of it so far.
    sa.Column("progressed_ms", sa.BigInteger, nullable=True),
    sa.Column("end", sa.Text, nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    *_counters(),
    sa.Column("service_tier", sa.Text, nullable=True),
    sa.Column("usage_source", sa.Text, nullable=True),  # provider, partial, estimate, checkpoint
    sa.Column("cost", sa.BigInteger, nullable=True),  # nano-dollars; NULL: no price is known
    sa.Column("unpriced", sa.Text, nullable=True),  # what has no known price and is not in it: web_searches ...
    sa.Column("borne", sa.BigInteger, nullable=True),  # nano-dollars that nobody is charged, of this attempt and others
    sa.Column("price", sa.Text, nullable=True),  # the price as JSON, so that whoever recovers it can compute the cost
    sa.Column("price_version", sa.Text, nullable=True),
    sa.Column("first_output_ms", sa.BigInteger, nullable=True),  # after started_ms
    sa.Column("duration_ms", sa.BigInteger, nullable=True),
    sa.Column("gap_median_ms", sa.BigInteger, nullable=True),  # between chunks of output
    sa.Column("gap_longest_ms", sa.BigInteger, nullable=True),
    sa.Index("ix_attempts_created", "created_ms"),
    sa.Index("ix_attempts_key", "key", "created_ms"),
    sa.Index(
        "ix_attempts_open",
        "process",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    ),
)

# One row for each request that is over: its last attempt, with the counters of all of them, and of their cost what is
# charged. It is a view, so what a request came to is written by the statement that settles it, and cannot differ from
# its attempts.
REQUESTS = sa.Table(
    "requests",
    sa.MetaData(),  # apart: a view is not a table to be migrated
    sa.Column("id", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("key_name", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("provider", sa.Text),  # of the last attempt, as the next two
    sa.Column("upstream_model", sa.Text),
    sa.Column("upstream_protocol", sa.Text),
    sa.Column("client_protocol", sa.Text),
    sa.Column("stream", sa.Boolean),
    sa.Column("created_ms", sa.BigInteger),
    sa.Column("attempts", sa.Integer),
    sa.Column("end", sa.Text),
    sa.Column("error", sa.Text),
    *_counters(),
    sa.Column("service_tier", sa.Text),
    sa.Column("usage_source", sa.Text),
    sa.Column("cost", sa.BigInteger),
    sa.Column("unpriced", sa.Text),  # of any attempt
    sa.Column("first_output_ms", sa.BigInteger),  # after created_ms, as the next
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("gap_median_ms", sa.BigInteger),
    sa.Column("gap_longest_ms", sa.BigInteger),
)

BUDGETS = sa.Table(
    "budgets",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),  # usd (nano-dollars), tokens
    sa.Column("period", sa.Text, primary_key=True),  # 2026-11-22, 2026-11, total
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
)

# Rate limits, where no Redis holds them.
RATES = sa.Table(
    "rates",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # requests, tokens, streams
    # requests and tokens: the theoretical arrival time of GCRA, Unix time in microseconds; streams: how many.
    sa.Column("value", sa.BigInteger, nullable=False),
)

# Gateways that run, so that what one leaves open when it dies is settled by another.
PROCESSES = sa.Table(
    "processes",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),  # Unix time in seconds; renewed while it lives
)

# Streams that clients can come back to after a restart, or through another process. They stand in a file of their own,
# journals.db: what is written ten times a second must not keep the ledger waiting for the lock of its file.
STREAMS = sa.Table(
    "streams",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),  # the id of the key that it belongs to: nobody else can read it
    sa.Column("name", sa.Text, nullable=True),  # digest of the Idempotency-Key, hexadecimal
    sa.Column("answer", sa.Text, nullable=True),  # id of the answer, if it runs in the background
    sa.Column("print", sa.LargeBinary, nullable=False),  # digest of the request
    sa.Column("process", sa.Text, nullable=False),  # that writes it
    sa.Column("call", sa.LargeBinary, nullable=False),  # what an answer needs to know of its request; JSON
    sa.Column("state", sa.Text, nullable=False),  # running, complete, broken, cancelled, failed, interrupted
    sa.Column("headers", sa.LargeBinary, nullable=True),  # JSON; NULL until the answer begins
    sa.Column("fault", sa.LargeBinary, nullable=True),  # JSON; why there is no answer
    sa.Column("count", sa.BigInteger, nullable=True),  # events; NULL until it has ended
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes of them, once it has ended
    sa.Column("expires", sa.BigInteger, nullable=True),  # Unix time in seconds; NULL while it runs
    sa.Column("unwanted", sa.Boolean, nullable=False),  # whether somebody has asked for its end
    sa.Index("ix_streams_name", "key", "name", unique=True),
    sa.Index("ix_streams_answer", "key", "answer", unique=True),
    sa.Index("ix_streams_process", "process"),
    sa.Index("ix_streams_expires", "expires"),
)

STREAM_EVENTS = sa.Table(
    "stream_events",
    METADATA,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),  # from 0
    sa.Column("data", sa.LargeBinary, nullable=False),
)
