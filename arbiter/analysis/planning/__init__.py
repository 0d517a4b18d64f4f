"""What more human labels would buy, and what a study can show before it is run."""
