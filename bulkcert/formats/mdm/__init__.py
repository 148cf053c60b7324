"""What NanoMDM and devices say."""
