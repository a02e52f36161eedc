"""What a shop wants its lists to be like: placements, which are named sets of defaults."""
