"""Keys in the database: what each may do, and the hashes of its secrets.

Whatever changes one also raises the number of `keys` in the table of versions, in the same transaction and before
anything else. Processes notice changes by that number; and as its row is locked until the transaction ends, changes of
keys come one after the other, on every kind of database.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock.store.database import Database
from penstock.store.schema import KEY_SECRETS, KEYS, VERSIONS

_KEYS, _PEPPER = "keys", "pepper"  # rows of versions


class NameTakenError(Exception):
    """Another key that is not revoked has this name."""


class MissingKeyError(Exception):
    """There is no such key, or it was revoked."""


class ForeignPepperError(Exception):
    """The keys in this database were hashed with another pepper."""


class StoredSecret(Struct, frozen=True):
    """The hexadecimal keyed hash of a secret; `created` and `expires` are Unix time in seconds."""

    digest: str
    created: int
    expires: int | None = None


class StoredKey(Struct, frozen=True):
    """A row of the table of keys, with its secrets, the newest first."""

    id: str
    name: str
    created: int
    expires: int | None = None
    revoked: int | None = None
    models: tuple[str, ...] = ("*",)
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    streams: int | None = None
    budget_limit: int | None = None
    budget_unit: str | None = None
    budget_period: str | None = None
    networks: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    secrets: tuple[StoredSecret, ...] = ()


async def _tell_nobody() -> None:
    pass


class KeyStore:
    """The keys of one database. Every method raises StoreUnavailableError if that cannot be reached."""

    def __init__(self, database: Database, tell: Callable[[], Awaitable[None]] = _tell_nobody) -> None:
        """Call `tell` after each change, so that whoever knows keys by heart looks at once."""
        self._reading = database.reading
        self._database = database
        self._tell = tell

    async def version(self) -> int:
        """Return a number that is another one after every change."""
        async with self._reading() as connection:
            return await connection.scalar(_version(_KEYS)) or 0

    async def pepper(self) -> int | None:
        """Return the fingerprint of the pepper that secrets were hashed with, if there are any."""
        async with self._reading() as connection:
            return await connection.scalar(_version(_PEPPER))

    async def all(self) -> list[StoredKey]:
        """Return all keys, also those that were revoked, the oldest first."""
        async with self._reading() as connection:
            return await _keys(connection, sa.true())

    async def find(self, which: str) -> StoredKey:
        """Return the key with this id, revoked or not; or else the one with this name that is not revoked.

        Raises:
            MissingKeyError: there is none.
        """
        async with self._reading() as connection:
            return await _find(connection, which)

    async def insert(self, key: StoredKey, pepper: int) -> None:
        """Add a key with its secrets, which were hashed with the pepper that has this fingerprint.

        Raises:
            NameTakenError: there is one of this name.
            ForeignPepperError: the others were hashed with another pepper.
        """
        async with self._changing() as connection:
            await _insert(connection, key, pepper)

    async def insert_first(self, key: StoredKey, pepper: int) -> bool:
        """Add a key if there has never been one; return whether it was added.

        Raises:
            ForeignPepperError: the others were hashed with another pepper.
        """
        async with self._changing() as connection:
            if await connection.scalar(sa.select(sa.func.count()).select_from(KEYS)):
                return False
            await _insert(connection, key, pepper)
            return True

    async def insert_missing(self, keys: Sequence[StoredKey], pepper: int) -> None:
        """Add those keys whose id there has never been; one whose name is taken has its id behind it.

        Raises:
            ForeignPepperError: the others were hashed with another pepper.
        """
        async with self._changing() as connection:
            there = await _keys(connection, sa.true())
            ids = {key.id for key in there}
            names = {key.name for key in there if key.revoked is None}
            for key in keys:
                if key.id in ids:
                    continue
                name = f"{key.name}-{key.id}" if key.name in names else key.name
                await _insert(connection, key, pepper, name)
                names.add(name)

    async def replace_secret(self, id_: str, fresh: StoredSecret, until: int, pepper: int) -> None:
        """Give a key a new secret. The newest one it has lives on until then; any older one is gone.

        Raises:
            MissingKeyError: it was revoked.
            ForeignPepperError: the others were hashed with another pepper.
        """
        async with self._changing() as connection:
            key = await _live(connection, id_)
            await _claim(connection, pepper)
            newest, older = key.secrets[:1], [secret.digest for secret in key.secrets[1:]]
            await connection.execute(sa.delete(KEY_SECRETS).where(KEY_SECRETS.c.digest.in_(older)))
            for secret in newest:
                ends = until if secret.expires is None else min(until, secret.expires)
                await connection.execute(
                    sa.update(KEY_SECRETS).where(KEY_SECRETS.c.digest == secret.digest).values(expires=ends)
                )
            await _insert_secrets(connection, id_, [fresh])

    async def update(self, key: StoredKey) -> None:
        """Replace what a key may do. Its name, secrets and dates stay.

        Raises:
            MissingKeyError: it was revoked.
        """
        async with self._changing() as connection:
            await _live(connection, key.id)
            values = _columns(key, but=("id", "name", "created", "revoked"))
            await connection.execute(sa.update(KEYS).where(KEYS.c.id == key.id).values(values))

    async def revoke(self, id_: str, now: int) -> None:
        """End a key for good, and forget its secrets.

        Raises:
            MissingKeyError: it was revoked already.
        """
        async with self._changing() as connection:
            await _live(connection, id_)
            await connection.execute(sa.update(KEYS).where(KEYS.c.id == id_).values(revoked=now))
            await connection.execute(sa.delete(KEY_SECRETS).where(KEY_SECRETS.c.key == id_))

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncGenerator[AsyncConnection]:
        async with self._database.changing() as connection:
            raised = sa.update(VERSIONS).where(VERSIONS.c.name == _KEYS).values(number=VERSIONS.c.number + 1)
            await connection.execute(raised)
            yield connection
        await self._tell()


def _version(name: str) -> sa.Select[int]:
    return sa.select(VERSIONS.c.number).where(VERSIONS.c.name == name)


async def _keys(connection: AsyncConnection, wanted: sa.ColumnElement[bool]) -> list[StoredKey]:
    secrets: dict[str, list[StoredSecret]] = {}
    matching = sa.select(KEYS.c.id).where(wanted)
    query = sa.select(KEY_SECRETS).where(KEY_SECRETS.c.key.in_(matching))
    # The one that replaced another was perhaps made within the same second.
    newest_first = KEY_SECRETS.c.expires.is_not(None), KEY_SECRETS.c.created.desc()
    for row in await connection.execute(query.order_by(*newest_first)):
        secrets.setdefault(row.key, []).append(StoredSecret(row.digest, row.created, row.expires))
    rows = await connection.execute(sa.select(KEYS).where(wanted).order_by(KEYS.c.created, KEYS.c.id))
    return [_key(row, tuple(secrets.get(row.id, ()))) for row in rows]


def _key(row: Any, secrets: tuple[StoredSecret, ...]) -> StoredKey:
    columns = {column.name: getattr(row, column.name) for column in KEYS.columns}
    columns |= {"models": tuple(row.models), "networks": tuple(row.networks), "secrets": secrets}
    return StoredKey(**columns)


async def _find(connection: AsyncConnection, which: str) -> StoredKey:
    for wanted in (KEYS.c.id == which, sa.and_(KEYS.c.name == which, KEYS.c.revoked.is_(None))):
        for key in await _keys(connection, wanted):
            return key
    raise MissingKeyError(which)


async def _live(connection: AsyncConnection, id_: str) -> StoredKey:
    for key in await _keys(connection, sa.and_(KEYS.c.id == id_, KEYS.c.revoked.is_(None))):
        return key
    raise MissingKeyError(id_)


async def _insert(connection: AsyncConnection, key: StoredKey, pepper: int, name: str | None = None) -> None:
    await _claim(connection, pepper)
    values = _columns(key) | {"name": name or key.name}
    try:
        await connection.execute(sa.insert(KEYS).values(values))
    except IntegrityError:
        raise NameTakenError(key.name) from None
    await _insert_secrets(connection, key.id, key.secrets)


async def _insert_secrets(connection: AsyncConnection, id_: str, secrets: Sequence[StoredSecret]) -> None:
    rows = [{"digest": one.digest, "key": id_, "created": one.created, "expires": one.expires} for one in secrets]
    await connection.execute(sa.insert(KEY_SECRETS), rows)


async def _claim(connection: AsyncConnection, pepper: int) -> None:
    """See to it that all secrets are hashed with the same pepper: that of the first."""
    claimed = await connection.scalar(_version(_PEPPER))
    if claimed is None:
        await connection.execute(sa.insert(VERSIONS).values(name=_PEPPER, number=pepper))
    elif claimed != pepper:
        raise ForeignPepperError


def _columns(key: StoredKey, but: tuple[str, ...] = ()) -> dict[str, Any]:
    values = {column.name: getattr(key, column.name) for column in KEYS.columns if column.name not in but}
    return values | {"models": list(key.models), "networks": list(key.networks), "labels": dict(key.labels)}
