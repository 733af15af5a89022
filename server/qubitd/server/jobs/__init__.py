"""What a job is to a daemon: its states, what can happen to it, and what it may ask for."""
