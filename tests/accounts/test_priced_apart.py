"""What has a price of its own: service tiers, sound, images, searches; and what is said where that price is unknown."""

from datetime import UTC, datetime

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.entries import Outcome, Try
from penstock.accounts.ledger import Ledger
from penstock.accounts.price_list import look_up
from penstock.accounts.prices import NOTHING, Price
from penstock.config import parse
from penstock.core.errors import ClientFault
from penstock.core.usage import STANDARD, Usage
from tests.accounts.books import FREE, Books, attempt, intent, money, nothing_seen

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

TEXT = Price(uncached=1_000_000, cache_read=100_000, output=5_000_000, version="test")
"""A dollar per million tokens of input, a tenth of it from a cache, five for output."""

SOUND = Price(
    uncached=1_000_000,
    cache_read=100_000,
    output=5_000_000,
    input_audio=10_000_000,
    cached_audio=1_000_000,
    output_audio=20_000_000,
    output_image=30_000_000,
    version="test",
)


def price_of(name: str, model: str, at: datetime = NOON) -> Price:
    price = look_up(name, model)(at.timestamp())
    assert price is not None
    return price


# ---- prices ----------------------------------------------------------------------------------------------------------


def test_tokens_of_sound_cost_what_sound_does() -> None:
    usage = Usage(uncached=100, cache_read=50, output=30, input_audio=40, cached_audio=10, output_audio=20)
    picos = 60 * 1_000_000 + 40 * 10_000_000 + 40 * 100_000 + 10 * 1_000_000 + 10 * 5_000_000 + 20 * 20_000_000
    assert SOUND.cost(usage) == picos // 1000


def test_where_sound_has_no_price_of_its_own_it_costs_what_text_does() -> None:
    assert TEXT.cost(Usage(uncached=100, input_audio=40)) == TEXT.cost(Usage(uncached=100))
    assert TEXT.unpriced(Usage(uncached=100, input_audio=40)) is None


counts = st.none() | st.integers(0, 10**6)


@given(st.builds(Usage, uncached=counts, output=counts, input_audio=counts, output_audio=counts, output_image=counts))
def test_parts_are_never_more_than_the_whole(usage: Usage) -> None:
    most = Usage(uncached=usage.uncached, output=usage.output, input_audio=usage.uncached, output_image=usage.output)
    assert SOUND.cost(Usage(uncached=usage.uncached, output=usage.output)) <= SOUND.cost(usage) <= SOUND.cost(most)


def test_searches_are_priced_by_number() -> None:
    price = Price(uncached=0, output=0, web_search=10_000_000_000, version="test")
    assert price.cost(Usage(uncached=1, web_searches=3)) == 30_000_000
    assert price.unpriced(Usage(web_searches=3)) is None


def test_what_was_searched_without_a_known_price_is_said() -> None:
    assert TEXT.unpriced(Usage(uncached=1, web_searches=1)) == "web_searches"
    assert TEXT.cost(Usage(uncached=1, web_searches=1)) == TEXT.cost(Usage(uncached=1))


def test_a_service_tier_has_its_own_price_or_none_that_is_known() -> None:
    price = Price(uncached=2, output=2, served={"flex": Price(uncached=1000, output=1000, version="t")}, version="t")
    usage = Usage(uncached=5, service_tier="flex")
    assert (price.cost(usage), price.unpriced(usage)) == (5, None)
    assert price.unpriced(Usage(uncached=5, service_tier="priority")) == "service_tier"
    assert price.unpriced(Usage(uncached=5, service_tier=STANDARD)) is None


def test_of_what_is_free_nothing_is_unknown() -> None:
    assert NOTHING.unpriced(Usage(web_searches=3, service_tier="priority")) is None


# ---- what is known ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model", "tier", "context"),
    [
        ("openai", "gpt-5.4", "flex", {"service_tier": "flex"}),
        ("openai", "gpt-5.4", "priority", {"service_tier": "priority"}),
        ("openai", "gpt-4.1", "batch", {"processing": "batch"}),
        ("anthropic", "claude-opus-4-8", "batch", {"processing": "batch"}),
        ("anthropic", "claude-opus-4-8", "fast", {"speed": "fast"}),
    ],
)
@pytest.mark.parametrize("length", [1000, 300_000])
def test_a_tier_costs_what_the_library_itself_computes(
    name: str, model: str, tier: str, context: dict[str, str], length: int
) -> None:
    usage = ListedUsage(input_tokens=length, output_tokens=700)
    theirs = calc_price(usage, model, provider_id=name, genai_request_timestamp=NOON, price_context=context)
    ours = price_of(name, model).cost(Usage(uncached=length, output=700, service_tier=tier))
    assert ours == round(theirs.total_price * 10**9)


def test_sound_and_searches_cost_what_the_library_itself_computes() -> None:
    listed = ListedUsage(input_tokens=1000, input_audio_tokens=900, output_tokens=10, web_searches=1)
    theirs = calc_price(listed, "gemini-2.5-flash", provider_id="google", genai_request_timestamp=NOON).total_price
    price = price_of("google", "gemini-2.5-flash")
    assert price.cost(Usage(uncached=1000, input_audio=900, output=10, web_searches=1)) == round(theirs * 10**9)


def test_models_that_ask_for_a_prompt_and_not_for_a_search_are_priced_so() -> None:
    old, new = price_of("google", "gemini-2.5-flash"), price_of("google", "gemini-3.1-pro-preview")
    assert old.cost(Usage(web_searches=3)) == old.cost(Usage(web_searches=1)) > 0
    assert new.cost(Usage(web_searches=3)) == 3 * new.cost(Usage(web_searches=1)) > 0


def test_a_tier_whose_price_begins_later_is_not_known_before() -> None:
    before = price_of("openai", "gpt-5.4", datetime(2026, 10, 1, tzinfo=UTC))
    assert before.unpriced(Usage(service_tier="flex")) == "service_tier"


def test_the_configuration_prices_them_all() -> None:
    text = """
    [prices."openai/*"]
    input = 1
    output = 2
    input_audio = 3
    cached_audio = "0.5"
    output_image = 30
    web_search = 10
    [prices."openai/*".service_tiers.priority]
    input = 2
    output = 4
    web_search = 10
    """
    config = parse(text, {"OPENAI_API_KEY": "key-of-openai"})
    catalog = config.catalog({"OPENAI_API_KEY": "key-of-openai"}, "http://127.0.0.1:1")
    price = config.price_book(catalog).of("openai", "m", 0)
    assert price is not None
    assert price.cost(Usage(uncached=1000, input_audio=1000)) == 3_000_000
    assert price.cost(Usage(output=1000, output_image=1000)) == 30_000_000
    assert price.cost(Usage(web_searches=1)) == 10_000_000
    assert price.cost(Usage(uncached=1000, service_tier="priority")) == 2_000_000


# ---- in the books ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_ledger_says_what_its_cost_does_not_hold(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(FREE, "r1"), attempt(price=TEXT), nothing_seen)
    usage = Usage(uncached=100, output=10, input_audio=7, web_searches=2, service_tier="flex")
    cost = await account.settle(Outcome("completed", None, usage, "provider", 50, 200))

    assert cost is None  # nobody is told a number that is too low
    [row] = await books.attempts()
    assert (row.cost, row.unpriced) == (TEXT.cost(usage), "service_tier,web_searches")
    assert (row.input_audio, row.web_searches, row.service_tier) == (7, 2, "flex")
    [request] = await books.requests()
    assert (request.cost, request.unpriced, request.web_searches) == (row.cost, row.unpriced, 2)


@pytest.mark.anyio
async def test_a_budget_in_money_holds_what_the_tier_costs_and_refuses_one_without_a_price(
    ledger: Ledger, books: Books
) -> None:
    dear = Price(uncached=1_000_000, output=0, served={"priority": SOUND}, version="test")
    asked = Try("demo", "m", "openai-chat", 1000, 1, dear, "priority")
    await ledger.open(intent(money(10**9)), asked, nothing_seen)
    assert (await books.budget())[1] >= SOUND.cost(Usage(uncached=1250, output=1))

    unknown = Try("demo", "m", "openai-chat", 1000, 1, dear, "flex")
    with pytest.raises(ClientFault, match="no price is known"):
        await ledger.open(intent(money(10**9)), unknown, nothing_seen)
