"""The Token Engine: proves, continuously, that every payment token is backed by fiat at a bank."""
