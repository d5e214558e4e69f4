"""From a recording of a person to that person's musculoskeletal model."""
