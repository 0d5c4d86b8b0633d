"""`python -m ironflow` is the `ironflow` command."""

from ironflow.cli import main

if __name__ == "__main__":
    main()
