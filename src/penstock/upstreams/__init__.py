"""Providers: what is known about them, and the transport to them."""
