"""Resumable uploads: tus 1.0 and the files of what has not come whole yet."""
