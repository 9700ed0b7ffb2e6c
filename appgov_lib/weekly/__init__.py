"""The run nobody watches: extract, build, report, deliver; a stage that fails does not take the others with it."""
