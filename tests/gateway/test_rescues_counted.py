"""What a gateway does so that an answer comes all the same is counted: asked by an SDK, read as Prometheus does."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.routing.latency import Latency
from penstock.server.metrics import Metrics
from penstock.upstreams.settings import AliasSettings, ProviderSettings
from tests.sdk.running import model
from tests.server.booking import FREE
from tests.serving import KEY, running

pytestmark = pytest.mark.anyio

USUAL = 0.05
"""Seconds within which the first target usually begins."""


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Latency, "p95", lambda *_: USUAL)


def first(**settings: object) -> str:
    return model("demo", "poet", **settings)


def second(**settings: object) -> str:
    return model("demo-anthropic", "poet", **settings)


class Counting:
    """A gateway, a client with the SDK of OpenAI, and what the gateway has counted."""

    def __init__(self, client: openai.AsyncOpenAI, metrics: Metrics) -> None:
        self._client = client
        self._metrics = metrics

    async def asked(self) -> bool:
        """Ask for a stream; return whether it came to its end."""
        try:
            stream = await self._client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "a poem, please"}], stream=True
            )
            return [chunk async for chunk in stream if chunk.choices][-1].choices[0].finish_reason == "stop"
        except openai.APIError:
            return False

    def counted(self) -> dict[str, float]:
        """Return what was counted of rescues: what happened, and to whom."""
        body, _ = self._metrics.exposition()
        return {
            f"{family.name} {labels.get('outcome') or labels['purpose']} {labels['provider']}": sample.value
            for family in text_string_to_metric_families(body.decode())
            if family.name in {"penstock_further_attempts", "penstock_hedges", "penstock_continuations"}
            for sample in family.samples
            for labels in [sample.labels]
        }


@contextlib.asynccontextmanager
async def counting(*targets: str, **alias: Any) -> AsyncIterator[Counting]:
    """Run a gateway whose model `m` has some targets."""
    names = {target.partition("/")[0] for target in targets}
    config = Config(
        server=ServerSettings(port=0),
        providers={name: ProviderSettings() for name in names},
        models={"m": AliasSettings(targets=targets, **alias)},
    )
    keys = KeyDirectory(secrets.token_bytes(32), [StaticKey(FREE.name, Secret(KEY), FREE)])
    async with (
        running(config, keys) as service,
        openai.AsyncOpenAI(base_url=f"{service.address}/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield Counting(client, service.metrics)


async def test_a_request_that_needs_no_rescue_counts_none() -> None:
    async with counting(first(), second(), hedge=True, continue_="any") as at:
        assert await at.asked()
        assert at.counted() == {}


async def test_another_target_is_a_failover() -> None:
    async with counting(first(fault="error-before"), second()) as at:
        assert await at.asked()
        assert at.counted() == {"penstock_further_attempts failover demo-anthropic": 1}


async def test_the_same_target_again_is_a_retry() -> None:
    async with counting(first(fault="error-before")) as at:
        assert not await at.asked()
        assert at.counted() == {"penstock_further_attempts retry demo": 2}


async def test_a_hedge_that_answers_has_won() -> None:
    async with counting(first(ttft=5), second(), hedge=True) as at:
        assert await at.asked()
        assert at.counted() == {"penstock_further_attempts hedge demo-anthropic": 1, "penstock_hedges won demo": 1}


async def test_a_hedge_that_was_not_needed_after_all_has_lost() -> None:
    async with counting(first(ttft=0.3), second(ttft=5), hedge=True) as at:
        assert await at.asked()
        assert at.counted() == {"penstock_further_attempts hedge demo-anthropic": 1, "penstock_hedges lost demo": 1}


async def test_if_neither_of_two_answers_none_has_won() -> None:
    both = {"ttft": 0.2, "fault": "error-before"}
    async with counting(first(**both), second(**both), model("demo-gemini", "poet"), hedge=True) as at:
        assert await at.asked()
        assert at.counted() == {
            "penstock_further_attempts hedge demo-anthropic": 1,
            "penstock_hedges neither demo": 1,
            "penstock_further_attempts failover demo-gemini": 1,
        }


async def test_an_answer_that_goes_on_is_continued() -> None:
    async with counting(first(fault="cut", fault_at=20), second(), continue_="any") as at:
        assert await at.asked()
        assert at.counted() == {
            "penstock_further_attempts continuation demo-anthropic": 1,
            "penstock_continuations continued demo": 1,
        }


async def test_an_answer_that_breaks_off_again_and_with_which_nobody_goes_on_has_failed_to_be_continued() -> None:
    """Whose answer broke off is the last to be asked, goes on, and is cut again; then three calls were made."""
    async with counting(first(fault="cut", fault_at=20), second(fault="error-before"), continue_="any") as at:
        assert not await at.asked()
        assert at.counted() == {
            "penstock_further_attempts continuation demo-anthropic": 2,
            "penstock_further_attempts continuation demo": 1,
            "penstock_continuations continued demo": 1,
            "penstock_continuations failed demo": 1,
        }


async def test_a_break_in_which_nobody_may_be_asked_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.gateway.continuing.MAX_CALLS", 0)
    async with counting(first(fault="cut", fault_at=20), second(), continue_="any") as at:
        assert not await at.asked()
        assert at.counted() == {"penstock_continuations not_tried demo": 1}
