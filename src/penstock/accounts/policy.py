"""What a key may do: pure checks, made at one place for every path and every way to carry a key."""

import functools
import ipaddress
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from penstock.accounts.keys import Key
from penstock.core.errors import ClientFault, ErrorInfo

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def check_key(key: Key, address: str | None, now: float) -> None:
    """Check that a key may be used at all.

    Args:
        key: that was recognised.
        address: where the request comes from, if that is known.
        now: Unix time in seconds.

    Raises:
        ClientFault: it has expired, or may not be used from there.
    """
    if key.expires is not None and now >= key.expires:
        when = f"{datetime.fromtimestamp(key.expires, UTC):%Y-%m-%d %H:%M} UTC"
        told = f"This key has expired: it was good until {when}. Ask whoever runs this gateway for another."
        raise ClientFault(ErrorInfo("unauthenticated", told, code="key_expired"))
    if key.networks and not _is_within(address, key.networks):
        where = (address or "nowhere known")[:64]
        told = f"This key may not be used from this network: the request came from {where}."
        raise ClientFault(ErrorInfo("forbidden", told, code="network_not_allowed"))


def check_model(key: Key, model: str) -> None:
    """Check that a key may ask for a model by this name.

    Raises:
        ClientFault: it may not, whether there is such a model or not.
    """
    if not may_ask(key, model):
        told = f"This key may not use the model {model[:200]!r}; the list of models has those that it may."
        raise ClientFault(ErrorInfo("forbidden", told, code="model_not_allowed"))


def may_ask(key: Key, model: str) -> bool:
    """Whether a key may ask for a model by this name."""
    return "*" in key.models or any(fnmatchcase(model, glob) for glob in key.models)


def may_reach(key: Key, asked: str, target: str) -> bool:
    """Whether a key that may ask for a model by this name may be served by another model, for which the name stands.

    It may if it was given the name letter for letter. A pattern that happens to match it gives no model away that the
    key could not ask for by that model's own name.
    """
    return asked in key.models or may_ask(key, target)


def read_address(text: str) -> Address:
    """Return an address. One of IPv4 that is written as one of IPv6 (`::ffff:10.0.0.1`) is one of IPv4.

    Raises:
        ValueError: it is none.
    """
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


@functools.lru_cache(1024)
def read_network(text: str) -> Network:
    """Return a network in CIDR notation, or that of a single address.

    Raises:
        ValueError: it is none.
    """
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return network if mapped is None else ipaddress.ip_network((mapped, max(0, network.prefixlen - 96)))


def _is_within(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        known = read_address(address or "")
    except ValueError:
        return False
    return any(known in read_network(network) for network in networks)
