"""Which targets of a name may serve a key."""

import msgspec

from penstock.accounts.keys import Key
from penstock.accounts.policy import check_model, may_reach
from penstock.upstreams.catalog import Route


def reachable(route: Route, key: Key) -> Route:
    """Return a route with those of its targets that may serve a key.

    Raises:
        ClientFault: none may.
    """
    allowed = tuple(one for one in route.candidates if one.name == route.model or may_reach(key, route.model, one.name))
    if not allowed:
        check_model(key, route.candidates[0].name)
    return route if len(allowed) == len(route.candidates) else msgspec.structs.replace(route, candidates=allowed)
