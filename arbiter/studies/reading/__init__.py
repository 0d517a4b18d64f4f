"""Reading a study: its items, what raters said of them, who labels, what to do next. Nothing here writes."""
