"""What the admin API takes and gives, as JSON has it. The OpenAPI description is made of these, docstrings included.

Times are texts such as `2026-11-22T14:30:00Z`, amounts of dollars exact decimal texts. In what it takes, unknown
fields are refused.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.accounts.manage import GRACE, MAX_GRACE, MAX_NAME
from penstock.accounts.terms import BudgetTerms, Terms
from penstock.core.outcome import End

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Dollars = Annotated[str, Meta(pattern=r"^-?[0-9]+\.[0-9]{2,9}$")]

MAX_PAGE = 1000
"""Requests on a page."""


class Problem(Struct, frozen=True):
    """What is wrong.

    Attributes:
        code: for programs.
        message: for people: what, where, and the next step.
        param: the path of what is wrong, in the body or in the query.
    """

    code: str
    message: str
    param: str | None


class Refusal(Struct, frozen=True):
    """An error."""

    error: Problem


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


# ---- keys ------------------------------------------------------------------------------------------------------------


class KeysQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys.

    Attributes:
        revoked: also those that were revoked.
    """

    revoked: bool = False


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made. What is not said is not limited.

    Attributes:
        name: for people; no two keys that work have the same.
        models: globs of model names; at least one.
        requests_per_minute: requests begun.
        tokens_per_minute: tokens of requests and answers together.
        streams: requests under way at once.
        budget: how much in all.
        expires: a date (from its beginning, by UTC), or a date and time.
        networks: in CIDR notation; none means anywhere.
        labels: texts by name.
    """

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    models: tuple[str, ...] | UnsetType = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    tokens_per_minute: int | UnsetType | None = UNSET
    streams: int | UnsetType | None = UNSET
    budget: BudgetTerms | UnsetType | None = UNSET
    expires: str | UnsetType | None = UNSET
    networks: tuple[str, ...] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET

    def terms(self) -> Terms:
        """Return what it says besides the name."""
        return Terms(**{field: getattr(self, field) for field in Terms.__struct_fields__})


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """How to replace a secret.

    Attributes:
        grace_seconds: how long the old secret works beside the new one; 0 ends it at once.
    """

    grace_seconds: Annotated[int, Meta(ge=0, le=MAX_GRACE)] = GRACE


class BudgetShown(Struct, frozen=True):
    """How much a key may use up: dollars or tokens, and the time that they are for, by UTC."""

    per: Literal["day", "month", "total"]
    usd: Dollars | UnsetType = UNSET
    tokens: int | UnsetType = UNSET


class SpendingShown(Struct, frozen=True):
    """How much of a budget is gone in the period that runs, in dollars or tokens as the budget is.

    Attributes:
        held: for requests under way.
        left: what further requests may use up.
        resets_at: when the next period begins; null if there is none.
    """

    spent: Dollars | int
    held: Dollars | int
    left: Dollars | int
    resets_at: Moment | None


class KeyShown(Struct, frozen=True):
    """A key.

    Attributes:
        id: stands in the key itself; may be shown and logged. `config:<name>` for one of the configuration.
        created: null for one of the configuration.
        replaced_secret_until: how long the secret before the last rotation works.
        spending: what became of the budget; null without one, left out of an answer that has a secret.
        secret: the key itself; only in the answer that made it.
    """

    id: str
    name: str
    created: Moment | None
    revoked: Moment | None
    replaced_secret_until: Moment | None
    models: tuple[str, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    streams: int | None
    budget: BudgetShown | None
    expires: Moment | None
    networks: tuple[str, ...]
    labels: dict[str, str]
    spending: SpendingShown | UnsetType | None = UNSET
    secret: str | UnsetType = UNSET


class KeyList(Struct, frozen=True):
    """Keys, those of the configuration first, then the oldest."""

    data: list[KeyShown]


# ---- usage and requests ----------------------------------------------------------------------------------------------


class UsageQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Sums of which requests, in which groups.

    Attributes:
        by: day, key, model or provider; several with commas.
        since: a day or a time; the last 30 days if it is left out.
        until: a day, which counts whole, or a time; now if it is left out.
        key: the id or the name of a key.
        model: as clients asked for it.
        provider: that answered, or failed last.
        format: json or csv; as the Accept header says if it is left out.
    """

    by: str = "day"
    since: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    format: Literal["json", "csv"] | UnsetType = UNSET


class Sums(Struct, frozen=True):
    """What the requests of a group came to.

    Attributes:
        day: if they are grouped by it; likewise key, its name, model and provider.
        ends: how many ended how.
        input_tokens: those of the next four together.
        reasoning_tokens: part of the output.
        cost_usd: of all whose price is known.
        unpriced_requests: those that used something whose price nobody knows.
        estimated_requests: those with counts that are not all the provider's own.
    """

    requests: int
    ends: dict[str, int]
    input_tokens: int
    uncached_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    input_image_tokens: int
    cached_audio_tokens: int
    output_audio_tokens: int
    output_image_tokens: int
    web_searches: int
    cost_usd: Dollars
    unpriced_requests: int
    estimated_requests: int
    day: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    key_name: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET


class Usage(Struct, frozen=True):
    """Sums by group, and of all of them."""

    total: Sums
    data: list[Sums]


class RequestsQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which requests.

    Attributes:
        id: of the only one, as `x-request-id` told it; whenever that was.
        since: a day or a time; the last 30 days if it is left out.
        until: a day, which counts whole, or a time; now if it is left out.
        key: the id or the name of a key.
        model: as clients asked for it.
        provider: that answered, or failed last.
        end: how it ended.
        limit: how many at once.
        cursor: `next` of the page before.
    """

    id: str | UnsetType = UNSET
    since: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    end: End | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100
    cursor: str | UnsetType = UNSET


class RequestShown(Struct, frozen=True):
    """A request that reached a provider. Tokens are null where nobody counted them.

    Attributes:
        key: the id of its key.
        model: as its client asked for it.
        provider: of the last attempt, as the next two.
        attempts: calls of providers.
        error: what was wrong, if it did not complete.
        usage_source: who counted: provider, partial, estimate or checkpoint.
        unpriced: what was used whose price nobody knows, so that `cost_usd` does not hold it; null if nothing.
        cost_usd: null if nobody knows the price of tokens.
        first_output_ms: after `created`.
        gap_median_ms: between chunks of output.
    """

    id: str
    created: Moment
    key: str
    key_name: str
    model: str
    provider: str
    upstream_model: str
    upstream_protocol: str
    client_protocol: str
    stream: bool
    attempts: int
    end: End
    error: str | None
    uncached_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_audio_tokens: int | None
    input_image_tokens: int | None
    cached_audio_tokens: int | None
    output_audio_tokens: int | None
    output_image_tokens: int | None
    web_searches: int | None
    service_tier: str | None
    unpriced: str | None
    usage_source: str
    cost_usd: Dollars | None
    first_output_ms: int | None
    duration_ms: int
    gap_median_ms: int | None
    gap_longest_ms: int | None


class RequestList(Struct, frozen=True):
    """Requests, the latest first.

    Attributes:
        next: the cursor of the next page; null on the last.
    """

    data: list[RequestShown]
    next: str | None


class AttemptShown(Struct, frozen=True):
    """One call of a provider. Tokens are null where nobody counted them.

    Attributes:
        started: when it began.
        state: open, if it is under way; retried, if another followed; settled, if it was the last.
        end: how it ended; null while it is under way, as all that is known only then.
        usage_source: who counted: provider, partial, estimate or checkpoint.
        unpriced: what was used whose price nobody knows, so that `cost_usd` does not hold it; null if nothing.
        cost_usd: null if nobody knows the price of tokens.
        borne_usd: what of the request's cost nobody is charged.
        price_version: where the price comes from.
        first_output_ms: after `started`.
    """

    number: int
    started: Moment
    state: Literal["open", "retried", "settled"]
    key: str
    key_name: str
    model: str
    provider: str
    upstream_model: str
    upstream_protocol: str
    client_protocol: str
    stream: bool
    end: End | None
    error: str | None
    uncached_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_audio_tokens: int | None
    input_image_tokens: int | None
    cached_audio_tokens: int | None
    output_audio_tokens: int | None
    output_image_tokens: int | None
    web_searches: int | None
    service_tier: str | None
    unpriced: str | None
    usage_source: str | None
    cost_usd: Dollars | None
    borne_usd: Dollars | None
    price_version: str | None
    first_output_ms: int | None
    duration_ms: int | None
    gap_median_ms: int | None
    gap_longest_ms: int | None


class RequestDetails(Struct, frozen=True):
    """One request.

    Attributes:
        request: null while it is under way.
        attempts: calls of providers, the first first.
    """

    request: RequestShown | None
    attempts: list[AttemptShown]


# ---- providers and prices --------------------------------------------------------------------------------------------


class Health(Struct, frozen=True):
    """How calls of a provider went.

    Attributes:
        consecutive_failures: since it last completed an answer.
        last_error: the kind of its last failure.
        last_error_at: when that was.
    """

    consecutive_failures: int
    last_error: str | None
    last_error_at: Moment | None


class ProviderShown(Struct, frozen=True):
    """A provider.

    Attributes:
        set_up: whether it can be called.
        needs: what is to be done if not.
        protocols: that it speaks; clients of others are translated to the first.
        base_url: where it is called; null if it is not set up.
        credential: whether one is sent; it is never shown.
        models: well-known names of its models; others work as well.
        health: null if no answer has told yet.
    """

    name: str
    title: str
    set_up: bool
    needs: str | None
    protocols: tuple[str, ...]
    base_url: str | None
    credential: bool
    models: tuple[str, ...]
    health: Health | None


class ProviderList(Struct, frozen=True):
    """All providers, those that are set up first."""

    data: list[ProviderShown]


class PricesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The prices of which models.

    Attributes:
        model: as clients ask for it; all that are listed if it is left out.
    """

    model: str | UnsetType = UNSET


class Rates(Struct, frozen=True):
    """Dollars per million tokens. A kind of cache that is null costs as other input.

    Attributes:
        above: what a request's whole input must exceed, in tokens; 0 for the ordinary price.
        cache_write: into a cache that lives 5 minutes.
        cache_write_1h: into a cache that lives an hour.
    """

    above: int
    input: Dollars
    cache_read: Dollars | None
    cache_write: Dollars | None
    cache_write_1h: Dollars | None
    output: Dollars


class PriceShown(Struct, frozen=True):
    """What a model costs at one of its targets; a name with several has one of these for each.

    Attributes:
        provider: that serves it.
        upstream_model: its name there.
        rates: the ordinary price, then those for long input; empty if nobody knows.
        source: where they are known from, and which issue of it.
    """

    model: str
    provider: str
    upstream_model: str
    rates: list[Rates]
    source: str | None


class PriceList(Struct, frozen=True):
    """Prices."""

    data: list[PriceShown]


# ---- the gateway -----------------------------------------------------------------------------------------------------


class Status(Struct, frozen=True):
    """The gateway.

    Attributes:
        ready: whether it takes new requests; not while it is stopping.
        address: what clients are given.
        configuration: the file, or `environment`.
        loaded: when the configuration was read last.
        database: sqlite or postgresql.
        providers: how many are set up.
        models: how many are listed.
    """

    version: str
    ready: bool
    address: str
    started: Moment
    configuration: str
    loaded: Moment
    database: str
    providers: int
    models: int
