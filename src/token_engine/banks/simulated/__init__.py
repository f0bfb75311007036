"""A bank to talk to, for the demo and for tests: it keeps books, speaks three open banking APIs, writes camt files,
and misbehaves when asked to. It shares no code with the engine that reads it, so neither can cover for the other.
"""
