"""`python -m ssdconvert`."""

from ssdconvert.cli import main

if __name__ == "__main__":
    main()
