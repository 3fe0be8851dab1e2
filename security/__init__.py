"""The dependency audit: what `make lint` runs last, and what no release may fail."""
