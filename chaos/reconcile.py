"""The gateway's books compared with what its provider knows."""

from typing import Any

from msgspec import Struct

from chaos.lab import INPUT, OUTPUT, Ask, Heard
from penstock.core.usage import estimate_tokens

CHECKPOINT = 64
"""Tokens by which an answer may be counted too low that nobody settled, if it is not what a second brought."""


class Tally(Struct):
    """What was found in all.

    Attributes:
        calls: that the provider served.
        exact: of these, those that are in the books with the provider's own count.
        checkpoints: those that a crash left open, settled from what was noted.
        estimates: those whose usage was not said, or not heard.
        missing: those that are not in the books.
        twice: those that are there more than once.
        different: those whose usage is not the provider's although it was read.
        too_low: most tokens by which one without the provider's count is below what was sent.
        failures: what is wrong, a line each.
    """

    calls: int = 0
    exact: int = 0
    checkpoints: int = 0
    estimates: int = 0
    missing: int = 0
    twice: int = 0
    different: int = 0
    too_low: int = 0
    failures: list[str] = []

    def compare(
        self, ask: Ask, heard: Heard, truth: dict[str, Any] | None, attempts: list[dict[str, Any]], requests: int
    ) -> None:
        """Compare one call: what the client heard, the provider knows, and the books have."""
        self.calls += truth is not None
        attempts = sorted(attempts, key=lambda row: row.get("number", 1))
        repeated = all((row["state"], row["end"]) == ("retried", "failed") for row in attempts[:-1])
        if not repeated or requests > 1:
            self.twice += 1
            self._broken(ask, f"{len(attempts)} attempts and {requests} requests in the books")
        elif truth is not None and not (attempts and requests):
            self.missing += 1
            self._broken(ask, f"{len(attempts)} attempts and {requests} requests in the books, but it was served")
        elif attempts:
            self._compare(ask, heard, truth, attempts[-1])
        if truth is None and heard.ended:
            self._broken(ask, "the client was told an end, but no provider served it")

    def _compare(self, ask: Ask, heard: Heard, truth: dict[str, Any] | None, row: dict[str, Any]) -> None:
        if row["state"] != "settled":
            self._broken(ask, f"it is {row['state']}")
        if heard.ended and row["end"] != "completed":
            self._broken(ask, f"the client was told that it ended well, the books say {row['end']}")
        if heard.ended and truth is not None and truth["counted"] and row["usage_source"] != "provider":
            self._broken(ask, f"the client had its end, the books have a {row['usage_source']}")
        if row["cost"] != (row["uncached"] or 0) * INPUT + (row["output"] or 0) * OUTPUT:
            self._broken(ask, f"{row['cost']} for {row['uncached']} and {row['output']} tokens")
        if row["usage_source"] == "provider":
            self._compare_count(ask, truth, row)
        else:
            self._compare_estimate(ask, truth, row)

    def _compare_count(self, ask: Ask, truth: dict[str, Any] | None, row: dict[str, Any]) -> None:
        self.exact += 1
        usage = truth["usage"] if truth is not None and truth["counted"] else {}
        if (row["uncached"], row["output"]) != (usage.get("uncached"), usage.get("output")):
            self.different += 1
            self._broken(ask, f"{row['uncached']} and {row['output']} tokens in the books, the provider said {usage}")

    def _compare_estimate(self, ask: Ask, truth: dict[str, Any] | None, row: dict[str, Any]) -> None:
        if row["end"] == "crashed":
            self.checkpoints += 1
            if row["usage_source"] != "checkpoint":
                self._broken(ask, f"crashed, but its usage is a {row['usage_source']}")
        else:
            self.estimates += 1
        sent = 0 if truth is None else estimate_tokens(truth["output_bytes"])
        if (row["output"] or 0) > sent:
            self._broken(ask, f"{row['output']} tokens of output in the books, {sent} were sent")
        too_low = sent - (row["output"] or 0)
        self.too_low = max(self.too_low, too_low)
        if truth is not None and too_low > max(CHECKPOINT, _sent_in_a_second(ask, sent, truth)):
            self._broken(ask, f"{row['output']} tokens of output in the books, {sent} were sent")

    def _broken(self, ask: Ask, what: str) -> None:
        self.failures.append(f"{ask.model} for {ask.protocol}: {what}")


def _sent_in_a_second(ask: Ask, sent: int, truth: dict[str, Any]) -> float:
    seconds = truth["at"] - truth["came"] if ask.stream else 1.0
    return sent / max(1.0, seconds)
