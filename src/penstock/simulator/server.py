"""Start and stop the simulator in a running loop."""

from aiohttp import web

from penstock.simulator.app import make_app
from penstock.simulator.calls import Journal
from penstock.simulator.settings import Settings

_GRACE = 0.5  # seconds for answers in progress when it stops; scripted answers are no loss


class RunningSimulator:
    """A simulator that listens. `port` is where."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self.port: int = runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and cut the answers that are still in progress."""
        await self._runner.cleanup()


async def start(
    host: str = "127.0.0.1", port: int = 0, defaults: Settings | None = None, journal: Journal | None = None
) -> RunningSimulator:
    """Start a simulator in the running loop; port 0 takes a free one. `journal` is written for whoever compares.

    Raises:
        OSError: the address cannot be listened on.
    """
    # Without handler_cancellation nobody would notice a client that leaves between two chunks.
    app = make_app(defaults, journal)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningSimulator(runner)
