"""Reading the configuration again while the gateway runs: all of what it says, or nothing."""

import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.config import Config, parse
from penstock.core.errors import ClientFault, ConfigError
from penstock.core.usage import Usage
from penstock.server.reloading import Serving

pytestmark = pytest.mark.anyio

BEFORE = """
[[keys]]
name = "a"
key = "key-of-a-12345"

[providers.lab]
protocol = "openai-chat"
base_url = "http://127.0.0.1:9/v1"

[models.fast]
target = "lab/one"

[prices."lab/*"]
input = "1"
output = "1"
"""

AFTER = """
[server]
port = 9999

[[keys]]
name = "b"
key = "key-of-b-12345"

[providers.lab]
protocol = "openai-chat"
base_url = "http://127.0.0.1:10/v1"

[models.fast]
target = "lab/two"

[prices."lab/*"]
input = "2"
output = "2"
"""


class Gateway:
    """What a gateway serves, and the file that it reads."""

    def __init__(self) -> None:
        self.text = BEFORE
        self.now = 1.0
        self.keys = KeyDirectory(b"pepper", self.read().keys)
        self.serving = Serving(self.read(), self.build, self.keys, self.read, lambda: self.now)

    def read(self) -> Config:
        return parse(self.text, {})

    @staticmethod
    def build(config: Config):
        return config.catalog({}, "http://127.0.0.1:9")

    def cost(self, model: str) -> int:
        price = self.serving.prices.of("lab", model, 0)
        assert price is not None
        return price.cost(Usage(uncached=1000))


async def test_everything_that_was_handed_out_before_serves_what_the_file_says_now() -> None:
    gateway = Gateway()
    catalog, prices = gateway.serving.catalog, gateway.serving.prices
    assert catalog.resolve("fast").target.model == "one"
    assert gateway.cost("two") == 1_000_000
    gateway.text, gateway.now = AFTER, 2.0
    reloaded = await gateway.serving.reload()
    assert (catalog.resolve("fast").target.model, catalog.providers["lab"].base_url) == (
        "two",
        "http://127.0.0.1:10/v1",
    )
    assert gateway.cost("two") == 2_000_000
    assert (catalog, prices) == (gateway.serving.catalog, gateway.serving.prices)
    assert gateway.keys.authenticate("key-of-b-12345").name == "b"
    with pytest.raises(ClientFault):
        gateway.keys.authenticate("key-of-a-12345")
    assert reloaded.needs_restart == ("server",)
    assert (gateway.serving.loaded, "lab" in reloaded.providers) == (2.0, True)


@pytest.mark.parametrize(
    "mistake",
    [
        "[severs]",
        "[",
        AFTER + '[models.slow]\ntarget = "none/x"',
        AFTER + '[prices."nobody/*"]\ninput = 1\noutput = 1',
        AFTER + '[[keys]]\nname = "c"\nkey = "key-of-b-12345"',
    ],
    ids=["section", "toml", "alias", "price", "same key"],
)
async def test_a_mistake_changes_nothing(mistake: str) -> None:
    gateway = Gateway()
    gateway.text, gateway.now = mistake, 2.0
    with pytest.raises(ConfigError) as caught:
        await gateway.serving.reload()
    assert "\n" not in str(caught.value)
    assert gateway.serving.catalog.resolve("fast").target.model == "one"
    assert gateway.cost("two") == 1_000_000
    assert gateway.keys.authenticate("key-of-a-12345").name == "a"
    assert gateway.serving.loaded == 1.0


async def test_what_was_asked_before_is_not_remembered() -> None:
    gateway = Gateway()
    for model in ("fast", "lab/x"):
        gateway.serving.catalog.resolve(model)
    gateway.text = AFTER
    await gateway.serving.reload()
    assert gateway.serving.catalog.resolve("lab/x").provider.base_url.endswith(":10/v1")


async def test_a_section_that_is_put_back_needs_no_restart() -> None:
    gateway = Gateway()
    gateway.text = AFTER
    await gateway.serving.reload()
    gateway.text = BEFORE
    assert (await gateway.serving.reload()).needs_restart == ()
