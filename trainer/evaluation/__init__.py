"""What a checkpoint is worth: HEAR's tasks, probes of video and both, what dubbing alone can ask, tables of results."""
