"""``python -m services.cli``: how ``counterdub serve`` starts its own commands."""

from services.cli.main import main

main()
