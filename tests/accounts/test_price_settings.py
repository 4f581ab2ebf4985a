"""Prices in the configuration, and which provider has which price list."""

import sys

import pytest

from penstock.accounts import price_list
from penstock.accounts.prices import FREE, Price, PriceBook
from penstock.config import parse
from penstock.core.errors import ConfigError
from penstock.core.usage import Usage
from penstock.upstreams.providers import known_rows

NOW = 1795348800
ENVIRON = {"OPENAI_API_KEY": "k", "XAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}


def book(text: str) -> PriceBook:
    config = parse(text, ENVIRON)
    return config.price_book(config.catalog(ENVIRON, "http://127.0.0.1:1"))


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        book(text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("penstock.toml: ")


def test_dollars_per_million_tokens_are_read_exactly():
    text = """[prices."openai/gpt-5*"]
    input = "0.25"
    cache_read = 0.025
    cache_write = "0.3125"
    cache_write_1h = "0.5"
    output = 2"""
    assert book(text).of("openai", "gpt-5.4", NOW) == Price(
        uncached=250_000, cache_read=25_000, cache_write=312_500, cache_write_1h=500_000, output=2_000_000,
        version="config",
    )  # fmt: skip


def test_a_float_means_what_was_written_not_what_its_bits_are():
    price = book('[prices."*/*"]\ninput = 0.1\noutput = 0.3').of("lab", "tiny", NOW)
    assert price is not None
    assert (price.uncached, price.output) == (100_000, 300_000)


def test_the_first_table_that_matches_counts():
    text = """
    [prices."openai/gpt-5.4"]
    input = 1
    output = 1
    [prices."openai/*"]
    input = 2
    output = 2
    """
    prices = [book(text).of("openai", model, NOW) for model in ("gpt-5.4", "gpt-5.5")]
    assert [price.uncached for price in prices if price] == [1_000_000, 2_000_000]


def test_other_models_keep_the_prices_of_the_list():
    price = book('[prices."openai/gpt-5*"]\ninput = 1\noutput = 1').of("anthropic", "claude-opus-5-5", NOW)
    assert price is not None
    assert price.version == price_list.VERSION


def test_a_provider_of_ones_own_can_have_the_list_of_another():
    text = """
    [providers.lab]
    protocol = "openai-chat"
    base_url = "http://127.0.0.1:9001/v1"
    prices = "openai"
    """
    assert book(text).of("lab", "gpt-5.4", NOW) == book("").of("openai", "gpt-5.4", NOW)


def test_a_provider_of_ones_own_has_no_prices_by_itself():
    text = '[providers.lab]\nprotocol = "openai-chat"\nbase_url = "http://127.0.0.1:9001/v1"'
    assert book(text).of("lab", "gpt-5.4", NOW) is None


@pytest.mark.parametrize("provider", ["demo", "demo-anthropic", "ollama"])
def test_scripted_models_and_local_servers_cost_nothing(provider: str):
    text = "[providers.ollama]" if provider == "ollama" else ""
    price = book(text).of(provider, "poet", NOW)
    assert price is not None
    assert (price.cost(Usage(uncached=10**6, output=10**6)), price.version) == (0, FREE)


def test_a_provider_whose_list_has_another_name_is_found():
    assert book("").of("xai", "grok-4.3", NOW) is not None


def test_every_list_that_a_known_provider_names_exists():
    assert {row.prices for row in known_rows().values()} - {""} <= {FREE, *price_list.names()}


def test_a_gateway_of_free_models_starts_without_the_price_lists(monkeypatch: pytest.MonkeyPatch):
    """To load them takes longer than anything else at the start."""
    monkeypatch.setitem(sys.modules, "penstock.accounts.price_list", None)
    config = parse('[models.fast]\ntarget = "demo/poet"', {})
    monkeypatch.delattr("penstock.accounts.price_list")
    assert config.price_book(config.catalog({}, "http://127.0.0.1:1")).of("demo", "poet", NOW).version == FREE
    with pytest.raises(ImportError):
        book("")


def test_mistakes_say_where_they_are():
    assert mistake('[prices."openai/*"]\ninput = "much"\noutput = 1') == (
        'prices."openai/*".input: "much" is not an amount; give dollars per million tokens, such as "0.25"'
    )
    assert mistake('[prices."openai/*"]\ninput = 1').startswith('prices."openai/*": output is missing')
    assert mistake('[prices."openai/*"]\ninput = 1\noutput = 1\ncached = 1').startswith(
        'prices."openai/*".cached: unknown key'
    )
    assert mistake('[prices."gpt-5*"]\ninput = 1\noutput = 1').startswith('prices."gpt-5*": prices are for "provider/')
    assert mistake("prices = 1").startswith("prices: expected tables")


@pytest.mark.parametrize("amount", ["-1", '"-0.1"', '"NaN"', '"inf"', "nan", "inf", "10000000", '""', "true"])
def test_what_is_no_amount_is_refused(amount: str):
    assert mistake(f'[prices."openai/*"]\ninput = {amount}\noutput = 1').startswith('prices."openai/*".input: ')


def test_a_price_finer_than_can_be_counted_is_refused():
    assert "too fine" in mistake('[prices."openai/*"]\ninput = "0.0000001"\noutput = 1')


def test_a_price_for_a_provider_that_does_not_exist_is_a_mistake():
    assert mistake('[prices."openia/*"]\ninput = 1\noutput = 1') == (
        'prices."openia/*": unknown provider "openia"; did you mean "openai"?'
    )


def test_a_price_for_a_provider_that_is_not_set_up_is_none():
    assert book('[prices."groq/*"]\ninput = 1\noutput = 1').of("groq", "x", NOW) is not None


def test_a_price_list_that_does_not_exist_is_a_mistake():
    assert mistake('[providers.openai]\nprices = "opneai"') == (
        'providers.openai.prices: unknown price list "opneai"; did you mean "openai"?'
    )
