"""The request path: what a call is, the attempt at a provider, and the relay of its answer."""
