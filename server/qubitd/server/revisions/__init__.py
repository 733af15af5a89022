"""The calibration that is in force, and how a new revision follows from it."""
