"""Tools of the repository: golden files, and the corpus of streams recorded elsewhere."""
