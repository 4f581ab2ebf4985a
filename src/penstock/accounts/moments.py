"""Points in time as people are told them: in UTC, as in 2026-11-22T14:30:00Z (ISO 8601)."""

from datetime import UTC, datetime


def written(moment: float) -> str:
    """Return a Unix time in seconds as it is told, exact to the millisecond if it is not whole."""
    exact = "seconds" if moment == int(moment) else "milliseconds"
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=exact).replace("+00:00", "Z")


def midnight(moment: float) -> datetime:
    """Return when the day began that a Unix time in seconds is in."""
    return datetime.fromtimestamp(moment, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
