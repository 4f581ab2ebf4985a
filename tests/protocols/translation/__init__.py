"""Section 8 of docs/protocols.md as a table: each row a request of one client, and what each provider gets of it."""
