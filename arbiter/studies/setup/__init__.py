"""Setting a study up: its file, applied by command or edited in the browser, and the demo study."""
