"""How fast a key may use things up: the generic cell rate algorithm, in integer microseconds.

A rate is one number, its theoretical arrival time: the moment at which all that was admitted would have arrived, had it
come at the rate that is allowed. What comes puts it off by its charge, its share of a minute. It may lie up to a minute
ahead: so a minute's worth may come at once, and then as much as the time that passes allows.

    admitted   if arrival <= latest(now, charge)
    then       arrival = max(arrival, now) + charge

What alone is more than a minute's worth is admitted when the rate is unused, and is paid off by those who come after.
The rule is the same in SQL (store/ledger_sql.py) and in Redis. https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

MINUTE = 60_000_000
"""Microseconds."""


def charge(amount: int, per_minute: int) -> int:
    """Return the microseconds by which an amount puts off the arrival time; rounded up."""
    return -(-amount * MINUTE // per_minute)


def latest(now: int, charged: int) -> int:
    """Return the latest arrival time at which what is charged that much is admitted."""
    return now + MINUTE - min(charged, MINUTE)


def wait(arrival: int, now: int, charged: int) -> float:
    """Return the seconds until what was refused would be admitted."""
    return max(0, arrival - latest(now, charged)) / 1_000_000
