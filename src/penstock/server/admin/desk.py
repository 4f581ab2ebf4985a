"""What the handlers of the admin API work on."""

import time
from collections.abc import Callable

from msgspec import Struct

from penstock.accounts.manage import KeyManager
from penstock.server.metrics import Metrics
from penstock.server.reloading import Serving
from penstock.store.usage import UsageStore


class Desk(Struct, frozen=True):
    """All of it.

    Attributes:
        serving: what the gateway serves.
        address: what clients are given.
        ready: whether it takes new requests.
        database: sqlite or postgresql.
        started: when, Unix time in seconds.
        tell_reloaded: has the other processes of the gateway read the configuration again, as this one has.
        clock: returns Unix time in seconds.
    """

    keys: KeyManager
    usage: UsageStore
    metrics: Metrics
    serving: Serving
    address: str
    ready: Callable[[], bool]
    database: str
    started: float
    tell_reloaded: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
