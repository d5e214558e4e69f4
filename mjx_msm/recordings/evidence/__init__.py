"""What recordings say against what is said of them: units, signs and clocks, by the model's own mechanics.

Nothing is changed here: a contradiction is said with its numbers, and with the line of the subject file that ends it.
"""
