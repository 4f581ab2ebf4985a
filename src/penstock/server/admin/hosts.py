"""By which names the admin API may be called.

A page of another site can have a name of its own point to this machine, and then its browser takes what is said here
for the page's own ("DNS rebinding"). So names must be configured; addresses, and `localhost`, are what they say.
"""

import ipaddress
import re
from collections.abc import Mapping

from penstock.core.errors import ClientFault, ErrorInfo

_HOST = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::[0-9]*)?")


def check_names(headers: Mapping[str, str], allowed: frozenset[str]) -> None:
    """Look at the names in a request's headers.

    Raises:
        ClientFault: it was sent to a name that is not `allowed` (in lower case), or by a page of another site.
    """
    host = headers.get("host", "").lower()
    name = _without_port(host)
    if not (name in allowed or name == "localhost" or name.endswith(".localhost") or _is_address(name)):
        told = "The admin API is not called by this name here; add it to [admin] hosts."
        raise ClientFault(ErrorInfo("forbidden", told, code="host_not_allowed"))
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host:
        raise ClientFault(ErrorInfo("forbidden", "Pages of other sites are not let in.", code="origin_not_allowed"))


def _without_port(host: str) -> str:
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
