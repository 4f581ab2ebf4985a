"""A result that is not there yet. It has the words of `asyncio.Future`, and differs from it in two ways.

Whoever waits for one cannot cancel it: a job of the store is done, whatever becomes of those who asked for it. And it
calls back at once. A future calls back through the event loop, which costs more than most callbacks do; between a
commit and the request that waits for it there are several, and every request waits twice.
"""

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Pending(Generic[Result]):
    """State: the result, once it is there, or why there is none. It belongs to the thread of an event loop."""

    __slots__ = ("_callbacks", "_done", "_error", "_result")

    def __init__(self) -> None:
        self._done = False
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Pending[Result]], object]] = []

    def done(self) -> bool:
        """Whether it is known what has become of it."""
        return self._done

    def result(self) -> Result:
        """Return the result, or raise why there is none. It must be done."""
        if self._error is not None:
            raise self._error
        return self._result

    def exception(self) -> Exception | None:
        """Return why there is no result; None if there is one. It must be done."""
        return self._error

    def add_done_callback(self, callback: Callable[["Pending[Result]"], object]) -> None:
        """Call back when it is done; if it is already, at once."""
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def set_result(self, result: Result) -> None:
        """Give the result."""
        self._result = result
        self._call_back()

    def set_exception(self, error: Exception) -> None:
        """Say why there is none."""
        self._error = error
        self._call_back()

    def _call_back(self) -> None:
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception as error:
                told = {"message": "a callback of the store failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)

    def __await__(self) -> Generator[Any, None, Result]:
        """Wait for the result, and return it."""
        if not self._done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(partial(wake, waiter))
            yield from waiter
        return self.result()


def wake(waiter: asyncio.Future[None], _: object = None) -> None:
    """Let whoever waits for a future of his own go on, if he still waits."""
    if not waiter.done():
        waiter.set_result(None)
