"""Several daemons on one store, each with its own rack: who is there, whose a job is, what one asks of another."""
