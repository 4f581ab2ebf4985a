"""The gateway itself: its state, its metrics, and reading its configuration again."""

from penstock import __version__
from penstock.accounts.moments import written
from penstock.core.errors import ConfigError, bad_request
from penstock.server.admin.desk import Desk
from penstock.server.admin.route import Asked
from penstock.server.admin.shapes import Nothing, Status
from penstock.server.http import Response
from penstock.server.reloading import Reloaded


async def show_status(desk: Desk, asked: Asked[Nothing, Nothing]) -> Status:
    """Tell which version runs, since when, and what it serves."""
    serving = desk.serving
    return Status(
        version=__version__,
        ready=desk.ready(),
        address=desk.address,
        started=written(int(desk.started)),
        configuration=serving.config.source,
        loaded=written(int(serving.loaded)),
        database=desk.database,
        providers=len(serving.catalog.providers),
        models=len(serving.catalog.models()),
    )


async def reload(desk: Desk, asked: Asked[Nothing, Nothing]) -> Reloaded:
    """Read the configuration again and serve what it says. If it has a mistake, that is told and nothing changes."""
    try:
        reloaded = await desk.serving.reload()
    except ConfigError as error:
        raise bad_request(str(error), code="invalid_configuration") from None
    desk.tell_reloaded()
    return reloaded


async def show_metrics(desk: Desk, asked: Asked[Nothing, Nothing]) -> Response:
    """Tell all metrics, as Prometheus reads them."""
    body, content_type = desk.metrics.exposition()
    return Response(body, content_type=content_type)
