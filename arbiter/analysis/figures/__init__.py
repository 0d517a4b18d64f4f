"""Figures: each a chart, the table behind it and the sentence for a paper."""
