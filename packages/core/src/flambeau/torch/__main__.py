"""`python -m flambeau.torch script.py arguments...`"""

import sys

from flambeau.torch._run import run

if __name__ == "__main__":
    run(sys.argv[1:])
