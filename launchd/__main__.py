"""`python -m launchd`: the same as the command `launchd`."""

from launchd.cli import main

if __name__ == "__main__":
    main()
