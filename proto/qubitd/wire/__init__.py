"""Messages to values and back. Whatever arrives, decoding gives a checked value or raises `MalformedMessageError`."""
