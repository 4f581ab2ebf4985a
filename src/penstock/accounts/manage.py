"""Managing keys: what the command line and the admin API do.

    keys = KeyManager(KeyStore(database), pepper)
    issued = await keys.create("ci", Terms(models=("demo/*",)))
    issued.secret                                    # now, and never again

A key is named by its id, or by its name while it is not revoked. Mistakes are ClientFaults that say what and where.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Generator
from typing import Any, Literal, cast

from msgspec import Struct

from penstock.accounts.keys import (
    STATIC,
    Budget,
    Key,
    Limits,
    digest_of,
    fingerprint,
    generate,
    id_of,
)
from penstock.accounts.terms import Terms, written_budget, written_moment
from penstock.core.errors import ClientFault, ErrorInfo, Fault, bad_request
from penstock.core.secret import Secret
from penstock.store.errors import StoreUnavailableError
from penstock.store.keys import (
    ForeignPepperError,
    KeyStore,
    MissingKeyError,
    NameTakenError,
    StoredKey,
    StoredSecret,
)

GRACE = 24 * 60 * 60
"""Seconds for which a secret lives on after it was replaced, unless told otherwise."""

MAX_GRACE = 90 * 24 * 60 * 60
"""Seconds."""

MAX_NAME = 64
"""Characters."""


class KeyInfo(Struct, frozen=True):
    """A key as it is shown. Times are Unix time in seconds.

    Attributes:
        key: what it may do.
        created: when it was made; None if it stands in the config.
        revoked: when it was revoked, if it was.
        replaced_until: how long the secret before the last rotation works; None if there is none.
    """

    key: Key
    created: int | None
    revoked: int | None = None
    replaced_until: int | None = None


class Issued(Struct, frozen=True):
    """A key with a secret that nobody will see again."""

    info: KeyInfo
    secret: Secret


class KeyManager:
    """Makes, shows and changes keys.

    Args:
        store: where they are.
        pepper: what secrets are hashed with.
        clock: returns Unix time in seconds.

    Every method raises a Fault of the kind `overloaded` if the store cannot be reached.
    """

    def __init__(self, store: KeyStore, pepper: bytes, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock

    async def create(self, name: str, terms: Terms) -> Issued:
        """Make a key.

        Raises:
            ClientFault: the name is taken, or it or the terms make no sense.
        """
        now = int(self._clock())
        secret = generate(secrets.randbelow)
        key = terms.applied_to(Key(id_of(secret), _checked_name(name)))
        if key.expires is not None and key.expires <= now:
            raise bad_request("expires: that is over", "expires")
        stored = stored_key(key, now, StoredSecret(digest_of(self._pepper, secret.reveal()), now))
        with _faults(name):
            await self._store.insert(stored, fingerprint(self._pepper))
        return Issued(KeyInfo(key, now), secret)

    async def list(self) -> tuple[KeyInfo, ...]:
        """Return all keys, also those that were revoked, the oldest first."""
        with _faults(""):
            return tuple(self._info(stored) for stored in await self._store.all())

    async def show(self, which: str) -> KeyInfo:
        """Return a key.

        Raises:
            ClientFault: there is none.
        """
        return self._info(await self._found(which))

    async def rotate(self, which: str, grace: int = GRACE) -> Issued:
        """Give a key a new secret. The one it had lives on for `grace` seconds; one that it had before that, no longer.

        Raises:
            ClientFault: there is no such key, or it was revoked.
        """
        if not 0 <= grace <= MAX_GRACE:
            raise bad_request(f"grace: expected at most {MAX_GRACE // 86_400} days", "grace")
        now = int(self._clock())
        stored = await self._found(which)
        secret = _of_the_same_id(stored.id)
        with _faults(which):
            fresh = StoredSecret(digest_of(self._pepper, secret.reveal()), now)
            await self._store.replace_secret(stored.id, fresh, now + grace, fingerprint(self._pepper))
        return Issued(await self.show(stored.id), secret)

    async def revoke(self, which: str) -> KeyInfo:
        """End a key for good.

        Raises:
            ClientFault: there is no such key, or it was revoked already.
        """
        stored = await self._found(which)
        with _faults(which):
            await self._store.revoke(stored.id, int(self._clock()))
        return await self.show(stored.id)

    async def limit(self, which: str, terms: Terms) -> KeyInfo:
        """Change what a key may do.

        Raises:
            ClientFault: there is no such key, it was revoked, or the terms make no sense.
        """
        stored = await self._found(which)
        key = terms.applied_to(key_of(stored))
        with _faults(which):
            await self._store.update(stored_key(key, stored.created))
        return await self.show(stored.id)

    async def _found(self, which: str) -> StoredKey:
        if which.startswith(STATIC):
            raise bad_request(f"{which} stands in the configuration; change it there")
        with _faults(which):
            return await self._store.find(which)

    def _info(self, stored: StoredKey) -> KeyInfo:
        now = self._clock()
        ends = [one.expires for one in stored.secrets if one.expires is not None and one.expires > now]
        return KeyInfo(key_of(stored), stored.created, stored.revoked, max(ends, default=None))


def described(info: KeyInfo) -> dict[str, Any]:
    """Return what is shown of a key, as JSON has it."""
    key = info.key
    return {
        "id": key.id,
        "name": key.name,
        "created": written_moment(info.created),
        "revoked": written_moment(info.revoked),
        "replaced_secret_until": written_moment(info.replaced_until),
        "models": key.models,
        "requests_per_minute": key.limits.requests_per_minute,
        "tokens_per_minute": key.limits.tokens_per_minute,
        "streams": key.limits.streams,
        "budget": written_budget(key.budget),
        "expires": written_moment(key.expires),
        "networks": key.networks,
        "labels": dict(key.labels),
    }


def key_of(stored: StoredKey) -> Key:
    """Return what a stored key may do."""
    budget = None
    if stored.budget_limit is not None:
        unit = cast('Literal["usd", "tokens"]', stored.budget_unit)
        budget = Budget(stored.budget_limit, unit, cast('Literal["day", "month", "total"]', stored.budget_period))
    return Key(
        id=stored.id,
        name=stored.name,
        models=stored.models,
        limits=Limits(stored.requests_per_minute, stored.tokens_per_minute, stored.streams),
        budget=budget,
        expires=stored.expires,
        networks=stored.networks,
        labels=stored.labels,
    )


def stored_key(key: Key, created: int, *hashed: StoredSecret) -> StoredKey:
    """Return a key as it is stored; `created` is Unix time in seconds."""
    return StoredKey(
        id=key.id,
        name=key.name,
        created=created,
        expires=key.expires,
        models=key.models,
        requests_per_minute=key.limits.requests_per_minute,
        tokens_per_minute=key.limits.tokens_per_minute,
        streams=key.limits.streams,
        budget_limit=key.budget.limit if key.budget else None,
        budget_unit=key.budget.unit if key.budget else None,
        budget_period=key.budget.period if key.budget else None,
        networks=key.networks,
        labels=key.labels,
        secrets=hashed,
    )


def _of_the_same_id(id_: str) -> Secret:
    return generate(secrets.randbelow, id_)


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip() or name.startswith(STATIC):
        raise bad_request(f"name: expected 1 to {MAX_NAME} printable characters, not {name[:100]!r}", "name")
    return name


@contextlib.contextmanager
def _faults(which: str) -> Generator[None]:
    """Tell what the store cannot do as whoever asked for it understands it."""
    try:
        yield
    except NameTakenError:
        raise bad_request(f'name: "{which}" is already the name of another key', "name", "name_taken") from None
    except MissingKeyError:
        told = f"There is no key {which[:100]!r}, or it was revoked."
        raise ClientFault(ErrorInfo("not_found", told, code="key_not_found")) from None
    except ForeignPepperError:
        told = "The keys in this database were hashed with another pepper."
        raise ClientFault(ErrorInfo("forbidden", told, code="foreign_pepper")) from None
    except StoreUnavailableError as error:
        raise Fault(ErrorInfo("overloaded", "The database cannot be reached.", retry_after=1.0)) from error
