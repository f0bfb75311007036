"""`python -m token_engine` is the console script."""

from token_engine.cli import main

main()
