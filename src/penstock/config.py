"""The configuration: one TOML file and the environment, read once at start.

    config = load(path, os.environ)
    catalog = config.catalog(os.environ, simulator)

With no file everything has a default: providers are those whose keys stand in the environment. Every mistake is a
ConfigError of one line that begins with the file and the path in it.
"""

import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import Meta, Struct

from penstock.accounts.keys import StaticKey
from penstock.accounts.policy import read_network
from penstock.accounts.price_settings import PriceSettings
from penstock.accounts.prices import FREE, Price, PriceBook, Pricing
from penstock.accounts.terms import Terms
from penstock.core.errors import ClientFault, ConfigError
from penstock.core.secret import Secret
from penstock.protocols.registry import PROTOCOLS
from penstock.store.dialect import read_url
from penstock.store.shared import check_url
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.providers import build_catalog, known_rows
from penstock.upstreams.settings import (
    AliasSettings,
    ProviderSettings,
    convert,
    did_you_mean,
    quoted,
    read_alias,
    read_provider,
)
from penstock.upstreams.timeouts import Seconds, Timeouts

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_GLOB = re.compile(r"[*?\[]")
_SECTIONS = (
    "server",
    "admin",
    "store",
    "shared",
    "keys",
    "providers",
    "models",
    "timeouts",
    "streams",
    "responses",
    "prices",
    "telemetry",
)
_KEY_FIELDS = ("name", "key")

T = TypeVar("T")


class Limits(Struct, frozen=True):
    """How much time clients may take, in seconds, and how much each process serves at once.

    Attributes:
        head: for the head of a request, from its first byte; for the first one, from when the client connected.
        body: for a body.
        body_grace: of a body in which it may come as slowly as it likes.
        body_rate: bytes a second that must come after that, on average.
        keep_alive: between an answer and the next request. Longer than SDKs and proxies keep a connection, so that
            they close it first.
        stall: without taking a byte of what waits to be sent.
        linger: to take the answer, and to send the rest of a request that was refused before it was complete.
        provider_connections: open at once to one address of a provider; as many requests again may wait for one.
        provider_wait: for one of these.
        connections: of clients that may be open at once.
        calls: that may be served at once.
    """

    head: Seconds = 10.0
    body: Seconds = 120.0
    body_grace: Seconds = 5.0
    body_rate: Annotated[int, Meta(ge=1)] = 1000
    keep_alive: Seconds = 75.0
    stall: Seconds = 60.0
    linger: Seconds = 5.0
    provider_connections: Annotated[int, Meta(ge=1)] = 1000
    provider_wait: Seconds = 5.0
    connections: Annotated[int, Meta(ge=1)] = 10_000
    calls: Annotated[int, Meta(ge=1)] = 2000


class ServerSettings(Struct, frozen=True):
    """How to serve.

    Attributes:
        host: where to listen.
        port: likewise; 0 takes any free one.
        heartbeat: seconds for which a stream may be silent before its client is told that it lives; 0 never tells.
        trusted_proxies: networks of proxies whose X-Forwarded-For is believed.
        workers: processes that serve.
        limits: how much time clients may take, and how much is served at once.
        notice: seconds between the signal to stop and the end of listening, in which `/readyz` already says that the
            gateway goes: what balances load needs them to look elsewhere.
        drain: seconds that answers under way then have to end.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    heartbeat: Annotated[float, Meta(ge=0)] = 15.0
    trusted_proxies: tuple[str, ...] = ()
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    limits: Limits = Limits()
    notice: Annotated[float, Meta(ge=0)] = 0.0
    drain: Annotated[float, Meta(ge=0)] = 600.0


class AdminSettings(Struct, frozen=True):
    """How the admin API is served.

    Attributes:
        enabled: whether it is.
        host: where to listen.
        port: likewise; 0 takes any free one.
        token: what it takes; None: one is made at the first start.
        open_metrics: whether metrics are told without the token.
        hosts: names by which it may be called, besides `host`, `localhost` and addresses.
    """

    enabled: bool = True
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8081
    token: Secret | None = None
    open_metrics: bool = False
    hosts: tuple[str, ...] = ()


class StoreSettings(Struct, frozen=True):
    """Where what must outlive the process is kept.

    Attributes:
        url: the address of a PostgreSQL database; None: SQLite's file in the data directory.
        pepper: what keys are hashed with, 64 hexadecimal digits; None: it stands in a file of the data directory.
    """

    url: Secret | None = None
    pepper: Secret | None = None


class StreamsSettings(Struct, frozen=True):
    """What is kept of answers for clients that come back to them.

    Attributes:
        resume: whether anything is.
        journal: where; in the memory of the process, or beside it where it outlives the process and others can read it:
            those on the machine in SQLite's file `journals.db` of the data directory, all in the shared Redis.
        journal_megabytes: of all answers together; above, the oldest that are complete make way.
        stream_kilobytes: of one; a longer one goes on, and can be read by nobody else.
        keep_seconds: how long, after the end.
        grace: seconds for which a call goes on whose client vanished before it had got anything, because its SDK will
            ask again; 0 for none.
    """

    resume: bool = True
    journal: Literal["memory", "sqlite", "redis"] = "memory"
    journal_megabytes: Annotated[int, Meta(ge=1)] = 64
    stream_kilobytes: Annotated[int, Meta(ge=1)] = 1024
    keep_seconds: Annotated[float, Meta(gt=0)] = 600.0
    grace: Annotated[float, Meta(ge=0)] = 5.0


class SharedSettings(Struct, frozen=True):
    """What gateways on many machines hold in common beside the database.

    Attributes:
        url: the address of a Redis or Valkey, for rates, slots and news of keys; None: the database does.
    """

    url: Secret | None = None


class ResponsesSettings(Struct, frozen=True):
    """How answers of the Responses API are kept, for clients that come back to them.

    Attributes:
        keep: whether they are; a client can forbid it for each with `store: false`.
        days: how long, counted from the last time that a conversation went on.
        megabytes: how much of them; the oldest make way.
    """

    keep: bool = True
    days: Annotated[int, Meta(ge=1, le=3650)] = 30
    megabytes: Annotated[int, Meta(ge=1)] = 1024


class TelemetrySettings(Struct, frozen=True):
    """What is told to others about requests.

    Attributes:
        otlp: export traces and metrics over OTLP, as the environment variables OTEL_* say.
    """

    otlp: bool = False


class Config(Struct, frozen=True):
    """The whole configuration. `source` is the file it came from, for messages."""

    source: str = "environment"
    server: ServerSettings = ServerSettings()
    admin: AdminSettings = AdminSettings()
    store: StoreSettings = StoreSettings()
    shared: SharedSettings = SharedSettings()
    keys: tuple[StaticKey, ...] = ()
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, AliasSettings] = {}
    timeouts: Timeouts = Timeouts()
    streams: StreamsSettings = StreamsSettings()
    responses: ResponsesSettings = ResponsesSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    prices: tuple[tuple[str, Price], ...] = ()

    def catalog(self, environ: Mapping[str, str], simulator: str | None = None) -> Catalog:
        """Return the catalog of providers; `simulator` is the address of the gateway's own simulator.

        Raises:
            ConfigError: a provider or an alias cannot be used.
        """
        try:
            return build_catalog(self.providers, self.models, environ, PROTOCOLS, simulator, timeouts=self.timeouts)
        except ConfigError as error:
            raise ConfigError(f"{self.source}: {error}") from None

    def price_book(self, catalog: Catalog) -> PriceBook:
        """Return the prices of a catalog's models.

        Raises:
            ConfigError: a provider or a list that a price is said to be of does not exist.
        """
        names = (*catalog.providers, *catalog.disabled)
        for glob, _ in self.prices:
            name = glob.partition("/")[0]
            if name not in names and not _GLOB.search(name):
                why = f'unknown provider "{name}"{did_you_mean(name, names)}'
                raise ConfigError(f"{self.source}: prices.{quoted(glob)}: {why}")
        for name, settings in self.providers.items():
            if settings.prices and settings.prices != FREE and settings.prices not in _price_lists():
                why = f'unknown price list "{settings.prices}"{did_you_mean(settings.prices, {FREE, *_price_lists()})}'
                raise ConfigError(f"{self.source}: providers.{quoted(name)}.prices: {why}")
        served = {provider.name: provider.prices for provider in catalog.providers.values()}
        if set(served.values()) - {FREE}:
            _price_lists()  # they are read now, lest the first request should wait for them
        own = {name: row.prices or name for name, row in known_rows().items()}
        return PriceBook(self.prices, own | served, _look_up)


def _price_lists() -> frozenset[str]:
    """Return the names of all price lists."""
    # Nothing else takes as long to import, and 27 MB: what serves only free models, or nothing, goes without.
    from penstock.accounts import price_list  # noqa: PLC0415

    return price_list.names()


def _look_up(name: str, model: str) -> Pricing:
    from penstock.accounts import price_list  # noqa: PLC0415 - as above

    return price_list.look_up(name, model)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the configuration in a file; None has every default.

    Raises:
        ConfigError: it cannot be read or used.
    """
    if path is None:
        return Config()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: byte {error.start} cannot be decoded") from None
    return parse(text, environ, path.name)


def parse(text: str, environ: Mapping[str, str], source: str = "penstock.toml") -> Config:
    """Return the configuration that a TOML text holds. `environ` is what `${VAR}` is taken from.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        return _read(_substituted(tomllib.loads(text), environ, ""), source)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _read(raw: dict[str, Any], source: str) -> Config:
    for section in raw:
        if section not in _SECTIONS:
            raise ConfigError(f"{quoted(section)}: unknown section{did_you_mean(section, _SECTIONS)}")
    keys, shared = _keys(raw.get("keys", [])), _shared(raw.get("shared", {}))
    return Config(
        source=source,
        server=_server(raw.get("server", {})),
        admin=_admin(raw.get("admin", {}), keys),
        store=_store(raw.get("store", {})),
        shared=shared,
        keys=keys,
        providers={
            name: read_provider(table, ProviderSettings, f"providers.{quoted(name)}")
            for name, table in _table(raw, "providers").items()
        },
        models={name: read_alias(table, f"models.{quoted(name)}") for name, table in _table(raw, "models").items()},
        timeouts=convert(raw.get("timeouts", {}), Timeouts, "timeouts"),
        streams=_streams(raw.get("streams", {}), shared),
        responses=convert(raw.get("responses", {}), ResponsesSettings, "responses"),
        telemetry=convert(raw.get("telemetry", {}), TelemetrySettings, "telemetry"),
        prices=tuple(_price(glob, table) for glob, table in _table(raw, "prices").items()),
    )


def _price(glob: str, raw: object) -> tuple[str, Price]:
    path = f"prices.{quoted(glob)}"
    if not re.fullmatch("[^/]+/.+", glob):
        raise ConfigError(f'{path}: prices are for "provider/model", in which * stands for anything')
    return glob, convert(raw, PriceSettings, path).price(path)


def _server(raw: object) -> ServerSettings:
    server = convert(raw, ServerSettings, "server")
    convert(cast("dict[str, object]", raw).get("limits", {}), Limits, "server.limits")  # for what is unknown in it
    for index, network in enumerate(server.trusted_proxies):
        try:
            read_network(network)
        except ValueError as error:
            raise ConfigError(f"server.trusted_proxies[{index}]: {error}; write it as 10.0.0.0/8") from None
    return server


def _admin(raw: object, keys: tuple[StaticKey, ...]) -> AdminSettings:
    admin = convert(raw, AdminSettings, "admin")
    if admin.token is not None:
        if not re.fullmatch("[!-~]{16,}", admin.token.reveal()):
            raise ConfigError("admin.token: an admin token is at least 16 visible ASCII characters")
        if admin.token in [key.key for key in keys]:
            raise ConfigError("admin.token: also stands in keys; what may administer must not be what clients have")
    return admin


def _store(raw: object) -> StoreSettings:
    store = convert(raw, StoreSettings, "store")
    if store.url is not None:
        try:
            read_url(store.url.reveal())
        except ConfigError as error:
            raise ConfigError(f"store.url: {error}") from None
    if store.pepper is not None and not re.fullmatch("[0-9a-fA-F]{64}", store.pepper.reveal()):
        raise ConfigError("store.pepper: expected 64 hexadecimal digits, as `openssl rand -hex 32` prints them")
    return store


def _shared(raw: object) -> SharedSettings:
    shared = convert(raw, SharedSettings, "shared")
    if shared.url is not None:
        try:
            check_url(shared.url.reveal())
        except ConfigError as error:
            raise ConfigError(f"shared.url: {error}") from None
    return shared


def _streams(raw: object, shared: SharedSettings) -> StreamsSettings:
    streams = convert(raw, StreamsSettings, "streams")
    if streams.journal == "redis" and shared.url is None:
        raise ConfigError('streams.journal: "redis" needs the address of one: shared.url')
    return streams


def _keys(raw: object) -> tuple[StaticKey, ...]:
    if not isinstance(raw, list):
        raise ConfigError("keys: expected tables, each begun with [[keys]]")
    keys: dict[str, StaticKey] = {}
    for index, entry in enumerate(cast("list[object]", raw)):
        key = _key(entry, f"keys[{index}]")
        if key.name in keys:
            raise ConfigError(f'keys[{index}].name: "{key.name}" is already the name of another key')
        keys[key.name] = key
    return tuple(keys.values())


def _key(raw: object, path: str) -> StaticKey:
    """Return a key of the config: its name, its text, and what else it says as any key's terms do."""
    table = cast("dict[str, object]", raw) if isinstance(raw, dict) else {}
    for name in table:
        if name not in (*_KEY_FIELDS, *Terms.__struct_fields__):
            known = (*_KEY_FIELDS, *Terms.__struct_fields__)
            raise ConfigError(f"{path}.{quoted(name)}: unknown key{did_you_mean(name, known)}")
    key = convert({name: table[name] for name in _KEY_FIELDS if name in table}, StaticKey, path)
    if not re.fullmatch("[!-~]{8,}", key.key.reveal()):
        raise ConfigError(f"{path}.key: a key is at least 8 visible ASCII characters")
    said = {name: value for name, value in table.items() if name not in _KEY_FIELDS}
    if isinstance(date := said.get("expires"), datetime.date):  # TOML's own
        said["expires"] = date.isoformat()
    try:
        grants = convert(said, Terms, path).applied_to(key.granted())
    except ClientFault as fault:
        raise ConfigError(f"{path}.{fault}") from None
    return StaticKey(key.name, key.key, grants)


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: expected tables, each begun with [{name}.<name>]")
    return cast("dict[str, Any]", table)


def _substituted(value: T, environ: Mapping[str, str], path: str) -> T:
    """Return a TOML value with every `${VAR}` in its strings replaced."""

    def variable(match: re.Match[str]) -> str:
        text = environ.get(match[1], "")
        if not text:
            raise ConfigError(f"{path}: the environment variable {match[1] or '${}'} is not set")
        return text

    result: object = value
    if isinstance(value, str):
        result = _VARIABLE.sub(variable, value)
    elif isinstance(value, dict):
        table = cast("dict[str, object]", value)
        result = {key: _substituted(item, environ, f"{path}.{quoted(key)}".lstrip(".")) for key, item in table.items()}
    elif isinstance(value, list):
        items = cast("list[object]", value)
        result = [_substituted(item, environ, f"{path}[{index}]") for index, item in enumerate(items)]
    return cast("T", result)
