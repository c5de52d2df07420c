"""Pure rules of the depot: standard library only, no I/O, no clock, no logging."""
