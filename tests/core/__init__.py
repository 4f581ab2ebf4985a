"""The vocabulary: events, answers, usage, envelopes."""
