"""Who comes in: the key of a request, checked together with where the request comes from."""

import time

from penstock.accounts.credentials import extract
from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Key
from penstock.accounts.policy import check_key, read_address, read_network
from penstock.server.http import Request


class Door:
    """Checks keys.

    Args:
        keys: those that are accepted.
        trusted_proxies: networks of proxies whose X-Forwarded-For is believed.
    """

    def __init__(self, keys: KeyDirectory, trusted_proxies: tuple[str, ...] = ()) -> None:
        self._keys = keys
        self._trusted_proxies = trusted_proxies

    def admit(self, request: Request) -> Key:
        """Return the key of a request.

        Raises:
            ClientFault: it carries none, or one that may not be used, or not from there.
            Fault: nobody knows at the moment.
        """
        key = self._keys.authenticate(extract(request.headers, request.query))
        if key.networks or key.expires is not None:
            told = request.headers.get("x-forwarded-for", "")
            check_key(key, client_address(request.connection.peer, told, self._trusted_proxies), time.time())
        return key


def client_address(peer: str | None, forwarded_for: str, trusted: tuple[str, ...]) -> str | None:
    """Return the address of the client.

    That is whoever the connection is with, unless that is a trusted proxy. Proxies add at the end of X-Forwarded-For
    who asked them, and whatever stands before may be invented: the last one that is no trusted proxy is the client.

    Args:
        peer: whoever the connection is with; None if that is not known.
        forwarded_for: X-Forwarded-For, whose values are joined by commas.
        trusted: networks of proxies.
    """
    asking = peer
    told = [part.strip() for part in forwarded_for.split(",") if part.strip()]
    while told and asking is not None and _is_trusted(asking, trusted):
        asking = told.pop()
    return asking


def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    try:
        known = read_address(address)
    except ValueError:
        return False
    return any(known in read_network(network) for network in trusted)
