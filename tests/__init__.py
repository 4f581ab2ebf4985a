"""The tests. They read like a specification: one behaviour each, and the name says which."""
