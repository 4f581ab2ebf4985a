"""A result of the store that is not there yet."""

import asyncio
from typing import Any

import pytest

from penstock.store.pending import Pending

pytestmark = pytest.mark.anyio


async def test_whoever_is_to_be_called_back_is_so_at_once_and_in_turn() -> None:
    pending: Pending[int] = Pending()
    heard: list[tuple[str, int]] = []
    pending.add_done_callback(lambda one: heard.append(("first", one.result())))
    pending.add_done_callback(lambda one: heard.append(("second", one.result())))

    pending.set_result(3)

    assert heard == [("first", 3), ("second", 3)]


async def test_whoever_asks_when_it_is_done_is_called_back_at_once() -> None:
    pending: Pending[int] = Pending()
    pending.set_exception(ValueError("no"))
    heard: list[Exception | None] = []

    pending.add_done_callback(lambda one: heard.append(one.exception()))

    assert [str(error) for error in heard] == ["no"]


async def test_several_can_wait_and_one_that_leaves_takes_nothing_along() -> None:
    pending: Pending[int] = Pending()
    waiting = [asyncio.ensure_future(pending) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)

    pending.set_result(3)

    assert await asyncio.gather(waiting[0], waiting[2]) == [3, 3]
    assert pending.result() == 3


async def test_a_callback_that_fails_does_not_keep_the_others_waiting() -> None:
    pending: Pending[int] = Pending()
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    heard: list[int] = []
    pending.add_done_callback(lambda one: 1 // 0)
    pending.add_done_callback(lambda one: heard.append(one.result()))

    pending.set_result(3)
    asyncio.get_running_loop().set_exception_handler(None)

    assert heard == [3]
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]
