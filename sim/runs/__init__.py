"""A run on disk: identity (a hash of its configuration), a Parquet dataset that survives kill -9, and provenance."""
