"""`python -m ssdconvert`."""

from ssdconvert.cli import run

if __name__ == "__main__":
    run()
