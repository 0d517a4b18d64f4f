#!/usr/bin/env python
from arbiter.cli.main import main

if __name__ == "__main__":
    main()
