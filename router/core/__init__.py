"""The pure core: no I/O, no clock, no randomness, no logging. Everything it needs is an argument."""
