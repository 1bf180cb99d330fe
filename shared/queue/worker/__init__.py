"""Worker processes: kept running, watched, and doing one claimed task at a time."""
