"""How good a recorded signal is: what is wrong with EMG channels and with motion, measured, masked and said."""
