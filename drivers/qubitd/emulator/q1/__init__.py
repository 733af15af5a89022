"""The Q1 sequence processor: assembler, classical core, real-time executor."""
