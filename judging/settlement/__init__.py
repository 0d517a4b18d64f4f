"""From votes to an item's final label; what stays open, and what people decide."""
