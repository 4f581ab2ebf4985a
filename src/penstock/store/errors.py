"""What a store can fail with."""


class StoreUnavailableError(Exception):
    """The database did not do what it was asked: it is down, locked, full or damaged. What it says is for the log.

    If the connection broke while a transaction was being committed, nobody knows whether it was.
    """
