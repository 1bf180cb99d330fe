"""The resources of the REST interface, a file each."""
