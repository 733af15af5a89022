"""From the bytes of a job to what its rack plays, and back to its result: in this process, or in another one."""
