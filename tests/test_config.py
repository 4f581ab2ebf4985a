"""The configuration file."""

from pathlib import Path

import pytest

from penstock.config import Config, load, parse
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret

EXAMPLE = """
[server]
host = "127.0.0.1"
port = 8081

[[keys]]
name = "team-a"
key = "${TEAM_A_KEY}"

[providers.openai]
api_key = "${OPENAI_API_KEY}"

[providers.lab]
protocol = "openai-chat"
base_url = "http://127.0.0.1:9001/v1"
api_key = "..."
headers = { "x-team" = "lab" }
models = ["tiny"]
facts."*" = { reasoning = "budget" }

[models."fast"]
target = "openai/gpt-5.4-mini"
"""

ENVIRON = {"TEAM_A_KEY": "team-a-secret", "OPENAI_API_KEY": "sk-secret"}


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, ENVIRON).catalog(ENVIRON, "http://127.0.0.1:1")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_the_example_of_the_documentation_is_read():
    config = parse(EXAMPLE, ENVIRON)
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8081)
    assert [(key.name, key.key) for key in config.keys] == [("team-a", Secret("team-a-secret"))]
    catalog = config.catalog({})
    assert catalog.providers["openai"].credential == Secret("sk-secret")
    assert catalog.providers["lab"].headers == {"x-team": Secret("lab")}
    assert catalog.resolve("lab/tiny").target.facts.reasoning == "budget"
    assert catalog.resolve("fast").target.model == "gpt-5.4-mini"


def test_an_empty_file_is_all_defaults():
    assert parse("", {}, "environment") == Config()


def test_no_representation_shows_a_secret():
    assert "secret" not in repr(parse(EXAMPLE, ENVIRON))


def test_a_variable_may_stand_within_a_text():
    config = parse('[server]\nhost = "${A}.example.com"\n', {"A": "gw"})
    assert config.server.host == "gw.example.com"


def test_a_file_is_read_with_its_name_in_every_mistake(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\nport = 1\n")
    assert load(path, {}).server.port == 1
    path.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r'^mine\.toml: server\.prot: unknown key; did you mean "port"\?$'):
        load(path, {})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path, {})
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server", "not TOML: "),
        ("[sever]\n", 'sever: unknown section; did you mean "server"?'),
        ('[server]\nport = "80"\n', "server.port: expected int, got str"),
        ("[server]\nport = 70000\n", "server.port: expected int <= 65535"),
        ('[server]\nhost = ""\n', "server.host: expected str of length >= 1"),
        ("server = 1\n", "server: expected table, got int"),
        ("keys = 1\n", "keys: expected tables, each begun with [[keys]]"),
        ("providers = 1\n", "providers: expected tables, each begun with [providers.<name>]"),
        ('[[keys]]\nname = "a"\n', "keys[0]: key is missing"),
        ('[[keys]]\nname = "a"\nkey = "short"\n', "keys[0].key: a key is at least 8 visible ASCII characters"),
        ('[[keys]]\nname = "a"\nkey = "with space"\n', "keys[0].key: a key is at least 8 visible ASCII characters"),
        (
            '[[keys]]\nname = "a"\nkey = "12345678"\n[[keys]]\nname = "a"\nkey = "12345679"\n',
            'keys[1].name: "a" is already the name of another key',
        ),
        ('[[keys]]\nname = "a"\nkey = "${NO_SUCH}"\n', "keys[0].key: the environment variable NO_SUCH is not set"),
        (
            '[providers."my lab"]\napi_key = "${}"\n',
            'providers."my lab".api_key: the environment variable ${} is not set',
        ),
        ('[providers.openai]\napi_kye = "x"\n', 'providers.openai.api_kye: unknown key; did you mean "api_key"?'),
        ("[providers.openai]\napi_key = 5\n", "providers.openai.api_key: expected str, got int"),
        (
            '[providers.opnai]\napi_key = "x"\n',
            'providers.opnai: unknown provider "opnai"; did you mean "openai"? '
            "To define your own give protocol and base_url.",
        ),
        (
            '[providers.openai]\napi_key = "x"\nauth = "beare"\n',
            'providers.openai.auth: unknown word "beare"; did you mean "bearer"? '
            "Known: bearer, x-api-key, x-goog-api-key, api-key, none.",
        ),
        (
            '[providers.openai]\napi_key = "x"\nquirks = ["no-stream-option"]\n',
            'providers.openai.quirks[0]: unknown word "no-stream-option"; did you mean "no-stream-options"?',
        ),
        (
            '[providers.openai]\napi_key = "x"\nfacts."gpt-*" = { samplin = true }\n',
            'providers.openai.facts."gpt-*".samplin: unknown key; did you mean "sampling"?',
        ),
        (
            '[providers.lab]\nprotocol = "openai-chat"\nbase_url = "127.0.0.1:9001/v1"\n',
            'providers.lab.base_url: "127.0.0.1:9001/v1" is not an http:// or https:// address',
        ),
        ('[models.fast]\ntarget = "demo/poem"\n', 'models.fast.target: "demo" has no model "poem"'),
        ("[models.fast]\n", "models.fast: target is missing"),
        ('[models]\nfast = "demo/poet"\n', "models.fast: expected table, got str"),
    ],
)
def test_a_mistake_is_one_line_with_its_path_and_the_nearest_name(text: str, message: str):
    assert mistake(text).startswith(f"penstock.toml: {message}")


def test_a_limit_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r'server.limits.had: unknown key; did you mean "head"'):
        parse("[server.limits]\nhad = 5", {})
    with pytest.raises(ConfigError, match=r"server.limits.head: "):
        parse("[server.limits]\nhead = 0", {})
    assert parse("[server.limits]\nhead = 5", {}).server.limits.head == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[timeouts]\nfirst = 1", "timeouts.first: unknown key"),
        ("[timeouts]\ngap = 0", "timeouts.gap: expected"),
        ("[providers.openai.timeouts]\ngaps = 1", 'providers.openai.timeouts.gaps: unknown key; did you mean "gap"?'),
        ("[models.x]\ntargets = [1]", "models.x.targets[0]: expected"),
        ("[models.x]\ntargets = [{ target = 'a/b', wight = 1 }]", "models.x.targets[0].wight: unknown key"),
        ("[models.x]\ntargets = [{ target = 'a/b', weight = -1 }]", "models.x.targets[0].weight: expected"),
        ("[models.x]\ntarget = 'a/b'\nstrategy = 'order'", 'unknown word "order"; did you mean "ordered"?'),
    ],
)
def test_mistakes_about_targets_and_time_limits_name_their_place(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    assert message in str(caught.value)


def test_journals_in_redis_need_the_address_of_one() -> None:
    with pytest.raises(ConfigError, match=r'streams\.journal: "redis" needs the address of one: shared\.url'):
        parse('[streams]\njournal = "redis"', {})
    config = parse('streams.journal = "redis"\nshared.url = "redis://localhost"', {})
    assert config.streams.journal == "redis"
