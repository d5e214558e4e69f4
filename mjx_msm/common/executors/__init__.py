"""Who does many jobs: this process, others of this machine, or a cluster. One interface; a file an executor.

A worker is made ready once and then takes jobs; when one dies, its job goes to another.
"""
