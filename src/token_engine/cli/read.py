"""`token-engine read`: say what bank files hold, without recording anything."""
