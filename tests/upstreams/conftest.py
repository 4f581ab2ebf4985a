"""Fixtures of the tests that talk over sockets."""

import socket
from collections.abc import AsyncIterator

import pytest

from penstock.upstreams.transport import Transport


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout=0.5, idle_timeout=0.3)
    yield transport
    await transport.close()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
