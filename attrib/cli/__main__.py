"""``python -m attrib.cli`` is ``attrib``."""

from attrib.cli import main

if __name__ == "__main__":
    main()
