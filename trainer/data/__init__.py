"""Loading: batches from shards, drawn deterministically and decoded once. See docs/shards.md."""
