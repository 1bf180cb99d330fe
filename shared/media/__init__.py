"""Video files in and out through PyAV: probing, the sound on the title's clock, pictures of shots, muxing.

What decodes submitted files runs in a child process (:mod:`shared.media.child`), so that a decoder that crashes, hangs
or eats the memory is one refused title and not a dead run.
"""
