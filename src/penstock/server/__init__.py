"""The HTTP server: paths, endpoints, and the composition root that puts the gateway together."""
