"""`python -m flambeau` is the command `flambeau`."""

from flambeau.cli.main import main

if __name__ == "__main__":
    main()
