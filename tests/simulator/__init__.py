"""The simulator: its scripts, its settings, and the HTTP server around them."""
