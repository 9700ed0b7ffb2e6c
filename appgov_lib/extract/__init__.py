"""Extract: Microsoft Graph to raw snapshots. Read in this order: sources, graph, snapshot, run, doctor."""
