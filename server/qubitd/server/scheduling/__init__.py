"""Which job runs next, and when each of the others may expect to. Pure: the time is an argument, in seconds."""
