"""How news reaches whoever watches: announced, read from the store, and sent in order."""
