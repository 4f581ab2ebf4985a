"""What a key may do, as people write it: in the config, on the command line, in the admin API.

    terms = Terms(models=("demo/*",), budget=BudgetTerms(usd="10.50", per="month"), expires="2026-12-31")
    key = terms.applied_to(key)

What is not said stays as it is, so the same form makes a key and changes one.
"""

import datetime
import re
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.accounts import moments
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.policy import read_network
from penstock.core.errors import ClientFault, bad_request
from penstock.core.money import format_dollars, parse_dollars

MAX_LIMIT = 10**15
"""Of requests, tokens and streams: more is a mistake."""

MAX_ITEMS = 1000
"""Of models, networks and labels."""

_Items = TypeVar("_Items", tuple[str, ...], dict[str, str])

_LIMITS = ("requests_per_minute", "tokens_per_minute", "streams")


class BudgetTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """Either dollars, as decimal text, or tokens; and the time that they are for, by UTC."""

    per: Literal["day", "month", "total"]
    usd: str | int | None = None
    tokens: int | None = None


class Terms(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said about a key. None takes a limit, the budget or the end away.

    Attributes:
        models: globs of model names; at least one.
        requests_per_minute: requests begun.
        tokens_per_minute: tokens of requests and answers together.
        streams: requests under way at once.
        budget: how much in all.
        expires: a date (`2026-12-31`: from its beginning, by UTC), or a date and time, of UTC if it does not say.
        networks: in CIDR notation; none means anywhere.
        labels: texts by name; they replace all that there were.
    """

    models: tuple[str, ...] | UnsetType = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    tokens_per_minute: int | UnsetType | None = UNSET
    streams: int | UnsetType | None = UNSET
    budget: BudgetTerms | UnsetType | None = UNSET
    expires: str | UnsetType | None = UNSET
    networks: tuple[str, ...] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET

    def applied_to(self, key: Key) -> Key:
        """Return a key with these terms.

        Raises:
            ClientFault: one of them makes no sense. The message begins with its path.
        """
        said: dict[str, Any] = {}
        if self.models is not UNSET:
            said["models"] = _models(self.models)
        if self.budget is not UNSET:
            said["budget"] = None if self.budget is None else _budget(self.budget)
        if self.expires is not UNSET:
            said["expires"] = None if self.expires is None else _moment(self.expires)
        if self.networks is not UNSET:
            said["networks"] = _networks(self.networks)
        if self.labels is not UNSET:
            said["labels"] = _labels(self.labels)
        limits = {name: getattr(self, name) for name in _LIMITS if getattr(self, name) is not UNSET}
        said["limits"] = _limits(key.limits, limits)
        return msgspec.structs.replace(key, **said)


def written_budget(budget: Budget | None) -> dict[str, Any] | None:
    """Return a budget as people write it."""
    if budget is None:
        return None
    amount = format_dollars(budget.limit) if budget.unit == "usd" else budget.limit
    return {budget.unit: amount, "per": budget.period}


def written_moment(moment: int | None) -> str | None:
    """Return a Unix time in seconds as people write it."""
    return None if moment is None else moments.written(moment)


def _models(globs: tuple[str, ...]) -> tuple[str, ...]:
    if not globs:
        raise _mistake("models", 'at least one is needed; ["*"] allows all')
    for index, glob in enumerate(_few("models", globs)):
        if not re.fullmatch(r"[!-~]{1,512}", glob):
            raise _mistake(f"models[{index}]", f"{glob!r} is not a model name or a glob of them")
    return globs


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for index, network in enumerate(_few("networks", networks)):
        try:
            read_network(network)
        except ValueError as error:
            raise _mistake(f"networks[{index}]", f"{error}; write it as 10.0.0.0/8") from None
    return networks


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for name, text in _few("labels", labels).items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise _mistake("labels", f"{name[:100]!r} is not a name of letters, digits, dots, dashes and underscores")
        if len(text) > 256 or not text.isprintable():
            raise _mistake(f"labels.{name}", "at most 256 printable characters")
    return labels


def _few(path: str, items: _Items) -> _Items:
    if len(items) > MAX_ITEMS:
        raise _mistake(path, f"at most {MAX_ITEMS}")
    return items


def _limits(limits: Limits, said: dict[str, int | None]) -> Limits:
    for name, limit in said.items():
        if limit is not None and not 1 <= limit <= MAX_LIMIT:
            raise _mistake(name, f"expected a number from 1 on; got {limit}")
    return msgspec.structs.replace(limits, **said)


def _budget(terms: BudgetTerms) -> Budget:
    if (terms.usd is None) == (terms.tokens is None):
        raise _mistake("budget", "either usd or tokens is needed")
    if terms.tokens is not None:
        if not 0 <= terms.tokens <= MAX_LIMIT:
            raise _mistake("budget.tokens", f"expected a number from 0 on; got {terms.tokens}")
        return Budget(terms.tokens, "tokens", terms.per)
    try:
        return Budget(parse_dollars(terms.usd or 0), "usd", terms.per)
    except ValueError as error:
        raise _mistake("budget.usd", str(error)) from None


def _moment(written: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(written)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        # By UTC it may be in the year 10000 or in none, and then nobody could write it down.
        return int(moment.astimezone(datetime.UTC).timestamp())
    except (ValueError, OverflowError):
        told = f"{written!r} is not a date such as 2026-12-31 or 2026-12-31T18:00:00Z"
        raise _mistake("expires", told) from None


def _mistake(path: str, told: str) -> ClientFault:
    return bad_request(f"{path}: {told}", path)
