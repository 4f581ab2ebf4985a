"""All keys that are accepted, in memory, and as fresh as the store: what is revoked there ends here within a second.

    directory = KeyDirectory(pepper, static, KeyStore(database))
    await directory.start()
    key = directory.authenticate(secret)

A directory without a store knows the keys of the config only, and need not be started.
"""

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable

import structlog
from msgspec import Struct

from penstock.accounts.keys import STATIC, Key, StaticKey, digest_of, unknown_key, well_formed
from penstock.accounts.manage import key_of
from penstock.core.errors import ConfigError, ErrorInfo, Fault
from penstock.store.keys import KeyStore, StoredKey

POLL_INTERVAL = 0.5
"""Seconds."""

POLL_TIMEOUT = 5.0
"""Seconds that the store has to answer."""

MAX_AGE = 10.0
"""Seconds without an answer of the store after which nobody knows any more which of its keys were revoked."""

_log = structlog.get_logger("penstock.accounts")


class _Known(Struct, frozen=True):
    digest: str
    key: Key
    until: int | None = None  # Unix time in seconds


class KeyDirectory:
    """Recognises keys.

    Args:
        pepper: what secrets are hashed with.
        static: the keys of the config.
        store: where all others are.
        clock: returns Unix time in seconds.

    Attributes:
        pepper: the same, for who hashes further secrets.

    Raises:
        ConfigError: two static keys are the same, or one of them makes no sense.
    """

    def __init__(
        self,
        pepper: bytes,
        static: Iterable[StaticKey] = (),
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pepper = pepper
        self._stored: dict[str, _Known] = {}
        self._static = _static(pepper, static)
        self._known = self._static  # half a digest finds a key, the whole one proves it
        self._store = store
        self._clock = clock
        self._version: int | None = None
        self._read_at = float("inf")  # on the monotonic clock; there is nothing to be read without a store
        self._hurried = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    def authenticate(self, secret: str) -> Key:
        """Return the key that `secret` is.

        Raises:
            ClientFault: it is none of ours.
            Fault: nobody knows, as the store does not answer.
        """
        digest = digest_of(self.pepper, secret)
        known = self._known.get(_half(digest))
        found = known is not None and hmac.compare_digest(known.digest, digest)
        if known is not None and found and known.key.id.startswith(STATIC):
            return known.key
        if well_formed(secret) and time.monotonic() - self._read_at > MAX_AGE:
            told = "Keys cannot be checked at the moment. Try again."
            raise Fault(ErrorInfo("overloaded", told, retry_after=1.0))
        if known is None or not found or (known.until is not None and self._clock() >= known.until):
            raise unknown_key(secret)
        return known.key

    def derived(self, purpose: bytes) -> bytes:
        """Return a secret for a purpose (up to 16 bytes), the same wherever the pepper is."""
        return hashlib.blake2b(key=self.pepper, person=purpose).digest()

    def changed(self) -> None:
        """Look at the store now: somebody says that it was changed."""
        self._hurried.set()

    def accept(self, static: Iterable[StaticKey]) -> None:
        """Accept these keys of the config instead of those before.

        Raises:
            ConfigError: two of them are the same. Nothing has changed then.
        """
        self._static = _static(self.pepper, static)
        self._known = self._stored | self._static

    async def start(self) -> None:
        """Read all keys, and begin to look for changes.

        Raises:
            StoreUnavailableError: the store cannot be read.
        """
        if self._store is not None:
            await self._refresh(self._store)
            self._polling = asyncio.create_task(self._poll(self._store))

    async def close(self) -> None:
        """Stop looking for changes."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self, store: KeyStore) -> None:
        failing = False
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), POLL_INTERVAL)
            self._hurried.clear()
            try:
                async with asyncio.timeout(POLL_TIMEOUT):
                    await self._refresh(store)
            except Exception as error:  # noqa: BLE001, RUF100 - whatever it is, the next attempt may succeed; if none does, keys end
                if not failing:
                    _log.warning("keys_unreadable", error=str(error), refused_after=MAX_AGE)
                failing = True
            else:
                if failing:
                    _log.info("keys_readable")
                failing = False

    async def _refresh(self, store: KeyStore) -> None:
        """Read what has changed. The number is read first: what changes after it is read again."""
        asked, version = time.monotonic(), await store.version()
        if version != self._version:
            self._stored = _stored(await store.all())
            self._known = self._stored | self._static
            self._version = version
        self._read_at = asked


def _static(pepper: bytes, static: Iterable[StaticKey]) -> dict[str, _Known]:
    known: dict[str, _Known] = {}
    for entry in static:
        digest = digest_of(pepper, entry.key.reveal())
        if same := known.get(_half(digest)):
            raise ConfigError(f'keys: "{entry.name}" and "{same.key.name}" are the same key')
        known[_half(digest)] = _Known(digest, entry.granted())
    return known


def _stored(keys: Iterable[StoredKey]) -> dict[str, _Known]:
    return {
        _half(secret.digest): _Known(secret.digest, key_of(key), secret.expires)
        for key in keys
        if key.revoked is None
        for secret in key.secrets
    }


def _half(digest: str) -> str:
    return digest[: len(digest) // 2]
