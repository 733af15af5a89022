"""Qblox Cluster: FPGA sequencers that play waveforms, read out and keep time together."""
