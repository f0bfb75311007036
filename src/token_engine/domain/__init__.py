"""The rules of the money: pure functions and values. No I/O, no clock, no global state."""
