"""The gRPC services, one file each: messages in, messages out, no decisions."""
