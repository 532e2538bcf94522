"""``python -m deliverybot`` is the ``deliverybot`` command."""

from deliverybot import cli

if __name__ == "__main__":
    cli.main()
