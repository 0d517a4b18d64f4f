"""`python -m arbiter.simulator`: the simulated provider without Django."""

import argparse
import sys

from arbiter.simulator.options import OptionError, add_options, from_parsed
from arbiter.simulator.server import StartError, run


def main() -> int:
    parser = argparse.ArgumentParser("arbiter.simulator", description="Serve the simulated provider.")
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
