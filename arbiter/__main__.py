"""`python -m arbiter COMMAND`: the program `arbiter`."""

from arbiter.cli.main import main

if __name__ == "__main__":
    main()
