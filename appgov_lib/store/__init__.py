"""The store: raw snapshots in, one DuckDB file per build out.

`inputs` chooses the raw files, `models` reads the catalogue of SQL files, `build` runs them, `checks` judges the
result, `warehouse` is the one place that opens or publishes a database file.
"""
