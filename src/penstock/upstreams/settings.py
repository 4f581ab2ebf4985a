"""What can be said about a provider, in `providers.toml` and in a user's config, and how TOML becomes it.

Every mistake is a ConfigError of one line: the path of the value, what is wrong with it, and for a name that nobody
knows the nearest one that is known.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.protocols.base import ModelFacts
from penstock.routing.plan import Strategy
from penstock.upstreams.timeouts import Timeouts

AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"]

Quirk = Literal[
    "max-completion-tokens",  # rejects max_tokens
    "reasoning-content-back",  # wants the reasoning of earlier turns back as reasoning_content
    "no-stream-options",  # rejects stream_options
    "no-encrypted-reasoning",  # rejects include with reasoning.encrypted_content
    "common-fields-only",  # rejects fields that not all servers know
    "random-seed",  # calls the seed random_seed
    "custom-tools",  # knows tools that take free text
    "cache-control",  # takes Anthropic's marks for the prompt cache
    "nine-character-tool-ids",  # rejects ids of calls that are not nine letters and digits
    "thought-signature-in-extra-content",  # rejects calls without the signature that stands beside them
    "think-tags",  # leaves thoughts in the text, between tags
    "think-tags-open",  # the same, and every answer begins inside a thought
]

Relay = Literal[
    "passthrough",  # same protocol on both sides: the provider's bytes are the client's
    "normalise",  # decode and encode even then: for servers whose streams confuse strict clients
]

Continues = Literal[
    "never",
    "same-model",  # wherever it is served
    "any",  # of the models that a name stands for
]

Offer = Literal[
    "count",  # counts the tokens of a request before it is made, in its own protocol
    "embeddings",
    "images",
]
"""What a provider has beside answers."""

T = TypeVar("T")

_TOML_WORDS = {"`": "", " | null": "", "object": "table"}
"""What msgspec says in the words of JSON, as TOML has it, in which nothing is null."""

_ERROR = re.compile(r"^(.*?)(?: - at `\$\.?(.*?)`)?$", re.DOTALL)


class Access(Struct, frozen=True):
    """How a provider is reached in one more protocol.

    Attributes:
        base_url: a whole address, or as a link on the provider's own base URL would be written (`../anthropic`); None
            if it is the same.
        auth: how the credential is sent; None means as the provider always wants it, or as usual for the protocol.
        relay: what to do where the client speaks this protocol, too.
    """

    base_url: str | None = None
    auth: AuthStyle | None = None
    relay: "Relay" = "passthrough"


class Elsewhere(Struct, frozen=True):
    """What is most likely true of a server that somebody puts in a provider's place.

    Attributes:
        protocol: the one that it speaks.
        quirks: those of the provider's that do no harm there.
    """

    protocol: str
    quirks: tuple[Quirk, ...] = ()


class ProviderRow(Struct, frozen=True):
    """One provider as the gateway knows it.

    Attributes:
        title: for people.
        protocol: name of the wire protocol: clients of others are translated to it.
        base_url: what the protocol's own SDK would be given. `<resource>` in it stands for a name that only the
            operator knows, `<simulator>` for the address of the gateway's own simulator.
        api_key_env: environment variables that may hold the credential; the first that is set is used.
        base_url_env: an environment variable that may hold the address; what it leaves out, `base_url` completes.
        auth: how the credential is sent; None means as usual for the protocol.
        local: a server without a key, which is there only if somebody says so.
        models: well-known model names.
        closed: whether no other models exist.
        names: what people call a model -> the provider's own name of it, where the two differ.
        facts: facts about models, by a glob of their names; the first that matches counts.
        relay: what to do where the client speaks the same `protocol`; `also` says it for the others.
        also: further protocols that it speaks, for clients that speak them.
        offers: what it has beside answers.
        prices: the name of its price list, where it differs from its own; `free` if it charges nothing for tokens.
        bills_aborted: whether it goes on, and bills the whole answer, when its client leaves in the middle of it.
        elsewhere: what holds instead of `protocol`, `also` and `quirks` where a user gives the address of another host
            and no protocol; None if the same holds everywhere.
    """

    title: str
    protocol: str
    base_url: str
    api_key_env: tuple[str, ...] = ()
    base_url_env: str = ""
    auth: AuthStyle | None = None
    local: bool = False
    quirks: tuple[Quirk, ...] = ()
    models: tuple[str, ...] = ()
    closed: bool = False
    names: dict[str, str] = {}
    facts: dict[str, ModelFacts] = {}
    relay: Relay = "passthrough"
    also: dict[str, Access] = {}
    offers: tuple[Offer, ...] = ()
    prices: str = ""
    bills_aborted: bool = False
    elsewhere: Elsewhere | None = None


class ProviderSettings(Struct, frozen=True):
    """What a user says about a provider, known or their own. What is None is left as the row has it.

    With a `protocol` given, the row's `also` does not hold any more.
    """

    title: str | None = None
    protocol: str | None = None
    base_url: str | None = None
    api_key: Secret | None = None
    auth: AuthStyle | None = None
    headers: dict[str, Secret] = {}
    quirks: tuple[Quirk, ...] | None = None
    models: tuple[str, ...] | None = None
    names: dict[str, str] = {}
    facts: dict[str, ModelFacts] = {}
    relay: Relay | None = None
    also: dict[str, Access] | None = None
    offers: tuple[Offer, ...] | None = None
    prices: str | None = None
    bills_aborted: bool | None = None
    timeouts: Timeouts = Timeouts()


class TargetSettings(Struct, frozen=True):
    """One of several models that a name can mean.

    Attributes:
        target: its `provider/name`.
        weight: its share of calls, where they are shared out by weight.
    """

    target: str
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1


class AliasSettings(Struct, frozen=True):
    """What a name means. With neither `target` nor `targets` it means itself.

    Attributes:
        target: the `provider/name` of a model.
        targets: several of them; what one fails at is asked of another.
        strategy: which of them is asked first.
        continue_: what may go on with an answer that broke off; `continue` in the file.
        hedge: whether a second one is asked where the first is slower to begin than usual.
        timeouts: where they differ from those of the providers.
    """

    target: str | None = None
    targets: tuple[str | TargetSettings, ...] = ()
    strategy: Strategy = "ordered"
    continue_: Continues = msgspec.field(default="never", name="continue")
    hedge: bool = False
    timeouts: Timeouts = Timeouts()


def read_provider(raw: object, type_: type[T], path: str) -> T:
    """Return a ProviderRow or ProviderSettings from its TOML table.

    Raises:
        ConfigError: it does not fit.
    """
    for glob, entry in _entries(_entries(raw).get("facts")).items():
        convert(entry, ModelFacts, f"{path}.facts.{quoted(glob)}")
    for protocol, entry in _entries(_entries(raw).get("also")).items():
        convert(entry, Access, f"{path}.also.{quoted(protocol)}")
    convert(_entries(raw).get("timeouts", {}), Timeouts, f"{path}.timeouts")
    return convert(raw, type_, path)


def read_alias(raw: object, path: str) -> AliasSettings:
    """Return what a name means from its TOML table.

    Raises:
        ConfigError: it does not fit.
    """
    targets = _entries(raw).get("targets")
    for index, entry in enumerate(cast("list[object]", targets) if isinstance(targets, list) else []):
        if isinstance(entry, dict):
            convert(cast("object", entry), TargetSettings, f"{path}.targets[{index}]")
    convert(_entries(raw).get("timeouts", {}), Timeouts, f"{path}.timeouts")
    return convert(raw, AliasSettings, path)


def convert(raw: object, type_: type[T], path: str) -> T:
    """Return a Struct from the TOML table that stands at `path`.

    Raises:
        ConfigError: it does not fit.
    """
    fields = {name.rstrip("_"): hint for name, hint in get_type_hints(type_).items()}
    for key in _entries(raw):
        if key not in fields:
            raise ConfigError(f"{path}.{quoted(key)}: unknown key{did_you_mean(key, fields)}")
    try:
        return msgspec.convert(raw, type_, dec_hook=_secret)
    except msgspec.ValidationError as error:
        match = _ERROR.match(str(error))
        message, inner = (match.group(1), match.group(2) or "") if match else (str(error), "")
        raise ConfigError(f"{path}{_joint(inner)}: {_explained(message, inner, fields)}") from None


def quoted(key: str) -> str:
    """Return a TOML key as it is written in a path: bare if it can be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"'


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` with the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _entries(raw: object) -> dict[str, object]:
    return cast("dict[str, object]", raw) if isinstance(raw, dict) else {}


def _secret(type_: type, value: object) -> object:
    if type_ is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")  # msgspec adds the path


def _joint(inner: str) -> str:
    return f".{inner}" if inner and not inner.startswith("[") else inner


def _explained(message: str, inner: str, fields: dict[str, Any]) -> str:
    """Reword msgspec's message; where a word is not one of a closed list, give the list."""
    if match := re.match(r"Invalid enum value '(.*)'", message):
        choices = _choices(fields.get(re.split(r"[.\[]", inner)[0]))
        near = did_you_mean(match.group(1), choices) or "."
        return f'unknown word "{match.group(1)}"{near} Known: {", ".join(choices)}.'
    if match := re.match(r"Object missing required field `(.*)`", message):
        return f"{match.group(1)} is missing"
    for theirs, toml in _TOML_WORDS.items():
        message = message.replace(theirs, toml)
    return message[:1].lower() + message[1:]


def _choices(annotation: object) -> list[str]:
    if isinstance(annotation, str):
        return [annotation]
    return [choice for argument in get_args(annotation) for choice in _choices(argument)]
