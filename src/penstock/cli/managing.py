"""What `penstock keys` does, on the database that the config names, and how it is printed."""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.keys import STATIC, Key
from penstock.accounts.manage import Issued, KeyInfo, KeyManager, described
from penstock.accounts.opening import import_keys, open_pepper
from penstock.accounts.terms import Terms, written_budget, written_moment
from penstock.accounts.usage import spending_of
from penstock.cli.pricing import WIDTH
from penstock.cli.running import readable
from penstock.cli.stores import data_directory, database_location, open_stores
from penstock.config import Config, load
from penstock.core.errors import ClientFault, ConfigError, ErrorInfo
from penstock.store.adminfile import AdminFile
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.keyfile import KeyFile
from penstock.store.keys import KeyStore
from penstock.store.usage import UsageStore


class Open(Struct, frozen=True):
    """What the config names, opened."""

    config: Config
    keys: KeyManager
    usage: UsageStore

    async def described(self, infos: Sequence[KeyInfo]) -> list[dict[str, Any]]:
        """Return what is shown of keys, with what became of their budgets."""
        spending = await spending_of(self.usage, (info.key for info in infos), time.time())
        return [described(info) | {"spending": spending.get(info.key.id)} for info in infos]


async def create(
    name: str, terms: Callable[[], Terms], path: Path | None, environ: Mapping[str, str], *, as_json: bool
) -> None:
    """Make a key, and print it."""
    async with _managing(path, environ) as opened:
        if any(key.name == name for key in opened.config.keys):
            raise ConfigError(f'name: "{name}" is already the name of a key in the configuration')
        _print_issued(await opened.keys.create(name, terms()), as_json)


async def list_(path: Path | None, environ: Mapping[str, str], *, revoked: bool, as_json: bool) -> None:
    """Print all keys."""
    async with _managing(path, environ) as opened:
        stored = [info for info in await opened.keys.list() if revoked or info.revoked is None]
        infos = [*_of_config(opened.config), *stored]
        if as_json:
            _print_json(await opened.described(infos))
        else:
            _print_table(infos)


async def show(which: str, path: Path | None, environ: Mapping[str, str], *, as_json: bool) -> None:
    """Print a key."""
    async with _managing(path, environ) as opened:
        of_config = [info for info in _of_config(opened.config) if which in (info.key.id, info.key.name)]
        if which.startswith(STATIC) and not of_config:
            raise ClientFault(ErrorInfo("not_found", f"There is no key {which[:100]!r} in the configuration."))
        await _print_info(opened, of_config[0] if of_config else await opened.keys.show(which), as_json)


async def rotate(
    which: str, grace: Callable[[], int], path: Path | None, environ: Mapping[str, str], *, as_json: bool
) -> None:
    """Give a key a new secret, and print it."""
    async with _managing(path, environ) as opened:
        _print_issued(await opened.keys.rotate(which, grace()), as_json)


async def revoke(which: str, path: Path | None, environ: Mapping[str, str], *, as_json: bool) -> None:
    """End a key for good."""
    async with _managing(path, environ) as opened:
        info = await opened.keys.revoke(which)
        if as_json:
            _print_json(*await opened.described([info]))
            return
    _print(f"Key {escape(info.key.name)} ({info.key.id}) is revoked; running gateways refuse it within a second.")


async def limit(
    which: str, terms: Callable[[], Terms], path: Path | None, environ: Mapping[str, str], *, as_json: bool
) -> None:
    """Change what a key may do, and print it."""
    async with _managing(path, environ) as opened:
        await _print_info(opened, await opened.keys.limit(which, terms()), as_json)


async def renew_admin_token(path: Path | None, environ: Mapping[str, str]) -> None:
    """Make a new admin token, and print it."""
    config = load(path, environ)
    data = data_directory(environ)
    database = await Database.open(database_location(config, data))
    try:
        pepper = await open_pepper(config.store.pepper, KeyFile(data), KeyStore(database))
    except StoreUnavailableError as error:
        raise ConfigError(f"the database cannot be used: {error}") from None
    finally:
        await database.close()
    token = await AdminTokens(config.admin.token, AdminFile(data), pepper).renew()
    _print("The admin token. It is shown once; only its hash is kept, and the one before it works no longer:\n")
    _print(f"  [bold]{token.reveal()}[/bold]\n")


@contextlib.asynccontextmanager
async def _managing(path: Path | None, environ: Mapping[str, str]) -> AsyncGenerator[Open]:
    """Open the keys that the config names, and what was used."""
    config = load(path, environ)
    data = data_directory(environ)
    async with open_stores(config, data) as stores:
        try:
            file = KeyFile(data)
            pepper = await open_pepper(config.store.pepper, file, stores.keys)
            await import_keys(file, stores.keys, pepper)
            yield Open(config, KeyManager(stores.keys, pepper), UsageStore(stores.database))
        except StoreUnavailableError as error:
            raise ConfigError(f"the database cannot be used: {error}") from None


def _of_config(config: Config) -> list[KeyInfo]:
    return [KeyInfo(key.granted(), None) for key in config.keys]


def _print_issued(issued: Issued, as_json: bool) -> None:
    if as_json:
        _print_json(described(issued.info) | {"secret": issued.secret.reveal()})
        return
    key, until = issued.info.key, issued.info.replaced_until
    _print(f"Key {escape(key.name)} ({key.id}). It is shown once; only its hash is kept:\n")
    _print(f"  [bold]{issued.secret.reveal()}[/bold]\n")
    if until is not None:
        _print(f"The one before it works until {_shown_moment(until)}.")


async def _print_info(opened: Open, info: KeyInfo, as_json: bool) -> None:
    (shown,) = await opened.described([info])
    if as_json:
        _print_json(shown)
        return
    table = Table.grid(padding=(0, 3))
    for name, value in _rows(info, shown["spending"]):
        table.add_row(name, escape(value))
    Console(soft_wrap=True, highlight=False).print(table)


def _rows(info: KeyInfo, spending: dict[str, Any] | None) -> list[tuple[str, str]]:
    key, limits = info.key, info.key.limits
    rows = [
        ("id", key.id),
        ("name", key.name),
        ("created", _shown_moment(info.created) or "stands in the configuration"),
        ("revoked", _shown_moment(info.revoked)),
        ("old secret until", _shown_moment(info.replaced_until)),
        ("models", " ".join(key.models)),
        ("requests per minute", _shown_limit(limits.requests_per_minute)),
        ("tokens per minute", _shown_limit(limits.tokens_per_minute)),
        ("streams", _shown_limit(limits.streams)),
        ("budget", _shown_budget(key) or "unlimited"),
        *_spending_rows(spending),
        ("expires", _shown_moment(key.expires) or "never"),
        ("networks", " ".join(key.networks) or "any"),
        ("labels", " ".join(f"{name}={text}" for name, text in key.labels.items())),
    ]
    return [(name, value) for name, value in rows if value]


def _spending_rows(spending: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return what became of a budget: dollars, which are texts, to the last digit."""
    if spending is None:
        return []
    amounts = {name: spending[name] for name in ("spent", "held", "left")}
    shown = {name: f"${it}" if isinstance(it, str) else f"{it:,} tokens" for name, it in amounts.items()}
    return [*shown.items(), ("resets", readable(spending["resets_at"]) or "never")]


def _print_table(infos: list[KeyInfo]) -> None:
    if not infos:
        _print("There are no keys. Make one with `penstock keys create NAME`.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Name", "Id", "Created", "Models", "Budget", "Expires", "Labels"):
        table.add_column(column, overflow="fold")
    for info in infos:
        key = info.key
        created = "in the config" if info.created is None else _shown_moment(info.created)[:10]
        ends = "revoked" if info.revoked is not None else _shown_moment(key.expires)[:10]
        labels = " ".join(f"{name}={text}" for name, text in key.labels.items())
        cells = (key.name, key.id, created, " ".join(key.models), _shown_budget(key), ends, labels)
        table.add_row(*(escape(cell) for cell in cells))
    Console(width=WIDTH, highlight=False).print(table)


def _shown_limit(number: int | None) -> str:
    return "unlimited" if number is None else f"{number:,}"


def _shown_budget(key: Key) -> str:
    written = written_budget(key.budget)
    if written is None:
        return ""
    amount = f"${written['usd']}" if "usd" in written else f"{written['tokens']:,} tokens"
    return f"{amount} in total" if written["per"] == "total" else f"{amount} per {written['per']}"


def _shown_moment(moment: int | None) -> str:
    return readable(written_moment(moment))


def _print(line: str) -> None:
    Console(soft_wrap=True, highlight=False).print(line)


def _print_json(content: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
