"""Sessions: the rack for one user between jobs, under two clocks."""
