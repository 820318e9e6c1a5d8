"""``python -m attrib`` is ``attrib``: for torchrun and accelerate, which start modules."""

from attrib.cli import main

if __name__ == "__main__":
    main()
