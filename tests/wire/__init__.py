"""Framing and payloads."""
