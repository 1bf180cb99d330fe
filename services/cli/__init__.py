"""The command line: the same requests as the REST interface, on one machine."""
