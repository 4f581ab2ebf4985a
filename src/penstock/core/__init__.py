"""The vocabulary of the gateway: events, requests, usage, errors. Values only; no I/O, clock or randomness."""
