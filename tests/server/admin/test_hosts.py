"""No page of another site gets at the admin API, by whatever name it makes a browser call it."""

from pathlib import Path

import pytest

from penstock.core.errors import ClientFault
from penstock.server.admin.hosts import check_names
from tests.server.admin.administering import BASE, TOKEN, Admin, administering

pytestmark = [pytest.mark.anyio, pytest.mark.promise("5.5")]

GOOD = ["127.0.0.1:8081", "127.0.0.1", "[::1]:8081", "localhost:8081", "LOCALHOST", "admin.localhost", "10.1.2.3:9"]
BAD = [
    *("evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost"),
    *("", ":8081", "127.0.0.1@evil.example", "evil.example#127.0.0.1", "[::1].evil.example", "127.1", "0x7f000001"),
    *("127.0.0.1:80:80", "localhost.", "ｌocalhost", "%6cocalhost", "penstock.internal.evil.example"),
]


@pytest.mark.parametrize("host", [*GOOD, "penstock.internal:8081"])
def test_addresses_localhost_and_configured_names_are_right(host: str) -> None:
    check_names({"host": host}, frozenset({"penstock.internal"}))


@pytest.mark.parametrize("host", BAD)
def test_any_other_name_is_refused(host: str) -> None:
    with pytest.raises(ClientFault, match=r"\[admin\] hosts"):
        check_names({"host": host}, frozenset({"penstock.internal"}))


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "https://127.0.0.1", "http://127.0.0.1:1", "file://", "127.0.0.1:8081"],
)
def test_a_page_of_another_site_is_refused(origin: str) -> None:
    with pytest.raises(ClientFault, match="other sites"):
        check_names({"host": "127.0.0.1:8081", "origin": origin}, frozenset())


def test_its_own_pages_are_not() -> None:
    check_names({"host": "127.0.0.1:8081", "origin": "http://127.0.0.1:8081"}, frozenset())


@pytest.mark.parametrize("path", ["/metrics", f"{BASE}/status", "/none"])
async def test_another_name_is_told_nothing_even_where_no_token_is_asked_for(tmp_path: Path, path: str) -> None:
    async with administering(tmp_path, open_metrics=True) as admin:
        headers = {"host": "evil.example:8081", "authorization": f"Bearer {TOKEN}"}
        async with admin.session.get(path, headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST", "DELETE"])
async def test_no_answer_has_a_cors_header(admin: Admin, method: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
        async with admin.session.request(method, f"{BASE}/status", headers=asked | origin) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
            assert "set-cookie" not in answer.headers
