"""From rows, settings and the environment to the catalog: which providers there are, and with which credential."""

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.protocols.base import WireProtocol
from penstock.upstreams.catalog import Alias, Catalog, Provider
from penstock.upstreams.settings import (
    AliasSettings,
    ProviderRow,
    ProviderSettings,
    TargetSettings,
    did_you_mean,
    quoted,
    read_provider,
)
from penstock.upstreams.timeouts import Timeouts

SIMULATOR = "<simulator>"
"""Stands in a row's base URL for the address of the gateway's own simulator."""

OPERATORS = "<resource>"
"""Stands in a row's base URL for a name that only the operator knows."""

_UNSAID = Timeouts()


@functools.cache
def known_rows() -> dict[str, ProviderRow]:
    """Return the rows of `providers.toml` by name."""
    text = files("penstock.upstreams").joinpath("providers.toml").read_text("utf-8")
    return {
        name: read_provider(raw, ProviderRow, f"providers.toml: {name}") for name, raw in tomllib.loads(text).items()
    }


def build_catalog(
    settings: Mapping[str, ProviderSettings],
    aliases: Mapping[str, AliasSettings],
    environ: Mapping[str, str],
    protocols: Mapping[str, WireProtocol],
    simulator: str | None = None,
    *,
    timeouts: Timeouts = _UNSAID,
) -> Catalog:
    """Return the catalog.

    Args:
        settings: what the user says about providers.
        aliases: the names that the user gave.
        environ: where credentials and addresses are looked for.
        protocols: by their names.
        simulator: the address of the simulator, without a slash at its end; None if it does not run.
        timeouts: what the user says about the time limits of all providers.

    Raises:
        ConfigError: something in the settings, or in an environment variable that a row names, cannot be used.
    """
    rows = known_rows()
    providers: dict[str, Provider] = {}
    disabled: dict[str, str] = {}
    for name in (*rows, *(name for name in settings if name not in rows)):
        builder = _Builder(name, rows.get(name), settings.get(name), environ, simulator)
        if missing := builder.missing():
            if name in settings:
                raise ConfigError(f"providers.{quoted(name)}: {missing}")
            disabled[name] = missing
        else:
            providers[name] = builder.provider(protocols, timeouts)
    named = {name: _alias(name, entry, providers, disabled) for name, entry in aliases.items()}
    return Catalog(providers, named, disabled)


def checked_base_url(url: str, path: str) -> str:
    """Return a base URL without the slash at its end. Nothing else about it is repaired.

    Raises:
        ConfigError: no request could be sent there; `path` says where the URL was given.
    """
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # what the resolver will make of it
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, usable = SplitResult("", "", "", "", ""), False
    if not usable:
        hint = f'; did you mean "http://{_shown(url)}"?' if url and "://" not in url else ""
        raise ConfigError(f'{path}: "{_shown(url)}" is not an http:// or https:// address{hint}')
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{path}: an address must not hold a user name or password; use api_key or headers")
    if not re.fullmatch("[!-~]+", url):
        raise ConfigError(f"{path}: an address may hold only visible ASCII characters; encode others")
    if parts.query or parts.fragment:
        raise ConfigError(f'{path}: a base URL ends with its path; remove what follows "?" or "#"')
    return url.rstrip("/")


def completed(address: str, base_url: str) -> str:
    """Return an address with what it leaves out taken from a base URL: scheme and port, and the path.

    That is how `OLLAMA_HOST` is read by its own tools (`host`, `host:port` and `http://host:port` all occur, and
    servers set it to 0.0.0.0), and how an Azure endpoint becomes a base URL.
    """
    default = urlsplit(base_url)
    parts = urlsplit(address if "://" in address else f"{default.scheme}://{address}")
    host = parts.netloc.replace("0.0.0.0", "127.0.0.1")
    if "://" not in address and parts.port is None and default.port is not None:
        host = f"{host.rstrip(':')}:{default.port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/') or default.path}"


class _Builder:
    """One provider on its way into the catalog."""

    def __init__(
        self,
        name: str,
        row: ProviderRow | None,
        settings: ProviderSettings | None,
        environ: Mapping[str, str],
        simulator: str | None,
    ) -> None:
        self._name = name
        self._path = f"providers.{quoted(name)}"
        self._named = settings is not None
        self._settings = settings or ProviderSettings()
        self._row = _row_for(self._settings, row or ProviderRow(title=name, protocol="", base_url=""))
        self._known = row is not None
        self._environ = environ
        self._simulator = simulator

    def missing(self) -> str:
        """Return what is to be done before this provider can be called; empty if nothing."""
        row, settings = self._row, self._settings
        needs: list[str] = []
        if not row.local and row.api_key_env and self._needs_credential():
            needs.append(" or ".join(row.api_key_env))
        if self._needs_address():
            needs.append(row.base_url_env)
        if needs:
            way = f", or add [providers.{quoted(self._name)}] to its configuration" if row.local else ""
            return f"set {' and '.join(needs)} in the gateway's environment{way}"
        if SIMULATOR in row.base_url and self._simulator is None and settings.base_url is None:
            return "the simulator is not running"
        return ""

    def provider(self, protocols: Mapping[str, WireProtocol], timeouts: Timeouts) -> Provider:
        """Return the provider; `timeouts` are those of all providers.

        Raises:
            ConfigError: its settings cannot be used.
        """
        row, settings = self._row, self._settings
        protocol = self._protocol(protocols)
        provider = Provider(
            name=self._name,
            title=settings.title or row.title,
            protocol=protocol.name,
            base_url=self._base_url(),
            credential=self._credential(),
            auth=settings.auth or row.auth or protocol.auth,
            headers=_header_fields(settings.headers, f"{self._path}.headers"),
            quirks=frozenset(row.quirks if settings.quirks is None else settings.quirks),
            models=row.models if settings.models is None else settings.models,
            names=row.names | settings.names,
            closed=row.closed,
            facts=(*settings.facts.items(), *row.facts.items()),
            relay=settings.relay or row.relay,
            offers=frozenset(row.offers if settings.offers is None else settings.offers),
            prices=settings.prices or row.prices or self._name,
            bills_aborted=row.bills_aborted if settings.bills_aborted is None else settings.bills_aborted,
            timeouts=settings.timeouts.over(timeouts),
        )
        return msgspec.structs.replace(provider, also=self._also(provider, protocols))

    def _also(self, provider: Provider, protocols: Mapping[str, WireProtocol]) -> dict[str, Provider]:
        """Return the provider as it is reached in its further protocols."""
        settings = self._settings
        row_has = {} if settings.protocol else self._row.also
        also: dict[str, Provider] = {}
        for name, access in (row_has if settings.also is None else settings.also).items():
            path = f"{self._path}.also.{quoted(name)}"
            protocol = _known_protocol(name, path, protocols)
            base_url = provider.base_url
            if access.base_url is not None:
                base_url = checked_base_url(urljoin(f"{base_url}/", access.base_url), f"{path}.base_url")
            auth = access.auth or settings.auth or self._row.auth or protocol.auth
            relay = settings.relay or access.relay
            also[name] = msgspec.structs.replace(provider, protocol=name, base_url=base_url, auth=auth, relay=relay)
        return also

    def _needs_credential(self) -> bool:
        # Whoever gives another address may have a server there that wants no key, or takes one in a header.
        return self._credential() is None and self._settings.base_url is None and self._settings.auth != "none"

    def _needs_address(self) -> bool:
        row = self._row
        if self._settings.base_url is not None or not row.base_url_env or self._environment(row.base_url_env):
            return False
        return OPERATORS in row.base_url or (row.local and not self._named)

    def _protocol(self, protocols: Mapping[str, WireProtocol]) -> WireProtocol:
        given = self._settings.protocol
        if given is None and not self._known:
            near = did_you_mean(self._name, known_rows())
            raise ConfigError(
                f'{self._path}: unknown provider "{self._name}"{near} To define your own give protocol and base_url.'
            )
        return _known_protocol(given or self._row.protocol, f"{self._path}.protocol", protocols)

    def _base_url(self) -> str:
        row, given = self._row, self._settings.base_url
        if given is not None:
            return checked_base_url(given, f"{self._path}.base_url")
        if address := self._environment(row.base_url_env):
            return checked_base_url(completed(address, row.base_url), row.base_url_env)
        if not row.base_url:
            raise ConfigError(f"{self._path}: base_url is missing")
        return row.base_url.replace(SIMULATOR, self._simulator or "")

    def _credential(self) -> Secret | None:
        if self._settings.api_key is not None:
            return _sendable(self._settings.api_key.reveal(), f"{self._path}.api_key")
        for variable in self._row.api_key_env:
            if text := self._environment(variable):
                return _sendable(text, variable)
        return None

    def _environment(self, variable: str) -> str:
        return self._environ.get(variable, "").strip()


def _row_for(settings: ProviderSettings, row: ProviderRow) -> ProviderRow:
    """Return what is known of a provider, as far as it holds for the address that the user gives."""
    instead = row.elsewhere
    if instead is None or settings.base_url is None or settings.protocol is not None:
        return row
    own, given = _host(row.base_url), _host(settings.base_url)
    if given == own or given.endswith(f".{own}"):  # such as eu.api.<provider>: a region of the same service
        return row
    return msgspec.structs.replace(row, protocol=instead.protocol, also={}, quirks=instead.quirks)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # refused as soon as the address is read


def _known_protocol(name: str, path: str, protocols: Mapping[str, WireProtocol]) -> WireProtocol:
    if name not in protocols:
        raise ConfigError(
            f'{path}: unknown protocol "{name}"{did_you_mean(name, protocols)} Known: {", ".join(protocols)}.'
        )
    return protocols[name]


def _header_fields(headers: Mapping[str, Secret], path: str) -> dict[str, Secret]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch("[ -~]*", value.reveal()):
            raise ConfigError(f"{path}.{quoted(name)}: not a header; names and values are ASCII without line ends")
    return {name.lower(): value for name, value in headers.items()}


def _sendable(text: str, path: str) -> Secret | None:
    text = text.strip()
    if not all("!" <= character <= "~" for character in text):
        raise ConfigError(f"{path}: a key may hold only visible ASCII characters")
    return Secret(text) if text else None


def _alias(name: str, settings: AliasSettings, providers: Mapping[str, Provider], disabled: Mapping[str, str]) -> Alias:
    path = f"models.{quoted(name)}"
    if settings.target is not None and settings.targets:
        raise ConfigError(f"{path}: either target or targets")
    if settings.targets:
        said = [TargetSettings(entry) if isinstance(entry, str) else entry for entry in settings.targets]
        targets = {entry.target: (f"{path}.targets[{index}]", entry.weight) for index, entry in enumerate(said)}
        if len(targets) < len(said):
            raise ConfigError(f"{path}.targets: one of them is named twice")
        if not any(entry.weight for entry in said):
            raise ConfigError(f"{path}.targets: one of them needs a weight above 0")
    elif settings.target is None and "/" not in name:
        raise ConfigError(f"{path}: target is missing")
    else:
        targets = {settings.target or name: (path if settings.target is None else f"{path}.target", 1)}
    for target, (where, _) in targets.items():
        _check_target(target, where, providers, disabled)
    weighted = tuple((target, weight) for target, (_, weight) in targets.items())
    return Alias(weighted, settings.strategy, settings.timeouts, settings.continue_, settings.hedge)


def _check_target(target: str, path: str, providers: Mapping[str, Provider], disabled: Mapping[str, str]) -> None:
    name, slash, model = target.partition("/")
    if not slash or not model:
        raise ConfigError(f'{path}: "{target}" is not of the form provider/model')
    if name in disabled:
        raise ConfigError(f'{path}: the provider "{name}" is not set up: {disabled[name]}')
    if name not in providers:
        raise ConfigError(f'{path}: unknown provider "{name}"{did_you_mean(name, [*providers, *disabled])}')
    provider = providers[name]
    if not provider.has(model):
        raise ConfigError(f'{path}: "{name}" has no model "{model}"{did_you_mean(model, provider.models)}')


def _shown(url: str) -> str:
    """Return a URL without what may be a password in it."""
    return f"***@{url.rpartition('@')[2]}" if "@" in url else url
