"""Every request of the admin API comes through `AdminEndpoints.handle`: check the token, find the route, answer.

Nothing is told to whoever has no token, not even which paths there are.
"""

import secrets
from typing import Any

import msgspec
import structlog

from penstock.accounts.admin_tokens import AdminTokens
from penstock.core.errors import ClientFault, ConfigError, ErrorInfo, Fault
from penstock.server.admin.desk import Desk
from penstock.server.admin.errors import NO_STORE, refused
from penstock.server.admin.hosts import check_names
from penstock.server.admin.reading import read_body, read_query
from penstock.server.admin.route import Asked, Route
from penstock.server.admin.routes import METRICS, match
from penstock.server.admin.shapes import Nothing
from penstock.server.http import Request, Response
from penstock.server.paths import shown
from penstock.store.errors import StoreUnavailableError

_log = structlog.get_logger("penstock.admin")


class AdminEndpoints:
    """The HTTP side of the admin API.

    Args:
        desk: what it works on.
        tokens: know the admin token.
        open_metrics: whether metrics are told without one.
        hosts: names by which it may be called, in lower case, besides `localhost` and addresses.
    """

    def __init__(
        self, desk: Desk, tokens: AdminTokens, *, open_metrics: bool, hosts: frozenset[str] = frozenset()
    ) -> None:
        self._desk = desk
        self._tokens = tokens
        self._hosts = hosts
        self._open = {METRICS} if open_metrics else set[str]()

    async def handle(self, request: Request) -> Response | None:
        """Answer one request. Raises nothing but cancellation."""
        request_id = f"adm_{secrets.token_hex(12)}"
        headers = {"x-request-id": request_id}
        try:
            answer = await self._answer(request)
        except Fault as fault:
            if fault.info.kind == "method_not_allowed":
                headers["Allow"] = ", ".join(_methods(match(request.raw_path)[0]))
            answer = refused(fault, headers)
        except StoreUnavailableError:
            told = ErrorInfo("overloaded", "The database cannot be reached.", retry_after=1.0)
            answer = refused(Fault(told), headers)
        except Exception:
            _log.exception("defect", request_id=request_id)
            told = ErrorInfo("internal", f"The gateway failed; its log has the cause under {request_id}.")
            answer = refused(Fault(told), headers)
        else:
            answer = msgspec.structs.replace(answer, headers=NO_STORE | headers)
        _log.info(
            "administered",
            request_id=request_id,
            method=request.method,
            path=shown(request.raw_path),
            status=answer.status,
        )
        return answer

    async def _answer(self, request: Request) -> Response:
        if request.fault is not None:
            raise request.fault
        check_names(request.headers, self._hosts)
        if request.raw_path not in self._open:
            await self._check_token(request.headers.get("authorization", ""))
        offered, which = match(request.raw_path)
        if not offered or not which.isprintable():
            raise ClientFault(ErrorInfo("not_found", f"There is nothing at {request.raw_path[:200]}."))
        route = offered.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = " or ".join(_methods(offered))
            raise ClientFault(ErrorInfo("method_not_allowed", f"{request.method} is not allowed here; use {allowed}."))
        answer = await route.handler(self._desk, await _asked(request, route, which))
        return answer if isinstance(answer, Response) else Response(msgspec.json.encode(answer), route.status)

    async def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthenticated("Send the admin token as `Authorization: Bearer <token>`.")
        try:
            known = await self._tokens.recognise(token.strip())
        except ConfigError as error:
            _log.warning("admin_token_unreadable", says=str(error))
            raise _unauthenticated("The admin token cannot be checked; the gateway's log says why.") from None
        if not known:
            raise _unauthenticated("This is not the admin token; `penstock admin token` makes a new one.")


async def _asked(request: Request, route: Route[Any, Any], which: str) -> Asked[Any, Any]:
    query = read_query(request.query, route.query)
    body = Nothing() if route.body is None else await read_body(request, route.body)
    return Asked(which, query, body, request.headers.get("accept", ""))


def _methods(offered: dict[str, Route[Any, Any]]) -> list[str]:
    return [*offered, *(["HEAD"] if "GET" in offered else [])]


def _unauthenticated(message: str) -> ClientFault:
    return ClientFault(ErrorInfo("unauthenticated", message, code="invalid_admin_token"))
