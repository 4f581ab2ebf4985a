"""Which providers there are, and what a public model name means."""

import msgspec
import pytest

from penstock.core.errors import ClientFault, ConfigError, ErrorInfo
from penstock.core.secret import Secret
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.providers import build_catalog, completed, known_rows
from penstock.upstreams.settings import AliasSettings, ProviderSettings, TargetSettings
from penstock.upstreams.timeouts import TimeLimits, Timeouts

SIMULATOR = "http://127.0.0.1:4999"


def build(
    environ: dict[str, str] | None = None, aliases: dict[str, str] | None = None, **settings: ProviderSettings
) -> Catalog:
    targets = {name: AliasSettings(target) for name, target in (aliases or {}).items()}
    named = {name.replace("_", "-"): entry for name, entry in settings.items()}
    return build_catalog(named, targets, environ or {}, PROTOCOLS, SIMULATOR)


def fault(catalog: Catalog, model: str) -> ErrorInfo:
    with pytest.raises(ClientFault) as caught:
        catalog.resolve(model)
    assert caught.value.info.kind == "model_not_found"
    return caught.value.info


def mistake(*args: object, **settings: ProviderSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        build(*args, **settings)  # pyright: ignore[reportArgumentType]
    return str(caught.value)


LAB = ProviderSettings(protocol="openai-chat", base_url="http://lab.internal:9001/v1")


class TestProviders:
    def test_with_an_empty_environment_only_the_demo_is_there(self):
        assert list(build().providers) == ["demo", "demo-responses", "demo-anthropic", "demo-gemini"]

    def test_a_key_in_the_environment_is_enough(self):
        provider = build({"ANTHROPIC_API_KEY": "sk-1"}).providers["anthropic"]
        assert (provider.base_url, provider.protocol, provider.auth) == (
            "https://api.anthropic.com",
            "anthropic",
            "x-api-key",
        )
        assert provider.credential == Secret("sk-1")

    @pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
    def test_either_variable_of_a_provider_with_two_will_do(self, variable: str):
        assert build({variable: "k"}).providers["google"].credential == Secret("k")

    @pytest.mark.parametrize("value", ["", "  "])
    def test_an_empty_variable_is_as_good_as_none(self, value: str):
        assert "openai" not in build({"OPENAI_API_KEY": value}).providers

    def test_a_key_with_a_line_end_works_all_the_same(self):
        assert build({"OPENAI_API_KEY": "sk-1\n"}).providers["openai"].credential == Secret("sk-1")

    def test_a_key_that_no_header_can_carry_is_a_mistake_that_does_not_repeat_it(self):
        assert mistake({"OPENAI_API_KEY": "sk-één"}) == "OPENAI_API_KEY: a key may hold only visible ASCII characters"

    def test_settings_complete_or_override_the_row(self):
        settings = ProviderSettings(api_key=Secret("sk-2"), base_url="https://eu.api.openai.com/v1/", relay="normalise")
        provider = build({"OPENAI_API_KEY": "sk-1"}, openai=settings).providers["openai"]
        assert provider.credential == Secret("sk-2")
        assert provider.base_url == "https://eu.api.openai.com/v1"
        assert provider.relay == "normalise"
        assert provider.quirks == {"max-completion-tokens", "custom-tools"}

    def test_a_named_provider_without_a_key_is_a_mistake_that_names_the_variable(self):
        assert mistake(openai=ProviderSettings()) == "providers.openai: set OPENAI_API_KEY in the gateway's environment"

    def test_a_named_provider_at_another_address_needs_no_key(self):
        assert build(openai=ProviderSettings(base_url="http://proxy/v1")).providers["openai"].credential is None

    def test_a_provider_of_ones_own(self):
        provider = build(lab=LAB).providers["lab"]
        assert (provider.title, provider.protocol, provider.auth) == ("lab", "openai-chat", "bearer")

    def test_header_names_are_kept_in_lower_case(self):
        settings = msgspec.structs.replace(LAB, headers={"X-Team": Secret("lab")})
        assert build(lab=settings).providers["lab"].headers == {"x-team": Secret("lab")}

    @pytest.mark.parametrize(
        ("name", "value"), [("x team", "lab"), ("x-team", "a\r\nhost: b"), ("x-team", "één"), ("", "secret")]
    )
    def test_a_header_that_cannot_be_sent_is_a_mistake_that_does_not_repeat_it(self, name: str, value: str):
        message = mistake(lab=msgspec.structs.replace(LAB, headers={name: Secret(value)}))
        assert message.startswith("providers.lab.headers.")
        assert value not in message.removeprefix("providers.lab.headers.")

    def test_an_unknown_provider_without_a_protocol_is_a_mistake_with_the_nearest_name(self):
        assert mistake(opnai=ProviderSettings(api_key=Secret("x"))) == (
            'providers.opnai: unknown provider "opnai"; did you mean "openai"? '
            "To define your own give protocol and base_url."
        )

    def test_an_unknown_protocol_is_a_mistake_with_the_nearest_name(self):
        message = mistake(lab=ProviderSettings(protocol="anthropc", base_url="http://x"))
        assert message.startswith('providers.lab.protocol: unknown protocol "anthropc"; did you mean "anthropic"?')

    def test_a_provider_of_ones_own_needs_an_address(self):
        assert mistake(lab=ProviderSettings(protocol="gemini")) == "providers.lab: base_url is missing"

    @pytest.mark.parametrize("shown", [repr, str])
    def test_no_representation_shows_a_credential(self, shown):
        settings = ProviderSettings(api_key=Secret("sk-hidden"), headers={"x": Secret("sk-hidden-too")})
        catalog = build(openai=settings)
        assert "sk-hidden" not in shown(catalog.providers["openai"])
        assert "sk-hidden" not in shown(catalog.resolve("openai/gpt-5.4"))
        assert "sk-hidden" not in shown(settings)


class TestBaseUrls:
    @pytest.mark.covers("P33")
    @pytest.mark.parametrize("url", ["127.0.0.1:8080", "localhost:8080/v1", "www.example.com"])
    def test_an_address_without_a_scheme_is_refused_at_start_with_the_right_one(self, url: str):
        message = mistake(lab=ProviderSettings(protocol="openai-chat", base_url=url))
        assert message == (
            f'providers.lab.base_url: "{url}" is not an http:// or https:// address; did you mean "http://{url}"?'
        )

    @pytest.mark.covers("P33")
    @pytest.mark.parametrize(
        "url", ["", "ftp://x/v1", "http://", "https:///v1", "http://[::1", "http://h:99999", "//h"]
    )
    def test_what_is_no_address_is_refused_at_start(self, url: str):
        assert mistake(lab=ProviderSettings(protocol="gemini", base_url=url)).startswith("providers.lab.base_url: ")

    def test_a_password_in_an_address_is_refused_and_not_repeated(self):
        message = mistake(lab=ProviderSettings(protocol="gemini", base_url="https://me:hunter2@host"))
        assert message.startswith("providers.lab.base_url: an address must not hold a user name or password")
        assert "hunter2" not in mistake(lab=ProviderSettings(protocol="gemini", base_url="me:hunter2@host"))

    def test_a_query_in_an_address_is_refused(self):
        assert "ends with its path" in mistake(lab=ProviderSettings(protocol="gemini", base_url="https://h/v1?x=1"))

    @pytest.mark.parametrize("url", ["https://h/v1", "https://h/v1/", "https://h/v1//"])
    def test_slashes_at_the_end_do_not_matter(self, url: str):
        provider = build(lab=ProviderSettings(protocol="gemini", base_url=url)).providers["lab"]
        assert provider.base_url == "https://h/v1"

    def test_a_missing_v1_is_not_guessed(self):
        provider = build(lab=ProviderSettings(protocol="openai-chat", base_url="https://h")).providers["lab"]
        assert provider.base_url == "https://h"

    def test_the_demo_is_at_the_simulator_under_each_protocols_own_path(self):
        providers = build().providers
        assert providers["demo"].base_url == f"{SIMULATOR}/v1"
        assert providers["demo-anthropic"].base_url == providers["demo-gemini"].base_url == SIMULATOR

    def test_without_a_simulator_there_is_no_demo(self):
        catalog = build_catalog({}, {}, {}, PROTOCOLS)
        assert "simulator is not running" in fault(catalog, "demo/poet").message

    @pytest.mark.parametrize(
        ("host", "base_url"),
        [
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            ("gpu", "http://gpu:11434/v1"),
            ("gpu:9999", "http://gpu:9999/v1"),
            ("http://gpu:9999", "http://gpu:9999/v1"),
            ("https://gpu.example.com/", "https://gpu.example.com/v1"),
            ("https://example.com/ollama/v1", "https://example.com/ollama/v1"),
            ("[::1]", "http://[::1]:11434/v1"),
        ],
    )
    def test_what_a_variable_leaves_out_the_row_completes(self, host: str, base_url: str):
        assert completed(host, "http://127.0.0.1:11434/v1") == base_url
        assert build({"OLLAMA_HOST": host}).providers["ollama"].base_url == base_url

    def test_a_local_server_is_there_when_the_config_names_it(self):
        provider = build(vllm=ProviderSettings()).providers["vllm"]
        assert (provider.base_url, provider.credential) == ("http://127.0.0.1:8000/v1", None)

    def test_an_azure_resource_comes_from_its_endpoint(self):
        environ = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/", "AZURE_OPENAI_API_KEY": "k"}
        provider = build(environ).providers["azure-openai"]
        assert (provider.base_url, provider.auth) == ("https://res.openai.azure.com/openai/v1", "api-key")

    def test_an_azure_key_without_an_endpoint_is_not_enough(self):
        message = fault(build({"AZURE_OPENAI_API_KEY": "k"}), "azure-openai/x").message
        assert "set AZURE_OPENAI_ENDPOINT" in message

    def test_a_bad_address_in_a_variable_names_the_variable(self):
        assert mistake({"VLLM_BASE_URL": "ftp://x"}).startswith("VLLM_BASE_URL: ")


class TestNames:
    def test_a_name_is_split_at_its_first_slash(self):
        route = build({"OPENROUTER_API_KEY": "k"}).resolve("openrouter/anthropic/claude-opus-5.5")
        assert (route.provider.name, route.target.model) == ("openrouter", "anthropic/claude-opus-5.5")

    def test_the_target_carries_what_writers_need(self):
        route = build({"OPENAI_API_KEY": "k"}).resolve("openai/o3")
        assert route.model == "openai/o3"
        assert route.target.provider == "openai"
        assert route.target.quirks == {"max-completion-tokens", "custom-tools"}
        assert not route.target.facts.sampling

    def test_a_model_that_nobody_listed_works(self):
        catalog = build({"OPENAI_API_KEY": "k"})
        assert catalog.resolve("openai/not-out-yet").target.model == "not-out-yet"
        assert catalog.find("openai/not-out-yet").name == "openai/not-out-yet"

    def test_a_model_that_a_closed_provider_has_not_does_not(self):
        assert "Did you mean demo/poet" in fault(build(), "demo/poem").message

    def test_settings_behind_the_name_of_a_demo_model_are_passed_on(self):
        assert build().resolve("demo/poet@gap=0.05").target.model == "poet@gap=0.05"

    def test_an_alias_means_its_target(self):
        route = build(aliases={"fast": "demo/poet"}).resolve("fast")
        assert (route.model, route.provider.name, route.target.model) == ("fast", "demo", "poet")

    def test_an_alias_may_look_like_a_model(self):
        assert build(aliases={"gpt/x": "demo/poet"}).resolve("gpt/x").target.model == "poet"

    def test_models_are_listed_by_public_name_with_aliases_first(self):
        catalog = build(aliases={"fast": "demo/poet"})
        listed = [(listing.name, listing.provider.name) for listing in catalog.models()]
        assert listed[:3] == [("fast", "demo"), ("demo/poet", "demo"), ("demo/echo", "demo")]
        assert len(listed) == 20

    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("poet", 'models.fast.target: "poet" is not of the form provider/model'),
            ("demo/", 'models.fast.target: "demo/" is not of the form provider/model'),
            ("demo/poem", 'models.fast.target: "demo" has no model "poem"; did you mean "poet"?'),
            ("opnai/x", 'models.fast.target: unknown provider "opnai"; did you mean "openai"?'),
            ("zzz/x", 'models.fast.target: unknown provider "zzz"'),
            (
                "openai/gpt",
                'models.fast.target: the provider "openai" is not set up: '
                "set OPENAI_API_KEY in the gateway's environment",
            ),
        ],
    )
    def test_an_alias_of_nothing_is_a_mistake(self, target: str, message: str):
        assert mistake(None, {"fast": target}) == message


class TestUnknownNames:
    def test_a_mistyped_model_is_answered_with_the_nearest_names(self):
        info = fault(build({"OPENAI_API_KEY": "k"}), "opnai/gpt-5.4-mini")
        assert "Did you mean openai/gpt-5.4-mini" in info.message
        assert (info.param, info.code) == ("model", "model_not_found")

    def test_a_bare_model_name_is_answered_with_its_provider(self):
        message = fault(build({"OPENAI_API_KEY": "k"}), "gpt-5.4").message
        assert message == ('There is no model "gpt-5.4". Models are named provider/model. Did you mean openai/gpt-5.4?')

    def test_an_unknown_model_is_answered_with_examples_of_the_providers_that_were_set_up(self):
        message = fault(build({"OPENAI_API_KEY": "k"}), "nothing-like-it").message
        assert "For example: openai/" in message

    def test_a_mistyped_provider_is_answered_even_if_the_model_is_not_listed(self):
        assert "Did you mean openai/x1?" in fault(build({"OPENAI_API_KEY": "k"}), "opena/x1").message

    def test_a_provider_that_is_not_set_up_is_answered_with_its_variable(self):
        assert fault(build(), "openai/gpt-5.4").message == (
            'The provider "openai" is not set up on this gateway: set OPENAI_API_KEY in the gateway\'s environment.'
        )

    def test_a_local_server_is_answered_with_both_ways_to_name_it(self):
        message = fault(build(), "ollama/llama3").message
        assert "set OLLAMA_HOST in the gateway's environment, or add [providers.ollama]" in message

    @pytest.mark.parametrize("model", ["", "/", "demo", "demo/", "/poet", "zzz", "a" * 10_000, "\x00/\ud83d"])
    def test_any_other_text_is_answered_too(self, model: str):
        message = fault(build(), model).message
        assert len(message) < 400


class TestRows:
    def test_every_protocol_of_a_row_is_one_that_we_speak(self):
        assert {row.protocol for row in known_rows().values()} <= set(PROTOCOLS)

    def test_every_row_can_be_set_up_from_the_environment_alone(self):
        environ = {variable: "k" for row in known_rows().values() for variable in row.api_key_env}
        environ |= {row.base_url_env: "https://host" for row in known_rows().values() if row.base_url_env}
        assert set(build(environ).providers) == set(known_rows())

    @pytest.mark.parametrize(
        ("model", "sampling", "reasoning", "mid_system"),
        [
            ("anthropic/claude-opus-5-5", False, "effort", True),
            ("anthropic/claude-fable-5", False, "effort", True),
            ("anthropic/claude-opus-7", False, "effort", True),
            ("anthropic/claude-opus-4-8", False, "effort", True),
            ("anthropic/claude-sonnet-5", False, "effort", False),
            ("anthropic/claude-opus-4-7", False, "effort", False),
            ("anthropic/claude-sonnet-4-6", True, "effort", False),
            ("anthropic/claude-haiku-4-5-20251001", True, "budget", False),
            ("anthropic/claude-opus-4-1", True, "budget", False),
            ("anthropic/claude-3-7-sonnet-latest", True, "budget", False),
            ("google/gemini-2.5-flash", True, "budget", False),
            ("google/gemini-3.1-pro-preview", True, "effort", False),
            ("openai/gpt-5.4", False, "effort", False),
            ("openai/gpt-5-chat-latest", True, "effort", False),
            ("openai/gpt-4.1", True, "effort", False),
        ],
    )
    def test_facts_fit_the_generation_of_a_model(self, model: str, sampling: bool, reasoning: str, mid_system: bool):
        catalog = build({"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "OPENAI_API_KEY": "k"})
        facts = catalog.resolve(model).target.facts
        assert (facts.sampling, facts.reasoning, facts.mid_system) == (sampling, reasoning, mid_system)


def test_a_model_goes_upstream_under_the_providers_own_name() -> None:
    catalog = build({"ANTHROPIC_API_KEY": "k"})
    route = catalog.resolve("anthropic/claude-sonnet-4.6")
    assert (route.model, route.target.model) == ("anthropic/claude-sonnet-4.6", "claude-sonnet-4-6")
    assert route.target.facts == catalog.resolve("anthropic/claude-sonnet-4-6").target.facts


def test_a_users_own_names_for_models_are_added() -> None:
    settings = ProviderSettings(protocol="openai-chat", base_url="http://127.0.0.1:1/v1", names={"best": "model-7"})
    assert build(lab=settings).resolve("lab/best").target.model == "model-7"


TWO = AliasSettings(targets=("demo/poet", TargetSettings("lab/large", 3)), strategy="weighted")


class TestSeveralTargets:
    def catalog(self, **names: AliasSettings) -> Catalog:
        return build_catalog({"lab": LAB}, names, {}, PROTOCOLS, SIMULATOR)

    def refused(self, settings: AliasSettings) -> str:
        with pytest.raises(ConfigError) as caught:
            self.catalog(smart=settings)
        return str(caught.value)

    def test_a_name_can_stand_for_several_models(self):
        route = self.catalog(smart=TWO).resolve("smart")
        assert [(one.upstream, one.weight) for one in route.candidates] == [("demo/poet", 1), ("lab/large", 3)]
        assert route.strategy == "weighted"

    def test_the_name_that_a_provider_has_for_a_model_is_that_of_the_upstream(self):
        lab = msgspec.structs.replace(LAB, names={"best": "model-7"})
        catalog = build_catalog({"lab": lab}, {}, {}, PROTOCOLS, SIMULATOR)
        [candidate] = catalog.resolve("lab/best").candidates
        assert (candidate.name, candidate.upstream) == ("lab/best", "lab/model-7")

    def test_a_model_can_be_named_after_itself_to_say_more_of_it(self):
        settings = AliasSettings(timeouts=Timeouts(total=3600))
        catalog = build_catalog({"lab": LAB}, {"lab/large": settings}, {}, PROTOCOLS, SIMULATOR)
        [candidate] = catalog.resolve("lab/large").candidates
        assert (candidate.name, candidate.limits.total) == ("lab/large", 3600)

    def test_mistakes_name_their_place(self):
        assert self.refused(AliasSettings()) == "models.smart: target is missing"
        assert self.refused(AliasSettings("demo/poet", ("lab/x",))) == "models.smart: either target or targets"
        assert "models.smart.targets[1]: unknown provider" in self.refused(AliasSettings(targets=("lab/x", "lib/x")))
        assert "named twice" in self.refused(AliasSettings(targets=("lab/x", "lab/x")))
        assert "weight above 0" in self.refused(AliasSettings(targets=(TargetSettings("lab/x", 0),)))


class TestTimeLimits:
    def limits(self, alias: Timeouts, provider: Timeouts, everywhere: Timeouts) -> TimeLimits:
        lab = msgspec.structs.replace(LAB, timeouts=provider)
        names = {"x": AliasSettings("lab/large", timeouts=alias)}
        catalog = build_catalog({"lab": lab}, names, {}, PROTOCOLS, SIMULATOR, timeouts=everywhere)
        return catalog.resolve("x").candidates[0].limits

    def test_what_nobody_says_is_as_a_person_would_choose(self):
        assert self.limits(Timeouts(), Timeouts(), Timeouts()) == TimeLimits(5, 120, 120, 60, 1800, 600)

    def test_the_narrower_word_wins(self):
        limits = self.limits(Timeouts(gap=1), Timeouts(gap=2, write=2), Timeouts(gap=3, write=3, total=3))
        assert (limits.gap, limits.write, limits.total) == (1, 2, 3)

    def test_a_first_event_that_was_said_holds_for_models_that_think_too(self):
        limits = self.limits(Timeouts(), Timeouts(first_event=30), Timeouts())
        assert (limits.first_event, limits.thinking) == (30, 30)
