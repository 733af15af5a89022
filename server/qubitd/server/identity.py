"""Who calls. Without TLS and tokens, which are to come, only this machine can call, and every caller is `local`."""

from __future__ import annotations

LOCAL = "local"
"""The identity of every caller on loopback; it may do everything."""
