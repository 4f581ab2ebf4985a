"""The admin token: the one credential of the admin API, apart from all keys.

    pad_ a1B2 ... 40 characters

It is made at the first start and shown once; only its keyed hash is kept. One in the configuration takes its place.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable

from penstock.accounts.keys import ALPHABET, digest_of
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.store.adminfile import AdminFile, AdminRecord

PREFIX = "pad_"

LENGTH = 40
"""Characters behind the prefix; 238 random bits."""


class AdminTokens:
    """Makes the admin token and recognises it.

    Args:
        configured: the one in the configuration, if there is one.
        file: where the hash of the other is.
        pepper: what it is hashed with.
        clock: returns Unix time in seconds.
    """

    def __init__(
        self, configured: Secret | None, file: AdminFile, pepper: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._configured = None if configured is None else digest_of(pepper, configured.reveal())
        self._file = file
        self._pepper = pepper
        self._clock = clock

    async def first(self) -> Secret | None:
        """Make the first token, unless there has been one, or one stands in the configuration.

        Raises:
            ConfigError: its file cannot be used.
        """
        if self._configured is not None or await asyncio.to_thread(self._file.load) is not None:
            return None
        token = _generated()
        return token if await asyncio.to_thread(self._file.claim, self._record(token)) else None

    async def renew(self) -> Secret:
        """Make a new token. The one before it ends at once, also on gateways that run.

        Raises:
            ConfigError: the token stands in the configuration, or its file cannot be written.
        """
        if self._configured is not None:
            raise ConfigError("admin.token: the admin token stands in the configuration; change it there")
        token = _generated()
        await asyncio.to_thread(self._file.replace, self._record(token))
        return token

    async def recognise(self, text: str) -> bool:
        """Whether `text` is the admin token.

        Raises:
            ConfigError: its file cannot be used.
        """
        expected = self._configured
        if expected is None:
            # Read each time: somebody may have made a new one, and whoever administers can wait for a small file.
            record = await asyncio.to_thread(self._file.load)
            expected = record.digest if record else ""
        return hmac.compare_digest(digest_of(self._pepper, text), expected)

    def _record(self, token: Secret) -> AdminRecord:
        return AdminRecord(digest_of(self._pepper, token.reveal()), int(self._clock()))


def _generated() -> Secret:
    return Secret(PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)))
