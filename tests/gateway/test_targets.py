"""Which targets of a name may serve a key."""

import pytest

from penstock.accounts.keys import Key
from penstock.core.errors import ClientFault
from penstock.gateway.targets import reachable
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.providers import build_catalog
from penstock.upstreams.settings import AliasSettings, ProviderSettings

LAB = ProviderSettings(protocol="openai-chat", base_url="http://lab.internal/v1")
NAMES = {"smart": AliasSettings(targets=("lab/large", "lab/small"))}
CATALOG = build_catalog({"lab": LAB}, NAMES, {}, PROTOCOLS)


def names(*globs: str, asked: str = "smart") -> list[str]:
    """Return the targets that may serve a key that may ask for these."""
    return [one.name for one in reachable(CATALOG.resolve(asked), Key("k", "k", globs)).candidates]


def test_a_key_for_everything_has_all():
    assert names("*") == ["lab/large", "lab/small"]


def test_a_key_that_names_the_name_has_what_it_stands_for():
    assert names("smart") == ["lab/large", "lab/small"]


def test_a_key_whose_pattern_matches_the_name_has_what_it_could_ask_for_itself():
    assert names("s*", "lab/small") == ["lab/small"]


def test_a_key_that_could_ask_for_no_target_has_none():
    with pytest.raises(ClientFault) as caught:
        names("s*")
    assert caught.value.info.code == "model_not_allowed"


def test_a_model_by_its_own_name_is_what_was_asked_for():
    assert names("lab/*", asked="lab/other") == ["lab/other"]
