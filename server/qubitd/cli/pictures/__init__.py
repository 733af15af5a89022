"""The demo's three pictures: each takes plain values and gives a matplotlib figure, without a display."""
