"""Bundles as files: written, verified, put away. What stands in them is the tier's affair."""
