"""What a daemon says of itself: logs, numbers, where time goes, and signs of life."""
