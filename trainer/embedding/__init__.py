"""Files to embeddings: decoding in a child process, windows, crops, rows of a Parquet file."""
