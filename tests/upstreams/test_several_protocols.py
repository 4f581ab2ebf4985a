"""A provider that speaks several protocols serves a client in the client's own, and all others in the main one."""

from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Provider
from penstock.upstreams.providers import build_catalog, known_rows
from penstock.upstreams.settings import Access, ProviderRow, ProviderSettings, read_provider
from tests.server.canned import STREAMS
from tests.server.reading import answer_of, read, text_of
from tests.serving import CALLS, replaying, serving, stream

LAB = ProviderSettings(
    protocol="openai-chat",
    base_url="http://lab.internal:9001/api/v1",
    also={"anthropic": Access("../anthropic"), "gemini": Access(auth="bearer")},
)


def built(settings: ProviderSettings | None = None, name: str = "lab", **environ: str) -> Provider:
    """Return a provider as the catalog has it."""
    given = {} if settings is None else {name: settings}
    return build_catalog(given, {}, environ, PROTOCOLS).providers[name]


def mistake(settings: ProviderSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        built(settings)
    return str(caught.value)


def test_a_client_of_a_listed_protocol_gets_the_provider_as_it_speaks_that() -> None:
    provider = built(LAB).speaking("anthropic")
    assert (provider.name, provider.protocol) == ("lab", "anthropic")


def test_all_others_get_it_as_it_is() -> None:
    provider = built(LAB)
    assert provider.speaking("openai-chat") is provider
    assert provider.speaking("openai-responses") is provider


@pytest.mark.parametrize(
    ("link", "base_url"),
    [
        (None, "https://h/api/v1"),
        ("..", "https://h/api"),
        ("../anthropic", "https://h/api/anthropic"),
        ("anthropic", "https://h/api/v1/anthropic"),
        ("/anthropic/", "https://h/anthropic"),
        ("https://other/x", "https://other/x"),
    ],
)
def test_its_address_is_a_link_on_the_providers_own(link: str | None, base_url: str) -> None:
    settings = ProviderSettings(protocol="openai-chat", base_url="https://h/api/v1", also={"anthropic": Access(link)})
    assert built(settings).speaking("anthropic").base_url == base_url


def test_the_credential_is_sent_as_usual_for_the_protocol_unless_somebody_says_otherwise() -> None:
    provider = built(LAB)
    assert provider.speaking("anthropic").auth == "x-api-key"
    assert provider.speaking("gemini").auth == "bearer"
    given = built(msgspec.structs.replace(LAB, auth="api-key"))
    assert (given.speaking("anthropic").auth, given.speaking("gemini").auth) == ("api-key", "bearer")


def test_an_unknown_protocol_is_a_mistake_with_the_nearest_name() -> None:
    message = mistake(msgspec.structs.replace(LAB, also={"anthropc": Access()}))
    assert message.startswith('providers.lab.also.anthropc: unknown protocol "anthropc"; did you mean "anthropic"?')


def test_an_address_that_is_none_is_a_mistake_that_names_its_place() -> None:
    message = mistake(msgspec.structs.replace(LAB, also={"anthropic": Access("ftp://x")}))
    assert message.startswith("providers.lab.also.anthropic.base_url: ")


def test_a_mistyped_key_is_a_mistake_that_names_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        read_provider({"also": {"anthropic": {"base_ulr": "x"}}}, ProviderSettings, "providers.lab")
    assert str(caught.value) == 'providers.lab.also.anthropic.base_ulr: unknown key; did you mean "base_url"?'


class TestKnownProviders:
    def test_a_chat_client_passes_through_and_others_are_asked_by_responses(self) -> None:
        provider = built(name="openai", OPENAI_API_KEY="k")
        spoken = {name: provider.speaking(name).protocol for name in PROTOCOLS}
        assert spoken == {
            "openai-chat": "openai-chat",
            "openai-responses": "openai-responses",
            "anthropic": "openai-responses",
            "gemini": "openai-responses",
        }
        assert {provider.speaking(name).base_url for name in PROTOCOLS} == {"https://api.openai.com/v1"}

    def test_another_address_of_the_same_service_has_the_same_protocols(self) -> None:
        settings = ProviderSettings(base_url="https://api.moonshot.cn/v1", api_key=Secret("k"))
        assert built(settings, "moonshot").speaking("anthropic").base_url == "https://api.moonshot.cn/anthropic"

    @pytest.mark.parametrize("address", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
    def test_regions_of_a_service_are_the_service(self, address: str) -> None:
        provider = built(ProviderSettings(base_url=address, api_key=Secret("k")), "openai")
        assert (provider.protocol, set(provider.also)) == ("openai-responses", {"openai-chat"})

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9001/v1", "https://api.openai.com.lab.internal/v1"])
    def test_a_server_of_ones_own_behind_a_known_name_is_asked_what_all_such_servers_know(self, address: str) -> None:
        provider = built(ProviderSettings(base_url=address), "openai")
        assert (provider.protocol, provider.also) == ("openai-chat", {})
        assert provider.quirks == {"max-completion-tokens"}

    def test_what_the_user_says_of_such_a_server_counts(self) -> None:
        given = ProviderSettings(
            base_url="http://proxy/v1", protocol="openai-responses", also={"openai-chat": Access()}
        )
        provider = built(given, "openai")
        assert (provider.protocol, set(provider.also)) == ("openai-responses", {"openai-chat"})
        given = ProviderSettings(base_url="http://proxy/v1", also={"openai-responses": Access()}, quirks=())
        provider = built(given, "openai")
        assert (provider.protocol, set(provider.also)) == ("openai-chat", {"openai-responses"})
        assert provider.quirks == set()

    def test_what_is_most_likely_spoken_elsewhere_is_a_protocol_that_we_speak(self) -> None:
        assert {row.elsewhere.protocol for row in known_rows().values() if row.elsewhere} <= set(PROTOCOLS)

    def test_with_a_protocol_of_ones_own_nothing_else_is_assumed(self) -> None:
        settings = ProviderSettings(protocol="openai-chat", base_url="http://proxy/v1")
        assert built(settings, "openai").also == {}

    def test_what_the_row_says_can_be_taken_back(self) -> None:
        assert built(ProviderSettings(api_key=Secret("k"), also={}), "deepseek").also == {}

    def test_every_protocol_that_a_row_lists_is_one_that_we_speak(self) -> None:
        for row in known_rows().values():
            assert set(row.also) <= set(PROTOCOLS) - {row.protocol}


def test_a_row_says_how_its_streams_are_relayed_unless_the_user_does() -> None:
    row = read_provider({"title": "x", "protocol": "p", "base_url": "u", "relay": "normalise"}, ProviderRow, "x")
    assert row.relay == "normalise"
    assert built(LAB).relay == "passthrough"
    assert built(msgspec.structs.replace(LAB, relay="normalise")).speaking("anthropic").relay == "normalise"


def test_a_row_says_for_each_protocol_how_its_streams_are_relayed() -> None:
    openrouter = build_catalog({}, {}, {"OPENROUTER_API_KEY": "sk-1"}, PROTOCOLS).providers["openrouter"]
    assert openrouter.speaking("openai-chat").relay == "normalise"
    assert openrouter.speaking("anthropic").relay == "passthrough"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "path", "header"),
    [
        ("openai-chat", "/v1/chat/completions", "authorization"),
        ("anthropic", "/anthropic/v1/messages", "x-api-key"),
    ],
)
async def test_each_client_meets_the_provider_in_its_own_protocol(client: str, path: str, header: str) -> None:
    async with replaying(stream(*STREAMS[client])) as upstream:
        lab = msgspec.structs.replace(upstream.openai, also={"anthropic": Access("../anthropic")})
        async with serving(lab=lab) as gateway:
            got = await read(gateway.post(*asked(client)))
    assert got.body == b"".join(STREAMS[client])
    ((called, headers, _),) = upstream.requests
    assert called == path
    assert "sk-upstream-secret" in headers[header]


@pytest.mark.anyio
async def test_a_client_of_a_further_protocol_is_translated_to_the_main_one() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream:
        lab = msgspec.structs.replace(upstream.openai, also={"anthropic": Access("../anthropic")})
        async with serving(lab=lab) as gateway:
            got = await read(gateway.post(*asked("gemini")))
    assert upstream.requests[0][0] == "/v1/chat/completions"
    assert text_of(answer_of("gemini", got.body)) == "Hello world"


def asked(client: str) -> tuple[str, Any]:
    path, body = CALLS[client]
    asks = body | {"stream_options": {"include_usage": True}} if client == "openai-chat" else body
    return path, asks
