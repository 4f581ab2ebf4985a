"""Bytes: event-stream framing and JSON payloads, for all protocols alike. No I/O."""
