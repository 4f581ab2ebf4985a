"""The simulator: a provider whose models are scripts. The demo runs on it, and so do load tests of any gateway.

simulator = await start(port=0)
...  # http://127.0.0.1:{simulator.port}, all protocols, no key
await simulator.close()
"""

from penstock.simulator.app import make_app
from penstock.simulator.server import RunningSimulator, start
from penstock.simulator.settings import Settings, parse_settings, split_model

__all__ = ["RunningSimulator", "Settings", "make_app", "parse_settings", "split_model", "start"]
