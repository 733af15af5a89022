"""Keeps gRPC's own notes off stderr, such as one for every fork beside an open stream; its errors stay.

gRPC reads the variable when it is imported, so this is imported before; what the user has set is left alone.
"""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
