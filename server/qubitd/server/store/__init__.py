"""The daemon's memory: SQLite with one writer, files for what is big. What a write's future gives is on the disk."""
