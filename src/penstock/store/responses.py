"""Responses that clients may come back to: each turn's items, linked to the turn before it.

A row belongs to the key that made it, lives for a time, and makes way for newer ones when there are too many bytes.
Whoever continues a conversation renews the life of all of it, so that it ends as a whole.
"""

import asyncio
from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from penstock.protocols.keeping import KeptTurn
from penstock.store.database import Database
from penstock.store.dialect import insert, is_one_of, storable
from penstock.store.errors import StoreUnavailableError
from penstock.store.schema import RESPONSE_ITEMS, RESPONSES

PRUNE_EVERY = 60
"""Seconds between two looks for what has expired or must make way."""

PRUNE_ROWS = 1000
"""Rows that one such look deletes: while it does, nobody else can write. If there are more, the next look is soon."""

MAX_TURNS = 10_000
"""Turns of a conversation that are followed back."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of turns that are put together: twice as many as a request may have."""

_log = structlog.get_logger("penstock.store")


class MissingTurnError(LookupError):
    """A turn is not there: never was, is somebody else's, expired, or was deleted. The argument is its id."""


class TooLargeError(Exception):
    """The turns that were asked for exceed MAX_BYTES."""


class ResponseStore:
    """The table of responses. Times are Unix times in seconds, handed in.

    All methods raise StoreUnavailableError if the database cannot be reached.
    """

    def __init__(self, database: Database, lifetime: int, limit: int) -> None:
        """Keep rows for `lifetime` seconds, and at most `limit` bytes of them (exceeded for a minute at most)."""
        self._database = database
        self._dialect = database.dialect
        self._lifetime = lifetime
        self._limit = limit
        self._prune_at = 0
        self._writing = asyncio.Lock()  # SQLite lets one write at a time, and is not fair to those who wait

    async def put(self, key: str, stored: KeptTurn, now: int) -> bool:
        """Keep a response; return whether it was small enough to be kept, and its id one that can be."""
        if stored.size > self._limit or not storable(stored.id) or not storable(stored.previous or ""):
            return False
        row = {
            "key": key,
            "id": stored.id,
            "previous": stored.previous,
            "expires": now + self._lifetime,
            "size": stored.size,
            "input": stored.input,
            "response": stored.response,
        }
        async with self._writing, self._database.changing() as connection:
            await connection.execute(insert(RESPONSES, self._dialect).values(row).on_conflict_do_nothing())
            items = [{"key": key, "item": item, "response": stored.id} for item in stored.item_ids if storable(item)]
            if items:
                await connection.execute(insert(RESPONSE_ITEMS, self._dialect).on_conflict_do_nothing(), items)
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY
            try:
                await self._prune(now)
            except StoreUnavailableError as error:
                _log.warning("responses_not_pruned", why=str(error))
        return True

    async def get(self, key: str, id_: str, now: int) -> KeptTurn:
        """Return a response.

        Raises:
            MissingTurnError: there is none.
        """
        query = sa.select(RESPONSES).where(_is(key, id_, now))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise MissingTurnError(id_)
        return KeptTurn(row.id, row.previous, row.input, row.response)

    async def having(self, key: str, items: Sequence[str], now: int) -> list[KeptTurn]:
        """Return the responses that some of these items belong to.

        Raises:
            TooLargeError: they have too many bytes.
        """
        ids = sa.select(RESPONSE_ITEMS.c.response).where(
            RESPONSE_ITEMS.c.key == key, is_one_of(RESPONSE_ITEMS.c.item, items, self._dialect)
        )
        wanted = sa.and_(RESPONSES.c.key == key, RESPONSES.c.id.in_(ids), RESPONSES.c.expires > now)
        async with self._database.reading() as connection:
            _check_size(await connection.scalar(sa.select(sa.func.sum(RESPONSES.c.size)).where(wanted)))
            rows = (await connection.execute(sa.select(RESPONSES).where(wanted))).all()
        return [KeptTurn(row.id, row.previous, row.input, row.response) for row in rows]

    async def history(self, key: str, id_: str, now: int) -> list[KeptTurn]:
        """Return the turns up to and with a response, the oldest first, and renew their life.

        Raises:
            MissingTurnError: it, or one of the turns before it, is not there.
            TooLargeError: they have too many bytes.
        """
        async with self._database.changing() as connection:
            chain = (await connection.execute(_chain(key, id_, now))).all()
            if not chain:
                raise MissingTurnError(id_)
            if chain[-1].previous is not None:
                raise MissingTurnError(chain[-1].previous)
            _check_size(sum(link.size for link in chain))
            ids = [link.id for link in chain]
            wanted = sa.and_(RESPONSES.c.key == key, is_one_of(RESPONSES.c.id, ids, self._dialect))
            await connection.execute(sa.update(RESPONSES).where(wanted).values(expires=now + self._lifetime))
            rows = (await connection.execute(sa.select(RESPONSES).where(wanted))).all()
        turns = {row.id: KeptTurn(row.id, row.previous, row.input, row.response) for row in rows}
        try:
            return [turns[id_] for id_ in reversed(ids)]
        except KeyError as gone:  # deleted since the chain was followed
            raise MissingTurnError(*gone.args) from None

    async def delete(self, key: str, id_: str, now: int) -> None:
        """Delete a response.

        Raises:
            MissingTurnError: there is none.
        """
        async with self._database.changing() as connection:
            deleted = await connection.execute(sa.delete(RESPONSES).where(_is(key, id_, now)))
        if not deleted.rowcount:
            raise MissingTurnError(id_)

    async def _prune(self, now: int) -> None:
        """Delete what has expired or must make way. What that is, is found without a lock that keeps others waiting."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(_superfluous(self._limit, now))).all()
        if not rows:
            return
        if len(rows) == PRUNE_ROWS:
            self._prune_at = now
        gone = sa.delete(RESPONSES).where(
            RESPONSES.c.key == sa.bindparam("of"), RESPONSES.c.id == sa.bindparam("named"),
            RESPONSES.c.expires == sa.bindparam("until"),  # nobody has renewed its life in between
        )  # fmt: skip
        async with self._database.changing() as connection:
            await connection.execute(gone, [{"of": row.key, "named": row.id, "until": row.expires} for row in rows])


def _is(key: str, id_: str, now: int) -> sa.ColumnElement[bool]:
    if not storable(id_):
        raise MissingTurnError(id_)
    return sa.and_(RESPONSES.c.key == key, RESPONSES.c.id == id_, RESPONSES.c.expires > now)


def _check_size(size: int | None) -> None:
    if (size or 0) > MAX_BYTES:
        raise TooLargeError


def _chain(key: str, id_: str, now: int) -> sa.Select[str, str | None, int]:
    """Select a response and the turns before it, the newest first."""
    columns = (RESPONSES.c.id, RESPONSES.c.previous, RESPONSES.c.size)
    turns = sa.select(*columns, sa.literal(0).label("age")).where(_is(key, id_, now)).cte("turns", recursive=True)
    older = sa.select(*columns, turns.c.age + 1).where(
        RESPONSES.c.key == key,
        RESPONSES.c.id == turns.c.previous,
        RESPONSES.c.expires > now,
        turns.c.age < MAX_TURNS,
    )
    turns = turns.union_all(older)
    return sa.select(turns.c.id, turns.c.previous, turns.c.size).order_by(turns.c.age)


def _superfluous(limit: int, now: int) -> sa.Select[str, str, int]:
    """Select what has expired, and what would die first until no more than `limit` bytes are left."""
    newer = sa.func.sum(RESPONSES.c.size).over(order_by=(RESPONSES.c.expires.desc(), RESPONSES.c.id.desc()))
    sized = sa.select(RESPONSES.c.key, RESPONSES.c.id, RESPONSES.c.expires, newer.label("total")).subquery()
    return (
        sa.select(sized.c.key, sized.c.id, sized.c.expires)
        .where(sa.or_(sized.c.expires <= now, sized.c.total > limit))
        .order_by(sized.c.expires)
        .limit(PRUNE_ROWS)
    )
