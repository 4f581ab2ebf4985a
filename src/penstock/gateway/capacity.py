"""How many calls are served at once: one more than can be served well would make all of them slow."""

from penstock.core.errors import ErrorInfo, Fault

PAUSE = 1.0
"""Seconds after which who is turned away may come again."""


class Capacity:
    """State: calls under way. `taken` is how many."""

    def __init__(self, most: int) -> None:
        """Let no more than `most` calls be under way."""
        self.taken = 0
        self._most = most

    def enter(self) -> None:
        """Take note of a call.

        Raises:
            Fault: there are as many as there may be (`overloaded`).
        """
        if self.taken >= self._most:
            told = f"The gateway serves {self._most} calls at once, and no more now; try again soon."
            raise Fault(ErrorInfo("overloaded", told, code="at_capacity", retry_after=PAUSE))
        self.taken += 1

    def leave(self) -> None:
        """Take note that a call is over."""
        self.taken -= 1
