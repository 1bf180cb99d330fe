"""A package for each stage from a film to its pairs, the REST interface and the command line over them."""
