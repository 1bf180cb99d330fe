"""Fifth stage, per language: voices chosen, lines spoken, fitted to their time and put in place."""
