"""What all tests share: the marker that names what a test proves, the settings of Hypothesis, and the watch for secrets."""

import gc
import ipaddress
import os
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

gc.disable()  # until all is loaded: it is kept, and to look for garbage in it is a tenth of the time that it takes

pytest_plugins = ["tests.watch", "tests.store.servers"]

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


class NetworkError(Exception):
    """A test wants to talk to another machine."""


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse whatever leaves this machine, wherever in the process it is tried."""
    if event not in {"socket.connect", "socket.sendto"}:
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise NetworkError(f"tests run without a network, and this is one: {address[0]}")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"}


sys.addaudithook(_stay_here)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "covers(*numbers): pitfalls (P1 ...) and cases (T1 ...) that this test proves; test_cases_covered.py adds up",
    )
    config.addinivalue_line(
        "markers",
        "promise(*numbers): promises of docs/promises.md that this test proves; test_promises_covered.py adds up",
    )


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking, every few tests, over all that was loaded for good."""
    gc.collect()
    gc.freeze()
    gc.enable()
