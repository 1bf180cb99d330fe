"""From decoded pictures and sound to what towers take."""
