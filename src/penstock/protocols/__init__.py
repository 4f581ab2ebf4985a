"""The wire protocols. Each is one package that defines `PROTOCOL`; the registry is all that the rest knows of them."""
