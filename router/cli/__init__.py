"""`lowfare`, the command: it parses, calls and prints; what it prints, the rest of the package computes."""


def main() -> None:
    """Runs the command line; the console script's entry point."""
    # Imported here, so that `import router.cli` in a test or a tool costs nothing.
    from router.cli.app import app

    app()
