"""What is in the files people have: what every column seems to be, and the first draft of a subject file."""
