"""How requests come in: received in turn, read, and looked at before a job is taken."""
