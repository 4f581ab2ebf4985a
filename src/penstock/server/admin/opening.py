"""Starting the admin API on its own address."""

import structlog

from penstock.accounts.admin_tokens import AdminTokens
from penstock.config import AdminSettings
from penstock.server.admin.desk import Desk
from penstock.server.admin.endpoints import AdminEndpoints
from penstock.server.listener import Listener, listen

_log = structlog.get_logger("penstock.admin")


async def open_admin(settings: AdminSettings, desk: Desk, tokens: AdminTokens) -> Listener | None:
    """Serve the admin API; return None if it is switched off, or its address is not free.

    The gateway does its work without it: what runs on one port must not fail for what would run on another.
    """
    if not settings.enabled:
        return None
    hosts = frozenset(name.lower() for name in (settings.host, *settings.hosts))
    endpoints = AdminEndpoints(desk, tokens, open_metrics=settings.open_metrics, hosts=hosts)
    try:
        return await listen(endpoints.handle, settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        told = "the gateway runs without its admin API; set [admin] port to another, or enabled = false"
        _log.warning("admin_unavailable", address=where, error=error.strerror or str(error), hint=told)
        return None
