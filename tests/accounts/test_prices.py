"""What tokens cost."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.prices import FREE, MAX_COST, Price, PriceBook, Tier, always
from penstock.core.usage import UNKNOWN, Usage

# Dollars per million tokens: 3 uncached, 0.30 read, 3.75 written, 6 written for an hour, 15 out; double above 200,000.
SONNET = Price(
    uncached=3_000_000,
    cache_read=300_000,
    cache_write=3_750_000,
    cache_write_1h=6_000_000,
    output=15_000_000,
    tiers=(
        Tier(
            above=200_000,
            uncached=6_000_000,
            cache_read=600_000,
            cache_write=7_500_000,
            cache_write_1h=12_000_000,
            output=22_500_000,
        ),
    ),
    version="test",
)
PLAIN = Price(uncached=1_000_000, output=2_000_000, version="test")

counts = st.none() | st.integers(0, 10**6)
usages = st.builds(
    Usage,
    uncached=counts,
    cache_read=counts,
    cache_write=counts,
    cache_write_1h=counts,
    output=counts,
    reasoning=counts,
)
rates = st.integers(0, 10**9)
prices = st.builds(
    Price,
    uncached=rates,
    cache_read=st.none() | rates,
    cache_write=st.none() | rates,
    cache_write_1h=st.none() | rates,
    output=rates,
    version=st.just("test"),
)


def test_each_kind_of_token_has_its_own_rate():
    assert SONNET.cost(Usage(uncached=1000)) == 3_000_000
    assert SONNET.cost(Usage(cache_read=1000)) == 300_000
    assert SONNET.cost(Usage(output=1000)) == 15_000_000


def test_a_cache_of_an_hour_costs_more_to_write_than_one_of_five_minutes():
    assert SONNET.cost(Usage(cache_write=1000)) == 3_750_000
    assert SONNET.cost(Usage(cache_write_1h=1000)) == 6_000_000
    assert SONNET.cost(Usage(cache_write=1000, cache_write_1h=1000)) == 9_750_000


def test_a_whole_answer_is_priced_as_a_person_would_add_it_up():
    usage = Usage(uncached=1234, cache_read=50_000, cache_write=2000, cache_write_1h=300, output=789)
    assert SONNET.cost(usage) == 1234 * 3000 + 50_000 * 300 + 2000 * 3750 + 300 * 6000 + 789 * 15_000


def test_reasoning_is_part_of_the_output_and_costs_nothing_more():
    assert SONNET.cost(Usage(output=1000, reasoning=900)) == SONNET.cost(Usage(output=1000))


def test_a_cache_whose_price_nobody_knows_costs_as_uncached_input():
    assert PLAIN.cost(Usage(cache_read=10, cache_write=10, cache_write_1h=10)) == PLAIN.cost(Usage(uncached=30))


def test_what_nobody_counted_costs_nothing():
    assert SONNET.cost(UNKNOWN) == 0


def test_a_long_input_makes_all_tokens_of_the_request_dearer():
    assert SONNET.cost(Usage(uncached=200_000, output=10)) == 200_000 * 3000 + 10 * 15_000
    assert SONNET.cost(Usage(uncached=200_001, output=10)) == 200_001 * 6000 + 10 * 22_500


def test_what_was_read_from_a_cache_counts_as_length_of_the_input():
    assert SONNET.cost(Usage(uncached=1, cache_read=200_000)) == 6000 + 200_000 * 600


def test_of_several_tiers_the_highest_that_is_exceeded_counts():
    price = Price(
        uncached=1000, output=0, version="test",
        tiers=(Tier(above=10, uncached=2000, output=0), Tier(above=20, uncached=3000, output=0)),
    )  # fmt: skip
    assert [price.cost(Usage(uncached=length)) for length in (10, 11, 20, 21)] == [10, 22, 40, 63]


@pytest.mark.parametrize(("picos", "nanos"), [(0, 0), (499, 0), (500, 1), (1499, 1), (1500, 2)])
def test_a_cost_is_rounded_half_up(picos: int, nanos: int):
    assert Price(uncached=picos, output=0, version="test").cost(Usage(uncached=1)) == nanos


def test_it_is_rounded_once_not_for_each_kind_of_token():
    price = Price(uncached=400, cache_read=400, output=400, version="test")
    assert price.cost(Usage(uncached=1, cache_read=1, output=1)) == 1


def test_a_count_that_nobody_could_pay_is_capped():
    assert SONNET.cost(Usage(output=2**53 - 1)) == MAX_COST


@given(prices, usages, usages)
def test_two_requests_cost_what_both_together_would(price: Price, one: Usage, other: Usage):
    both = Usage(
        uncached=(one.uncached or 0) + (other.uncached or 0),
        cache_read=(one.cache_read or 0) + (other.cache_read or 0),
        cache_write=(one.cache_write or 0) + (other.cache_write or 0),
        cache_write_1h=(one.cache_write_1h or 0) + (other.cache_write_1h or 0),
        output=(one.output or 0) + (other.output or 0),
    )
    assert abs(price.cost(one) + price.cost(other) - price.cost(both)) <= 1


@given(usages, st.integers(0, 10**6))
def test_more_tokens_never_cost_less(usage: Usage, more: int):
    dearer = msgspec.structs.replace(usage, output=(usage.output or 0) + more, uncached=(usage.uncached or 0) + more)
    assert SONNET.cost(dearer) >= SONNET.cost(usage)


def test_a_price_survives_being_written_as_json():
    assert msgspec.json.decode(msgspec.json.encode(SONNET), type=Price) == SONNET


def listed(name: str, model: str):
    return always(SONNET if (name, model) == ("known", "sonnet") else None)


def book(*overrides: tuple[str, Price]) -> PriceBook:
    return PriceBook(overrides, {"reseller": "known", "demo": FREE}, listed)


def test_a_model_that_nobody_knows_has_no_price():
    assert book().of("known", "mystery", 0) is None


def test_a_provider_without_a_list_of_its_own_has_the_one_of_its_name():
    assert book().of("known", "sonnet", 0) == SONNET


def test_a_provider_can_have_the_list_of_another():
    assert book().of("reseller", "sonnet", 0) == SONNET


def test_what_is_free_costs_nothing():
    price = book().of("demo", "anything", 0)
    assert price is not None
    assert (price.cost(Usage(uncached=10**6, cache_read=10**6, output=10**6)), price.version) == (0, "free")


def test_the_first_glob_that_matches_wins_over_the_list():
    other = msgspec.structs.replace(PLAIN, version="other")
    assert book(("*/son*", PLAIN), ("known/sonnet", other)).of("known", "sonnet", 0) == PLAIN
    assert book(("*/son*", PLAIN)).of("demo", "sonata", 0) == PLAIN
