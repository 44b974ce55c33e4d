"""The others: each has the packages it needs in `requirements.txt`, and answers `run.py MEASURE SIZES` like us."""
