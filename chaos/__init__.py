"""What breaks in real networks, done on purpose and from a seed. See `chaos/README.md`."""
