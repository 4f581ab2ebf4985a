"""Keys: the operations of the admin API on them, in the words of `accounts/manage.py`."""

from collections.abc import Sequence

import msgspec

from penstock.accounts.keys import STATIC
from penstock.accounts.manage import Issued, KeyInfo, described
from penstock.accounts.terms import Terms
from penstock.accounts.usage import spending_of
from penstock.core.errors import ClientFault, ErrorInfo
from penstock.server.admin.desk import Desk
from penstock.server.admin.errors import conflict
from penstock.server.admin.route import Asked
from penstock.server.admin.shapes import KeyList, KeyShown, KeysQuery, NewKey, Nothing, Rotation


async def list_keys(desk: Desk, asked: Asked[KeysQuery, Nothing]) -> KeyList:
    """List keys, also those that stand in the configuration."""
    stored = [info for info in await desk.keys.list() if asked.query.revoked or info.revoked is None]
    return KeyList(await _shown(desk, [*_of_config(desk), *stored]))


async def create_key(desk: Desk, asked: Asked[Nothing, NewKey]) -> KeyShown:
    """Make a key. Its `secret` is in this answer, and never again."""
    name = asked.body.name
    if any(info.key.name == name for info in _of_config(desk)):
        raise conflict(f'name: "{name}" is already the name of a key in the configuration', "name", "name_taken")
    return _issued(await desk.keys.create(name, asked.body.terms()))


async def show_key(desk: Desk, asked: Asked[Nothing, Nothing]) -> KeyShown:
    """Show a key, by its id or, while it is not revoked, by its name, and what is left of its budget."""
    of_config = [info for info in _of_config(desk) if asked.which in (info.key.id, info.key.name)]
    if asked.which.startswith(STATIC) and not of_config:
        told = f"There is no key {asked.which[:100]!r} in the configuration."
        raise ClientFault(ErrorInfo("not_found", told, code="key_not_found"))
    return await _shown_one(desk, of_config[0] if of_config else await desk.keys.show(asked.which))


async def limit_key(desk: Desk, asked: Asked[Nothing, Terms]) -> KeyShown:
    """Change what a key may do. What is not said stays as it is; null takes a limit away."""
    return await _shown_one(desk, await desk.keys.limit(_changeable(asked.which), asked.body))


async def rotate_key(desk: Desk, asked: Asked[Nothing, Rotation]) -> KeyShown:
    """Give a key a new secret. It is in this answer, and never again; the old one works for a while."""
    return _issued(await desk.keys.rotate(_changeable(asked.which), asked.body.grace_seconds))


async def revoke_key(desk: Desk, asked: Asked[Nothing, Nothing]) -> KeyShown:
    """End a key for good. Gateways refuse it within a second; answers under way end as they would."""
    return await _shown_one(desk, await desk.keys.revoke(_changeable(asked.which)))


def _changeable(which: str) -> str:
    if which.startswith(STATIC):
        told = f"{which[:100]} stands in the configuration; change it there and reload."
        raise conflict(told, None, "static_key")
    return which


def _of_config(desk: Desk) -> list[KeyInfo]:
    return [KeyInfo(key.granted(), None) for key in desk.serving.config.keys]


def _issued(issued: Issued) -> KeyShown:
    # Nothing is asked of the database any more: if that failed, nobody would ever see the secret.
    return msgspec.convert(described(issued.info) | {"secret": issued.secret.reveal()}, KeyShown)


async def _shown_one(desk: Desk, info: KeyInfo) -> KeyShown:
    (shown,) = await _shown(desk, [info])
    return shown


async def _shown(desk: Desk, infos: Sequence[KeyInfo]) -> list[KeyShown]:
    spending = await spending_of(desk.usage, (info.key for info in infos), desk.clock())
    return [msgspec.convert(described(info) | {"spending": spending.get(info.key.id)}, KeyShown) for info in infos]
