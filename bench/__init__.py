"""How fast the gateway is, measured beside nginx on the same machine in the same run. See `bench/README.md`."""
