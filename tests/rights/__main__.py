"""`python -m tests.rights`: how many calls were seen, and what a policy simulator says of them."""

import sys
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("test_rights.py")

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-s", "-p", "no:randomly", f"{TABLE}::test_how_many_of_each_there_are"]))
