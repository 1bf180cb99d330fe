"""Shards: pairs as uncompressed tar files with an index, made once so that training decodes little (docs/shards.md)."""
