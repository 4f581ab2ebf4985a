"""A second target is asked where the first is slower to begin than usual, and the quicker one answers."""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Budget, Key, StaticKey
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.routing.latency import ENOUGH, Latency
from penstock.routing.retries import FLOOR
from penstock.simulator.texts import ENGLISH_POEM
from penstock.upstreams.settings import AliasSettings, ProviderSettings
from tests.sdk.running import model
from tests.server.booking import FREE, PRICE, Books
from tests.server.reading import read
from tests.serving import CALLS, KEY, Gateway, new_database, running

pytestmark = pytest.mark.anyio

USUAL = 0.05
"""Seconds within which the first target usually begins."""


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Latency, "p95", lambda *_: USUAL)


class Desk:
    """A gateway whose model `lab/m` is hedged, and its books."""

    def __init__(self, gateway: Gateway, books: Books) -> None:
        self.gateway = gateway
        self.books = books

    async def asked(self, **headers: str) -> Any:
        return await read(self.gateway.post(*CALLS["openai-chat"], **headers))

    async def ends(self) -> list[tuple[str, str, str]]:
        """Return who was asked, how that ended, and what became of it, when all is over."""
        async with asyncio.timeout(5):
            while any(one["state"] == "open" for one in self.books.all("attempts")) or not self.books.all("requests"):
                await asyncio.sleep(0.01)
        return [(one["provider"], one["end"], one["state"]) for one in self.books.all("attempts")]


@contextlib.asynccontextmanager
async def desk(
    *targets: str, key: Key = FREE, hedge: bool = True, bills_aborted: bool | None = None
) -> AsyncIterator[Desk]:
    names = {target.partition("/")[0] for target in targets}
    config = Config(
        server=ServerSettings(port=0),
        providers={name: ProviderSettings(bills_aborted=bills_aborted) for name in names},
        models={"lab/m": AliasSettings(targets=targets, hedge=hedge)},
        prices=tuple((f"{name}/*", PRICE) for name in names),
    )
    keys = KeyDirectory(secrets.token_bytes(32), [StaticKey(key.name, Secret(KEY), key)])
    with tempfile.TemporaryDirectory() as directory:
        path = new_database(Path(directory))
        async with (
            running(config, keys, database=path) as service,
            aiohttp.ClientSession(service.address) as session,
        ):
            yield Desk(Gateway(service.address, session), Books(path))


def first(**settings: object) -> str:
    return model("demo", "poet", **settings)


def second(**settings: object) -> str:
    return model("demo-anthropic", "poet", **settings)


async def test_another_answers_where_the_first_is_slow() -> None:
    async with desk(first(ttft=5), second()) as at:
        got = await at.asked()
        assert b"[DONE]" in got.body
        assert got.headers["x-penstock-upstream"].startswith("demo-anthropic/")
        assert (got.headers["x-penstock-attempts"], got.headers["x-penstock-hedged"]) == ("2", "true")
        assert await at.ends() == [("demo", "hedged", "retried"), ("demo-anthropic", "completed", "settled")]


async def test_the_client_pays_for_the_answer_alone() -> None:
    async with desk(first(ttft=5), second()) as at:
        await at.asked()
        await at.ends()
        loser, winner = at.books.all("attempts")
        request = at.books.one("requests")
        assert loser["cost"] == loser["borne"] == loser["uncached"] * 1000 > 0
        assert (loser["usage_source"], loser["output"]) == ("estimate", 0)
        assert request["cost"] == winner["cost"] > 0
        assert request["attempts"] == 2


async def test_the_first_answers_if_it_is_quicker_all_the_same() -> None:
    async with desk(first(ttft=0.3), second(ttft=5)) as at:
        got = await at.asked()
        assert got.headers["x-penstock-upstream"].startswith("demo/")
        assert await at.ends() == [("demo", "completed", "settled"), ("demo-anthropic", "hedged", "retried")]
        winner, loser = at.books.all("attempts")
        request = at.books.one("requests")
        assert (request["cost"], request["attempts"]) == (winner["cost"], 2)
        assert request["uncached"] == winner["uncached"] + loser["uncached"]


async def test_who_begins_in_time_is_alone() -> None:
    async with desk(first(), second()) as at:
        got = await at.asked()
        assert "x-penstock-hedged" not in got.headers
        assert await at.ends() == [("demo", "completed", "settled")]


async def test_a_second_that_fails_harms_nobody() -> None:
    async with desk(first(ttft=0.3), second(fault="error-before")) as at:
        got = await at.asked()
        assert b"[DONE]" in got.body
        assert await at.ends() == [("demo", "completed", "settled"), ("demo-anthropic", "failed", "retried")]


async def test_a_first_that_fails_meanwhile_harms_nobody() -> None:
    async with desk(first(ttft=0.3, fault="error-before"), second(ttft=0.6)) as at:
        got = await at.asked()
        assert b"[DONE]" in got.body
        assert await at.ends() == [("demo", "failed", "retried"), ("demo-anthropic", "completed", "settled")]


async def test_if_both_fail_the_next_is_asked() -> None:
    both = {"ttft": 0.2, "fault": "error-before"}
    async with desk(first(**both), second(**both), model("demo-gemini", "poet")) as at:
        got = await at.asked()
        assert b"[DONE]" in got.body
        ends = await at.ends()
        assert sorted(ends) == [
            ("demo", "failed", "retried"),
            ("demo-anthropic", "failed", "retried"),
            ("demo-gemini", "completed", "settled"),
        ]
        assert at.books.one("requests")["attempts"] == 3


async def test_who_leaves_meanwhile_leaves_nothing_open() -> None:
    async with desk(first(ttft=30), second(ttft=30)) as at:
        asking = asyncio.create_task(at.asked())
        while len(at.books.all("attempts")) < 2:
            await asyncio.sleep(0.02)
        asking.cancel()
        assert await at.ends() == [("demo", "client_gone", "settled"), ("demo-anthropic", "client_gone", "retried")]


async def test_a_loser_that_is_billed_anyway_is_read_to_its_end() -> None:
    async with desk(first(ttft=0.4), second(), bills_aborted=True) as at:
        await at.asked()
        assert await at.ends() == [("demo", "hedged", "retried"), ("demo-anthropic", "completed", "settled")]
        loser, _ = at.books.all("attempts")
        assert (loser["usage_source"], loser["output"]) == ("provider", -(-len(ENGLISH_POEM.encode()) // 4))
        assert loser["borne"] == loser["cost"]


@pytest.mark.parametrize("targets", [(first(ttft=0.2),), (first(ttft=0.2), second())])
async def test_nobody_else_is_asked_where_there_is_nobody_or_that_is_not_wanted(targets: tuple[str, ...]) -> None:
    async with desk(*targets, hedge=len(targets) == 1) as at:
        await at.asked()
        assert await at.ends() == [("demo", "completed", "settled")]


async def test_nobody_else_is_asked_before_it_is_known_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    async with desk(first(ttft=0.2), second()) as at:
        await at.asked()
        assert len(await at.ends()) == 1 < ENOUGH


@pytest.mark.promise("4.13")
async def test_the_budget_of_retries_bounds_it() -> None:
    async with desk(first(ttft=0.2), second(ttft=2)) as at:
        await asyncio.gather(*[at.asked() for _ in range(9)])
        ends = await at.ends()
        assert len(ends) == 9 + FLOOR


async def test_a_budget_holds_for_both_and_if_it_cannot_the_first_goes_on() -> None:
    enough = Budget(1_000_000_000, "usd", "total")
    async with desk(first(ttft=0.2), second(ttft=2), key=Key("k1", "test", budget=enough)) as at:
        await at.asked()
        assert len(await at.ends()) == 2
        budget, request = at.books.one("budgets"), at.books.one("requests")
        assert (budget["spent"], budget["held"]) == (request["cost"], 0)
    one_only = Budget(15_000_000, "usd", "total")
    async with desk(first(ttft=0.2), second(ttft=2), key=Key("k1", "test", budget=one_only)) as at:
        got = await at.asked()
        assert b"[DONE]" in got.body
        assert await at.ends() == [("demo", "completed", "settled")]
        assert at.books.one("budgets")["held"] == 0


async def test_answers_in_the_background_are_hedged_too() -> None:
    async with (
        desk(first(ttft=5), second()) as at,
        openai.AsyncOpenAI(base_url=f"{at.gateway.address}/v1", api_key=KEY, max_retries=0) as client,
    ):
        response = await client.responses.create(model="lab/m", input="a poem", background=True, stream=True)
        events = [event async for event in response]
        assert events[-1].type == "response.completed"
        assert await at.ends() == [("demo", "hedged", "retried"), ("demo-anthropic", "completed", "settled")]
