"""What a job goes through once it is taken: it is looked at, made, and played chunk by chunk."""
