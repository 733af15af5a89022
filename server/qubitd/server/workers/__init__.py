"""Work that a daemon of a group gives to processes without a rack: what is said to them, who asks and who does it."""
