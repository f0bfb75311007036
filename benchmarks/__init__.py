"""How fast the engine is, measured against a plain service on the same servers in the same run.

`python -m benchmarks [drain latency http growth …]`; see `benchmarks/__main__.py`.
"""
