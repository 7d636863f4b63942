"""Text: where it comes from, how it is divided, annotated, made into tokens, mixed and cloned."""
