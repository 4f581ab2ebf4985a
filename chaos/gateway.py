"""A gateway in this process, in front of a local provider that speaks all protocols."""

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator
from unittest import mock

import structlog

from bench.streams import CHAT, RESPONSES
from chaos.upstream import PROVIDERS
from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.server import app
from penstock.upstreams.settings import ProviderSettings
from penstock.upstreams.transport import Transport
from tests.serving import running

KEY = "chaos-key-0123456789"


def providers(port: int) -> dict[str, ProviderSettings]:
    """Return the settings of one provider for each protocol, all at a local port."""
    address = f"http://127.0.0.1:{port}"
    return {
        name: ProviderSettings(
            protocol=protocol,
            base_url=f"{address}/v1" if protocol in {CHAT, RESPONSES} else address,
            api_key=Secret("none"),
        )
        for protocol, name in PROVIDERS.items()
    }


@contextlib.asynccontextmanager
async def serving(port: int, gap: float) -> AsyncIterator[str]:
    """Run a gateway in front of a local port; yield its address.

    Args:
        port: where the provider listens.
        gap: seconds that the provider may be silent.
    """
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    config = Config(server=ServerSettings(port=0), providers=providers(port))
    keys = KeyDirectory(secrets.token_bytes(32), [StaticKey("chaos", Secret(KEY))])
    with mock.patch.object(app, "Transport", functools.partial(Transport, idle_timeout=gap)):
        async with running(config, keys) as service:
            yield service.address
