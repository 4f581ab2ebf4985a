"""The price lists of genai-prices, as the gateway reads them. Its figures may change with the package, its rules not."""

from datetime import UTC, datetime

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from penstock.accounts.price_list import VERSION, look_up
from penstock.accounts.prices import Price
from penstock.core.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def price_of(name: str, model: str, at: datetime = NOON) -> Price:
    price = look_up(name, model)(at.timestamp())
    assert price is not None
    return price


@pytest.mark.parametrize("length", [1000, 300_000])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai", "gpt-5.4"),
        ("anthropic", "claude-sonnet-4-5"),
        ("anthropic", "claude-opus-5-5"),
        ("google", "gemini-3.1-pro-preview"),
        ("google", "gemini-2.5-flash"),
        ("deepseek", "deepseek-v4-pro"),
        ("x-ai", "grok-4.3"),
        ("openrouter", "google/gemini-2.5-pro"),
    ],
)
@pytest.mark.parametrize("hour", [2, 12])
def test_a_cost_is_what_the_library_itself_computes(name: str, model: str, length: int, hour: int):
    at = NOON.replace(hour=hour)
    usage = ListedUsage(input_tokens=length + 500, cache_read_tokens=500, output_tokens=700)
    theirs = calc_price(usage, model, provider_id=name, genai_request_timestamp=at).total_price
    ours = price_of(name, model, at).cost(Usage(uncached=length, cache_read=500, output=700))
    assert ours == round(theirs * 10**9)


def test_a_price_says_which_issue_of_the_list_it_is_from():
    assert price_of("openai", "gpt-5.4").version == VERSION
    assert VERSION.startswith("genai-prices 0.")


def test_a_price_of_the_day_and_one_of_the_night_are_kept_apart():
    night, day = NOON.replace(hour=2), NOON.replace(hour=12)
    assert price_of("deepseek", "deepseek-v4-pro", night) != price_of("deepseek", "deepseek-v4-pro", day)


def test_a_price_begins_on_its_day():
    before = datetime(2026, 8, 16, 12, tzinfo=UTC)
    assert price_of("deepseek", "deepseek-v4-pro", before) != price_of("deepseek", "deepseek-v4-pro")


def test_a_cache_of_an_hour_costs_twice_the_input_where_the_list_does_not_say():
    price = price_of("openrouter", "anthropic/claude-opus-4.5")
    assert price.cache_write_1h == 2 * price.uncached


def test_a_cache_of_an_hour_costs_twice_the_input_in_every_tier():
    (tier,) = price_of("openrouter", "anthropic/claude-sonnet-4.5").tiers
    assert tier.cache_write_1h == 2 * tier.uncached


def test_what_only_takes_input_has_free_output():
    assert price_of("openai", "text-embedding-3-small").output == 0


def test_what_the_list_calls_free_is_free():
    assert price_of("openrouter", "openai/gpt-oss-120b:free").cost(Usage(uncached=1000, output=1000)) == 0


@pytest.mark.parametrize(("name", "model"), [("openai", "no-such"), ("nobody", "gpt-5.4"), ("openai", "whisper-1")])
def test_what_has_no_price_for_tokens_is_unknown(name: str, model: str):
    assert look_up(name, model)(NOON.timestamp()) is None
