"""How good lists for shoppers are: by what shoppers did afterwards.

- `trial`: a copy of the catalogue in a database of its own, with the events of a file
- `splits_of_events`: which events are known, and which are to be predicted
- `contenders`: the lists that are compared
- `judging`: figures with intervals
- `comparing`: the evaluation as a whole
"""
