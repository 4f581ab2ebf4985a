"""The providers that can be called, and what a public model name means.

A public name is `provider/model`, split at its first slash, or an alias from the config. Any model of a provider can
be asked for, listed or not, unless the provider is closed: new models work on the day they appear.
"""

import difflib
import functools
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo
from penstock.core.secret import Secret
from penstock.protocols.base import ModelFacts, Target
from penstock.routing.plan import Strategy
from penstock.upstreams.settings import AuthStyle, Continues, Relay
from penstock.upstreams.timeouts import TimeLimits, Timeouts, limits

MAX_REMEMBERED = 1024
"""Public names whose meaning is remembered; clients can make up any number of them."""

MAX_NAME = 512
"""Characters of a public name. The longest real ones, paths of a cloud's resources, have a quarter of that."""

# A part of some providers' paths, where these would lead to another resource.
_DOTS = re.compile(r"(?:^|/)\.\.?(?:/|$)")


class Provider(Struct, frozen=True):
    """A provider that can be called.

    Attributes:
        protocol: name of its wire protocol; requests of clients that speak another are translated to it.
        base_url: without a slash at the end.
        headers: what to send besides the credential, names in lower case.
        models: well-known model names; all that exist, if it is `closed`.
        names: what people call a model -> the provider's own name of it, where the two differ.
        facts: facts about models, by a glob of their own names; the first that matches counts.
        relay: what to do where the client speaks the same protocol.
        also: this provider as it is reached in further protocols, by their names.
        offers: what it has beside answers.
        prices: the name of its price list.
        bills_aborted: whether it goes on, and bills, when its client leaves in the middle of an answer.
        timeouts: what is said about time limits, here and for all.
    """

    name: str
    title: str
    protocol: str
    base_url: str
    credential: Secret | None = None
    auth: AuthStyle = "bearer"
    headers: Mapping[str, Secret] = {}
    quirks: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    closed: bool = False
    names: Mapping[str, str] = {}
    facts: tuple[tuple[str, ModelFacts], ...] = ()
    relay: Relay = "passthrough"
    also: Mapping[str, "Provider"] = {}
    offers: frozenset[str] = frozenset()
    prices: str = ""
    bills_aborted: bool = False
    timeouts: Timeouts = Timeouts()

    def speaking(self, protocol: str) -> "Provider":
        """Return this provider as a client of a protocol is best served: in that protocol, if it speaks it."""
        return self.also.get(protocol, self)

    def has(self, model: str) -> bool:
        """Whether a model may be asked for. What follows an `@` is a setting or a version, not part of the name."""
        return not self.closed or model.partition("@")[0] in self.models

    def facts_of(self, model: str) -> ModelFacts:
        """Return what is known about one of its models."""
        return next((facts for glob, facts in self.facts if fnmatchcase(model, glob)), ModelFacts())


class Candidate(Struct, frozen=True):
    """One of the models that can serve a public name.

    Attributes:
        name: its own public name, `provider/model`.
        upstream: the same with the provider's own name of the model: what is known of how well it does has this name.
        provider: that has it.
        target: what the provider is asked for.
        limits: how long it is waited for.
        weight: its share of calls, where they are shared out by weight.
    """

    name: str
    upstream: str
    provider: Provider
    target: Target
    limits: TimeLimits = TimeLimits()
    weight: int = 1


class Route(Struct, frozen=True):
    """What a public model name means.

    Attributes:
        model: as the client said it.
        candidates: what can serve it, at least one; an alias may have more.
        strategy: which of them is asked first.
        continues: which of them may go on with an answer that broke off.
        hedged: whether a second one is asked where the first is slower to begin than usual.
    """

    model: str
    candidates: tuple[Candidate, ...]
    strategy: Strategy = "ordered"
    continues: Continues = "never"
    hedged: bool = False

    @property
    def provider(self) -> Provider:
        """The provider of the first candidate."""
        return self.candidates[0].provider

    @property
    def target(self) -> Target:
        """What the first candidate's provider is asked for."""
        return self.candidates[0].target


class Alias(Struct, frozen=True):
    """A public name that an operator gave: `targets` are public names of models, at least one, and their weights."""

    targets: tuple[tuple[str, int], ...]
    strategy: Strategy = "ordered"
    timeouts: Timeouts = Timeouts()
    continues: Continues = "never"
    hedged: bool = False


class Listing(Struct, frozen=True):
    """One line of the list of models: a public name and the provider that serves it."""

    name: str
    provider: Provider


class Catalog:
    """All providers, aliases and names.

    Args:
        providers: those that can be called.
        aliases: by their public names; their targets are models of `providers`.
        disabled: providers that are known but not set up -> what to do about it.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        aliases: Mapping[str, Alias] | None = None,
        disabled: Mapping[str, str] | None = None,
    ) -> None:
        self.providers = providers
        self.aliases = aliases or {}
        self.disabled = disabled or {}
        aliased = [
            Listing(name, providers[alias.targets[0][0].partition("/")[0]])
            for name, alias in sorted(self.aliases.items())
        ]
        listed = [
            Listing(f"{provider.name}/{model}", provider)
            for provider in providers.values()
            for model in provider.models
            if f"{provider.name}/{model}" not in self.aliases
        ]
        self._listings = (*aliased, *listed)
        self.resolve = functools.lru_cache(MAX_REMEMBERED)(self._resolve)

    def become(self, other: "Catalog") -> None:
        """Take the place of another at once, for all that hold this one. Requests under way keep what they have."""
        self.providers, self.aliases, self.disabled = other.providers, other.aliases, other.disabled
        self._listings = other.models()
        self.resolve = functools.lru_cache(MAX_REMEMBERED)(self._resolve)

    def models(self) -> tuple[Listing, ...]:
        """Return the well-known public names, aliases first."""
        return self._listings

    def find(self, model: str) -> Listing:
        """Return the listing of one public name, well-known or not.

        Raises:
            ClientFault: no provider serves it.
        """
        return Listing(model, self.resolve(model).provider)

    def _resolve(self, model: str) -> Route:
        """Return what a public name means; called `resolve` where the answers are remembered.

        Raises:
            ClientFault: no provider serves it; the message says what comes nearest, or how to set the provider up.
        """
        if len(model) > MAX_NAME or not model.isprintable() or _DOTS.search(model):
            raise _not_found(
                f"This cannot be the name of a model: one has up to {MAX_NAME} printable characters, and no part that "
                "is only dots."
            )
        alias = self.aliases.get(model) or Alias(((model, 1),))
        candidates = tuple(self._candidate(name, weight, model, alias.timeouts) for name, weight in alias.targets)
        return Route(model, candidates, alias.strategy, alias.continues, alias.hedged)

    def _candidate(self, public: str, weight: int, model: str, timeouts: Timeouts) -> Candidate:
        name, slash, upstream_model = public.partition("/")
        provider = self.providers.get(name)
        if provider is None and slash and name in self.disabled:
            raise _not_found(f'The provider "{name}" is not set up on this gateway: {self.disabled[name]}.')
        if provider is None or not upstream_model or not provider.has(upstream_model):
            raise _not_found(self._unknown(model))
        upstream_model = provider.names.get(upstream_model, upstream_model)
        target = Target(name, upstream_model, provider.facts_of(upstream_model), provider.quirks)
        patience = limits(timeouts.over(provider.timeouts))
        return Candidate(public, f"{name}/{upstream_model}", provider, target, patience, weight)

    def _unknown(self, model: str) -> str:
        name, slash, rest = model.partition("/")
        shown = model if len(model) <= 100 else f"{model[:100]}..."
        known = [listing.name for listing in self._listings]
        bare = [public for public in known if public.partition("/")[2] == model]
        near = bare or difflib.get_close_matches(model, known, n=3)
        if slash and rest and name not in self.providers and not near:
            providers = difflib.get_close_matches(name, [*self.providers, *self.disabled], n=1)
            near = [f"{providers[0]}/{rest}"] if providers else []
        hint = " Models are named provider/model." if not slash else ""
        # One of each provider, the last first: those that were set up come behind the scripted ones.
        each = {listing.provider.name: listing.name for listing in reversed(self._listings)}
        return f'There is no model "{shown}".{hint}{_suggestion(near, list(each.values()))}'


def _suggestion(near: list[str], known: list[str]) -> str:
    if near:
        return f" Did you mean {' or '.join(near)}?"
    return f" For example: {', '.join(known[:3])}; GET /v1/models has them all." if known else ""


def _not_found(message: str) -> ClientFault:
    return ClientFault(ErrorInfo("model_not_found", message, param="model", code="model_not_found"))
