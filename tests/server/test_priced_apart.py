"""What has a price of its own costs the same streamed or not, in the books and in the header."""

import json
from typing import Any

import pytest

from penstock.accounts.prices import Price
from tests.protocols.test_priced_apart import EXPECTED, STREAMS, WHOLE
from tests.server.booking import booking, whole_call
from tests.server.reading import read
from tests.serving import CALLS, stream, whole

pytestmark = pytest.mark.anyio

RATES = {"uncached": 1_000_000, "output": 5_000_000, "output_audio": 20_000_000, "input_audio": 10_000_000}
SERVED = {tier: Price(**RATES, web_search=10_000_000_000, version="test") for tier in ("flex", "priority", "batch")}
DEAR = Price(**RATES, web_search=10_000_000_000, served=SERVED, version="test")
PARTS = ("input_audio", "cached_audio", "output_audio", "output_image", "web_searches", "service_tier")


async def booked(upstream: str, client: str, streamed: bool, price: Price) -> tuple[dict[str, Any], str | None]:
    """Return what stands in the books of a call, and what its header says of its cost."""
    answer = stream(STREAMS[upstream]) if streamed else whole(json.dumps(WHOLE[upstream]).encode())
    async with booking(answer, protocol=upstream, price=price) as desk:
        got = await read(desk.gateway.post(*(CALLS[client] if streamed else whole_call(client))))
        assert got.status == 200
        return desk.books.one("attempts"), got.headers.get("x-penstock-cost")


@pytest.mark.promise("3.6")
@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
@pytest.mark.parametrize("upstream", EXPECTED)
async def test_the_same_is_in_the_books_streamed_or_not(upstream: str, client: str) -> None:
    streamed, _ = await booked(upstream, client, True, DEAR)
    unstreamed, _ = await booked(upstream, client, False, DEAR)

    said = EXPECTED[upstream]
    assert {name: streamed[name] for name in PARTS} == {name: getattr(said, name) for name in PARTS}
    for row in (streamed, unstreamed):
        assert (row["cost"], row["unpriced"]) == (DEAR.cost(said), None)
    assert {name: unstreamed[name] for name in PARTS} == {name: streamed[name] for name in PARTS}


async def test_what_has_no_known_price_is_named_and_no_cost_is_told_that_is_too_low() -> None:
    row, told = await booked("anthropic", "anthropic", False, Price(**RATES, version="test"))

    assert row["unpriced"] == "service_tier,web_searches"
    assert row["cost"] == 9 * 1000 + 2 * 5000
    assert told is None


async def test_the_tier_that_was_asked_for_counts_where_its_provider_says_none() -> None:
    path, body = whole_call("openai-chat")
    answer = {name: value for name, value in WHOLE["openai-chat"].items() if name != "service_tier"}
    async with booking(whole(json.dumps(answer).encode()), protocol="openai-chat", price=DEAR) as desk:
        await read(desk.gateway.post(path, body | {"service_tier": "flex"}))
        row = desk.books.one("attempts")
    assert (row["service_tier"], row["unpriced"]) == ("flex", None)
