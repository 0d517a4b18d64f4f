"""Studies: `setup` makes and changes them, `reading` tells about them; neither knows the other."""
