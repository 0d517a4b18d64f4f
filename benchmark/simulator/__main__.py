"""`python -m benchmark.simulator`: the simulated provider without Django."""

import argparse
import sys

from benchmark.simulator.options import OptionError, add_options, from_parsed
from benchmark.simulator.server import StartError, run


def main() -> int:
    parser = argparse.ArgumentParser("benchmark.simulator", description="Serve the simulated provider.")
    add_options(parser)
    try:
        run(from_parsed(vars(parser.parse_args())), lambda line: print(line, flush=True))
    except (OptionError, StartError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
