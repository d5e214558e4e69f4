"""A person in the browser: a trial to scrub through, or a model to move by hand."""
