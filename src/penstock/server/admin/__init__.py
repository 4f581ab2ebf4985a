"""The admin API: keys, usage, requests, providers, prices and reloading, on an address and with a token of its own."""
